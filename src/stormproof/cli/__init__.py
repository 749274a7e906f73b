"""Arguments to one call, verdict to exit code."""
