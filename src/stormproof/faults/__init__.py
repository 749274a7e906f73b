"""One fault a file: inject, confirm, undo; and the ledger that remembers the undo."""
