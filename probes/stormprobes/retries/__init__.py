"""What `retry_with_jitter` is made of: arrivals → calls → waits → models of a client → a reading."""
