"""Shares: Clopper–Pearson, and what zoneless failures and blocks of time do to it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from stormproof.analysis.proportion import clopper_pearson, pooled_design_effect, share, share_between_blocks
from stormproof.analysis.requests import requests_in
from support.synthetic import START_S, rows

WINDOW = (START_S, START_S + 10)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 3000), (2993, 3000), (500, 1000)])
def test_it_is_the_exact_interval_of_an_independent_implementation(k: int, n: int) -> None:
    """Our interval equals scipy's own exact interval of a binomial test."""
    theirs = stats.binomtest(k, n).proportion_ci(confidence_level=0.95, method="exact")

    assert clopper_pearson(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_nothing_seen_knows_nothing() -> None:
    """Without a request there is no share, and a reason instead."""
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert share(0, 0).value is None
    assert share(0, 0).reason == "no requests"


def test_zoneless_failures_lower_only_the_lower_end() -> None:
    """Failures that may be this zone's own all count against it in the lower end, none in the upper."""
    plain, widened = share(100, 100), share(100, 100, unknown_out=10)

    assert widened.high == plain.high == 1.0
    assert widened.low == clopper_pearson(100, 110)[0]
    assert widened.value == 1.0


def test_a_burst_of_failures_counts_as_fewer_independent_requests() -> None:
    """Ten failures in one block say less about the share than ten spread over all blocks."""
    at = START_S + np.arange(1000) / 100
    burst, spread = np.ones(1000, dtype=bool), np.ones(1000, dtype=bool)
    burst[300:310] = False
    spread[50::100] = False
    intervals = []
    for ok in (burst, spread):
        requests = requests_in(rows(scheduled_at=at, ok=ok), WINDOW)
        estimate = share_between_blocks(requests, requests.block_ok())
        assert estimate.value == 0.99
        intervals.append((estimate.low, estimate.high))

    (burst_low, burst_high), (spread_low, spread_high) = intervals
    assert burst_low < spread_low < 0.99 < spread_high < burst_high


def test_a_phase_without_a_burst_learns_from_one_with() -> None:
    """No failure in one phase, one burst in the other: the first is not taken for one of independent requests."""
    at = START_S + np.arange(1000) / 100
    burst = np.ones(1000, dtype=bool)
    burst[300:340] = False
    calm, bursty = (requests_in(rows(scheduled_at=at, ok=ok), WINDOW) for ok in (True, burst))
    pooled = pooled_design_effect([(calm, calm.block_ok()), (bursty, bursty.block_ok())])
    alone = share_between_blocks(calm, calm.block_ok())
    together = share_between_blocks(calm, calm.block_ok(), design_effect_min=pooled)

    assert pooled > 20
    assert alone.low is not None
    assert together.low is not None
    assert alone.low > 0.995
    assert together.low < 0.95


def test_independent_failures_have_no_design_effect() -> None:
    """Failures at equal distances: what both phases show together is 1, never less."""
    at = START_S + np.arange(1000) / 100
    ok = np.arange(1000) % 50 != 25
    requests = requests_in(rows(scheduled_at=at, ok=ok), WINDOW)

    assert pooled_design_effect([(requests, requests.block_ok())] * 2) == 1.0
