"""The run directory: layout, sample schema, atomic writers and readers."""
