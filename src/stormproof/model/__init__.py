"""The nouns: frozen, keyword-only, units in names, no I/O."""
