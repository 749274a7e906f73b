"""Runs become evidence for the Reliability pillar: records in a chain, grades, a bundle that can be verified."""
