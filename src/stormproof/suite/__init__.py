"""Many experiments, a night at a time: in what order, how much, what became of them, who is told."""
