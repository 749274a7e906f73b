"""Hypothesis, estimates and confirmations in; findings and a verdict out."""
