"""The conductor: clock, limits, stop conditions, player; always undoes."""
