"""Samples and arrivals in, estimates out; pure."""
