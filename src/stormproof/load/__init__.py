"""Drives Locust as child processes; only the child imports locust. `docs/guides/load.md` tells how."""
