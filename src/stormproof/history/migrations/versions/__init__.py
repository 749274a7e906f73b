"""One module a step. A step that is released is never changed."""
