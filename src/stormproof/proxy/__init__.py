"""Envoy in front of a dependency: what the lab's and a workload's side-car are made of; documents, no processes."""
