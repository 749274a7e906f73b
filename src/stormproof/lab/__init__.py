"""Staging on one machine: Envoy, moto, and real processes."""
