"""The file → model room: one spec in, one `Experiment` or one error with file and line out."""
