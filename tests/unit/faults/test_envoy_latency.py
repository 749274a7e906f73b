"""The document that slows a dependency down."""

from __future__ import annotations

import pytest

from stormproof.faults.envoy_latency import drawn_latency, no_latency


def test_equal_latencies_are_equal_documents() -> None:
    """Undo compares: the same numbers give the same bytes, others another version."""
    first = drawn_latency("latency.x", delay_ms=400, jitter_ms=200, share=0.5, seed=7)

    assert first == drawn_latency("latency.x", delay_ms=400, jitter_ms=200, share=0.5, seed=7)
    versions = {
        first["version_info"],
        no_latency("latency.x")["version_info"],
        drawn_latency("latency.x", delay_ms=401, jitter_ms=200, share=0.5, seed=7)["version_info"],
    }
    assert len(versions) == 3


@pytest.mark.parametrize(
    ("delay_ms", "jitter_ms", "share"), [(400, 400, 1.0), (400, -1, 1.0), (400, 0, 0.0), (400, 0, 1.1)]
)
def test_a_delay_is_never_negative(delay_ms: int, jitter_ms: int, share: float) -> None:
    """A jitter as large as the delay, or a share of nothing, is an error."""
    with pytest.raises(ValueError, match="expected"):
        drawn_latency("latency.x", delay_ms=delay_ms, jitter_ms=jitter_ms, share=share, seed=1)
