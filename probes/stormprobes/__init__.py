"""Probes: read the world, return a reading, decide nothing. Usable from plain `chaos run`."""
