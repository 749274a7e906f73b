"""Before the run: what the planned load could decide, against the judge that will decide it."""

from __future__ import annotations

import pytest
from scipy import stats

from stormproof.analysis.proportion import clopper_pearson
from stormproof.model.hypothesis import Phase
from stormproof.plan.power import Power, power_of
from stormproof.spec.hypothesis import parse_hypothesis

PHASES = {Phase.STEADY: 15.0, Phase.FAULT: 20.0, Phase.RECOVERY: 15.0}


def power(text: str, *, rate_per_s: float | None = 150.0, claims: int = 1, fault_s: float = 20.0) -> Power:
    phases = PHASES | {Phase.FAULT: fault_s}
    return power_of(parse_hypothesis(text), rate_per_s=rate_per_s, stretches_s=phases, claims_by_chance=claims)


@pytest.mark.parametrize(("rate", "percent"), [(150, 99.5), (1000, 99.9), (40, 95), (5000, 99)])
def test_the_most_failures_that_hold_are_those_of_the_judge(rate: float, percent: float) -> None:
    """So many bad of n are held by Clopper–Pearson, and one more is not."""
    n, bound = round(rate * 20), percent / 100
    most = power(f"availability >= {percent}%", rate_per_s=rate).bad_max

    assert most is not None
    assert clopper_pearson(n - most, n)[0] >= bound > clopper_pearson(n - most - 1, n)[0]


def test_the_drop_that_it_sees_is_refuted_four_times_in_five() -> None:
    """Against scipy: with that share failing, the judge refutes in 80 % of runs; a little less, and in fewer."""
    seen = power("availability >= 99.5%").share_seen
    from_ = next(k for k in range(3000) if clopper_pearson(k, 3000)[0] > 0.005)

    assert seen is not None
    assert stats.binom.sf(from_ - 1, 3000, seen) == pytest.approx(0.8, abs=0.005)


def test_more_claims_see_less() -> None:
    """Ten claims share the chance of a false refutation, so each must be surer."""
    one, ten = (power("availability >= 99.5%", claims=claims).share_seen for claims in (1, 10))

    assert one is not None
    assert ten is not None
    assert one < ten < 2 * one


def test_a_percentile_is_a_claim_about_the_share_that_takes_longer() -> None:
    """p99 <= 300 ms at 3,000 requests is availability >= 99 % of requests that are quick enough."""
    assert power("p99 latency <= 300ms").share_seen == power("availability >= 99%").share_seen
    assert power("p99 latency <= 300ms").bad_max == power("availability >= 99%").bad_max


def test_a_relative_claim_sees_a_ratio_that_shrinks_with_the_load() -> None:
    """The smallest rise of p99 over twice steady: above 2, and nearer to it at ten times the rate."""
    slow, fast = (power("p99 latency <= 2x steady", rate_per_s=rate).ratio_seen for rate in (150, 1500))

    assert slow is not None
    assert fast is not None
    assert 2 < fast < slow < 2.5


@pytest.mark.parametrize(
    ("text", "rate", "fault_s", "warning"),
    [
        ("availability >= 99.5%", 10.0, 20.0, "TOO FEW to be held: at 10/s that takes 74 s"),
        ("p99 latency <= 2x steady", 20.0, 20.0, "TOO FEW to be held: at 20/s that takes 19 s"),
        ("p50 latency <= 2x steady", 150.0, 4.0, "TOO SHORT"),
        ("mean latency <= 2s", 150.0, 4.0, "TOO SHORT"),
        ("throughput >= 200/s", 150.0, 20.0, "CANNOT HOLD: only 150/s are offered"),
        ("throughput >= 100/s", 150.0, 20.0, ""),
        ("requests failed <= 3", 150.0, 1.0, ""),
        ("time to recover <= 10s", 150.0, 1.0, ""),
        ("availability >= 99.5%", None, 20.0, ""),
    ],
)
def test_what_cannot_be_decided_is_said(text: str, rate: float | None, fault_s: float, warning: str) -> None:
    """The reason names the seconds or the rate; nothing is said where nothing is known."""
    found = power(text, rate_per_s=rate, fault_s=fault_s).warning

    assert found.startswith(warning)
    assert bool(found) == bool(warning)
