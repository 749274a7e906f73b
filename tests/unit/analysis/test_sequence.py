"""Shares and quantiles that may be looked at after every request."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from stormproof.analysis.estimate import ALPHA_SIDE
from stormproof.analysis.proportion import clopper_pearson
from stormproof.analysis.sequence import (
    evidence_against_at_least,
    evidence_against_at_most,
    rank_sequence,
    share_sequence,
)

ENOUGH = -math.log(ALPHA_SIDE)


@pytest.mark.parametrize(("k", "n"), [(0, 50), (3, 3000), (150, 3000), (1500, 3000), (2999, 3000), (40, 40)])
def test_an_interval_is_wider_than_one_for_a_single_look(k: int, n: int) -> None:
    """It contains Clopper–Pearson's, and that of the misses is its mirror image."""
    low, high = share_sequence(k, n)
    fixed_low, fixed_high = clopper_pearson(k, n)

    assert 0 <= low <= fixed_low <= k / n <= fixed_high <= high <= 1
    assert share_sequence(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_the_price_of_looking_is_a_third_more_requests() -> None:
    """Without a failure `>= 99.5%` takes 736 requests at one look, and fewer than 1,000 at any."""
    _, high = share_sequence(0, 1000)

    assert high < 0.005 < share_sequence(0, 900)[1]
    assert share_sequence(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("k", "n"), [(3, 900), (30, 3000), (700, 1000)])
def test_the_ends_are_where_the_evidence_is_enough(k: int, n: int) -> None:
    """A bound a little beyond an end is refuted, one a little inside is not."""
    low, high = share_sequence(k, n)

    assert evidence_against_at_most(k, n, low * 0.999) > ENOUGH > evidence_against_at_most(k, n, low * 1.001)
    assert evidence_against_at_least(k, n, high * 1.001) > ENOUGH > evidence_against_at_least(k, n, high * 0.999)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [400, 1000, 5000])
def test_ranks_answer_as_the_share_beyond_the_bound_does(n: int, p: float) -> None:
    """p99 lies at or below the rank above which so few values are that "at least 1 %" is refuted, and not lower."""
    low_rank, high_rank = rank_sequence(n, p)

    assert high_rank > n or share_sequence(n - high_rank, n)[1] < 1 - p
    assert share_sequence(n - high_rank + 1, n)[1] >= 1 - p
    assert share_sequence(n - low_rank + 1, n)[0] > 1 - p or low_rank < 1
    assert share_sequence(n - low_rank, n)[0] <= 1 - p


def test_continuous_looking_errs_rarely_where_one_look_would_err_often() -> None:
    """Bursts of failures, 300 runs of 2,000 requests, a look at each: the truth so far is missed by at most 5 %."""
    rng = np.random.default_rng(20_270_116)
    n = np.arange(20, 2001, dtype=np.float64)
    ever = once = 0
    for _ in range(300):
        chance = np.repeat(np.where(rng.random(40) < 0.1, 0.3, 0.01), 50)  # a burst lasts 50 requests
        hits = np.cumsum(rng.random(2000) < chance)[19:].astype(np.float64)
        so_far = (np.cumsum(chance) / np.arange(1, 2001))[19:]
        held, refuted = (test(hits, n, so_far) for test in (evidence_against_at_least, evidence_against_at_most))
        ever += bool((np.maximum(held, refuted) >= ENOUGH).any())
        below = special.bdtr(hits, n.astype(int), so_far)
        once += bool((below <= ALPHA_SIDE).any())

    assert ever <= 0.05 * 300
    assert once > 0.05 * 300
