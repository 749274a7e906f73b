"""Environments in AWS: from a file and the account that it names to an `Environment`; only reads."""
