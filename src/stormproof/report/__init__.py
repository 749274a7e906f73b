"""A run directory in; HTML, Markdown and JUnit out. Works years later, from disk alone, with no clock."""
