"""Positive controls: what is planted is found, what is healthy holds, what lies on the bound is not decided."""

from __future__ import annotations

import pytest

import stormproof
from support.synthetic import START_S, Stretch, samples_of

WINDOWS = {
    "steady": (START_S, START_S + 15),
    "fault": (START_S + 15, START_S + 35),
    "recovery": (START_S + 35, START_S + 50),
}
HEALTHY = {"rate_per_s": 150.0}


def verdict(claim: str, **fault: object) -> str:
    stretches = [
        Stretch(start_s=0, end_s=15, **HEALTHY),
        Stretch(start_s=15, end_s=35, **(HEALTHY | fault)),  # type: ignore[arg-type]
        Stretch(start_s=35, end_s=50, **HEALTHY),
    ]
    return str(stormproof.judge(samples_of(stretches, seed=11), WINDOWS, [claim])["verdict"].iloc[0])


@pytest.mark.parametrize(
    ("claim", "weak"),
    [
        ("availability during fault >= 99.5%", {"failed_share": 0.03}),
        ("availability during fault >= 0.99x steady", {"failed_share": 0.2}),
        ("error rate during fault <= 1%", {"failed_share": 0.05}),
        ("p99 latency during fault <= 100ms", {"latency_ms": 80.0}),
        ("p99 latency during fault <= 2x steady", {"latency_ms": 80.0}),
        ("p50 latency during fault <= 1.5x steady", {"latency_ms": 40.0}),
        ("mean latency during fault <= 50ms", {"latency_ms": 80.0}),
        ("mean latency during fault <= 2x steady", {"latency_ms": 80.0}),
        ("throughput during fault >= 140/s", {"rate_per_s": 100.0}),
        ("throughput during fault >= 0.9x steady", {"rate_per_s": 100.0}),
        ("requests failed during fault <= 10", {"failed_share": 0.05}),
        ("share of traffic in zone a during fault <= 50%", {"zones": ("a", "a", "b")}),
        ("time to recover <= 10s", {"failed_share": 0.3}),
    ],
)
def test_planted_weakness_is_refuted_and_health_holds(claim: str, weak: dict[str, object]) -> None:
    """Each claim is held on a healthy history and refuted on one with a planted weakness."""
    assert verdict(claim) == "held"
    assert verdict(claim, **weak) == "refuted"


@pytest.mark.parametrize(
    ("claim", "fault"),
    [
        ("availability during fault >= 98%", {"failed_share": 0.02}),
        ("p99 latency during fault <= 2x steady", {"latency_ms": 40.0}),
        ("mean latency during fault <= 2x steady", {"latency_ms": 40.0}),
    ],
)
def test_a_truth_on_the_bound_is_not_decided(claim: str, fault: dict[str, object]) -> None:
    """Neither held nor refuted where the truth is the bound itself."""
    assert verdict(claim, **fault) == "inconclusive"
