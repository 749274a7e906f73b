"""A run directory in, HTML, Markdown, JUnit out; works years later from disk alone."""
