"""Drives Locust as a child process; only the child imports locust."""
