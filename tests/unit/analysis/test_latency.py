"""Latency: exact ranks, minimum n, and failed requests that never look fast."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from stormproof.analysis.latency import mean, quantile, quantile_between_blocks, quantile_n_min
from stormproof.analysis.requests import Requests, requests_in
from support.synthetic import START_S, rows

WINDOW = (START_S, START_S + 10)


def requests_of(latency_ms: np.ndarray | list[float], ok: np.ndarray | bool = True) -> Requests:
    at = START_S + np.linspace(0, 9.99, len(latency_ms))
    return requests_in(rows(scheduled_at=at, latency_ms=list(latency_ms), ok=ok), WINDOW)


@pytest.mark.parametrize(("p", "n_min"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368), (0.999, 3688)])
def test_the_minimum_n_is_the_first_that_bounds_the_quantile_on_both_sides(p: float, n_min: int) -> None:
    """At n_min the extremes enclose the quantile with 95 %; one request fewer does not."""
    assert quantile_n_min(p) == n_min
    assert max(p, 1 - p) ** n_min <= 0.025 < max(p, 1 - p) ** (n_min - 1)


def test_below_the_minimum_there_is_a_reason_that_names_it() -> None:
    """120 requests give no p99, and the reason says how many would and how long that takes."""
    estimate = quantile(requests_of(np.arange(120.0)), 0.99)

    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (None, None, None, 120)
    assert estimate.reason == (
        "p99 needs at least 368 requests for an interval, the window has 120; at 12/s that takes 31 s"
    )


def test_ranks_of_a_thousand_known_latencies() -> None:
    """Of 1, 2, … 1000 ms the median's interval is the ranks 469 and 532; the binomial tails confirm them."""
    estimate = quantile(requests_of(np.arange(1.0, 1001.0)), 0.5)

    assert (estimate.value, estimate.low, estimate.high) == (500.0, 469.0, 532.0)
    assert stats.binom.cdf(468, 1000, 0.5) <= 0.025 < stats.binom.cdf(469, 1000, 0.5)
    assert stats.binom.sf(531, 1000, 0.5) <= 0.025 < stats.binom.sf(530, 1000, 0.5)


def test_constant_latency_and_ties() -> None:
    """When every request took 250 ms, so did every quantile, exactly."""
    estimate = quantile(requests_of([250.0] * 400), 0.99)

    assert (estimate.value, estimate.low, estimate.high) == (250.0, 250.0, 250.0)


def test_failing_fast_never_looks_fast() -> None:
    """If 2 % fail at once, nobody knows that p99 was short: the upper end is open."""
    ok = np.ones(1000, dtype=bool)
    ok[::50] = False
    estimate = quantile(requests_of(np.where(ok, 20.0, 1.0), ok), 0.99)

    assert estimate.value == 20.0
    assert estimate.high == math.inf
    assert "20 of 1000 failed" in estimate.note


def test_all_failed_by_time_out_is_as_slow_as_the_time_out_at_least() -> None:
    """A request that waited 10 s in vain took at least 10 s."""
    estimate = quantile(requests_of([10_000.0] * 500, False), 0.5)

    assert (estimate.low, estimate.high) == (10_000.0, math.inf)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -5.0])
def test_a_latency_that_is_not_known_widens_both_ends(broken: float) -> None:
    """NaN, infinity and a negative time (the clock stepped) may have been anything."""
    latency = np.full(400, 20.0)
    latency[:200] = broken
    estimate = quantile(requests_of(latency), 0.5)

    assert (estimate.low, estimate.high) == (0.0, math.inf)
    assert "200 have no latency" in estimate.note


def test_blocks_make_the_interval_wider_when_stretches_differ() -> None:
    """Two levels, five seconds each: the blocks disagree, so the interval is wider than of shuffled rows."""
    rng = np.random.default_rng(3)
    levels = np.concatenate((rng.normal(20, 1, 1000), rng.normal(30, 1, 1000)))
    ordered = quantile_between_blocks(requests_of(levels), 0.5)
    shuffled = quantile_between_blocks(requests_of(rng.permutation(levels)), 0.5)

    assert ordered.low is not None
    assert ordered.high is not None
    assert shuffled.low is not None
    assert shuffled.high is not None
    assert ordered.value == shuffled.value
    assert ordered.high - ordered.low > shuffled.high - shuffled.low


def test_mean_of_blocks_that_have_nothing_in_common() -> None:
    """Half-second blocks of 10 and 30 ms in turn: mean 20, half-width t(19) * s / √19 (squares are short of 1/B)."""
    latency = np.tile(np.repeat([10.0, 30.0], 10), 10)
    at = START_S + np.arange(200) / 20 + 0.01
    estimate = mean(requests_in(rows(scheduled_at=at, latency_ms=latency), WINDOW))
    half = stats.t.ppf(0.975, 19) * 10 / math.sqrt(19)

    assert estimate.value == pytest.approx(20.0)
    assert (estimate.low, estimate.high) == pytest.approx((20 - half, 20 + half))


def test_a_mean_of_blocks_that_resemble_their_neighbours_is_known_less_well() -> None:
    """The same blocks, first all of the short ones: noise of five seconds leaves few independent stretches."""
    at = START_S + np.arange(200) / 20 + 0.01
    in_turn = mean(requests_in(rows(scheduled_at=at, latency_ms=np.tile(np.repeat([10.0, 30.0], 10), 10)), WINDOW))
    sorted_ = mean(requests_in(rows(scheduled_at=at, latency_ms=np.repeat([10.0, 30.0], 100)), WINDOW))

    assert in_turn.value == sorted_.value
    assert in_turn.high is not None
    assert sorted_.high is not None
    assert sorted_.high - 20 > 3 * (in_turn.high - 20)


def test_a_mean_of_a_very_heavy_tail_has_no_upper_end() -> None:
    """Pareto latencies without a variance: the next one may outweigh all these. A lognormal tail is no such thing."""
    rng = np.random.default_rng(4)
    heavy = mean(requests_of(10 * np.exp(rng.exponential(1 / 1.3, 2000))))
    light = mean(requests_of(10 * np.exp(rng.normal(0, 0.5, 2000))))

    assert heavy.high == math.inf
    assert "a quantile has one" in heavy.note
    assert light.high is not None
    assert light.high < 15


def test_mean_has_no_upper_end_when_more_than_one_percent_failed() -> None:
    """How long the lost ones would have taken is not known."""
    ok = np.ones(1000, dtype=bool)
    ok[:11] = False
    assert mean(requests_of([20.0] * 1000, ok)).high == math.inf
    ok[0] = True
    assert mean(requests_of([20.0] * 1000, ok)).high == 20.0


def test_a_window_without_five_blocks_has_no_mean() -> None:
    """Four seconds cannot show the noise from one stretch to the next."""
    at = START_S + np.arange(400) / 100
    estimate = mean(requests_in(rows(scheduled_at=at), (START_S, START_S + 4)))

    assert estimate.value is None
    assert "needs at least 5 s" in estimate.reason


def test_a_few_failures_leave_the_upper_end_closed() -> None:
    """Ten of 3,000 failed: surely fewer than the hundredth above p99, however noisy the blocks; forty are not."""
    rng = np.random.default_rng(2)
    level = np.repeat(rng.normal(0, 0.5, 10), 300)
    latency = np.exp(3 + level + rng.normal(0, 0.2, 3000))
    found = []
    for failures in (0, 10, 40):
        ok = np.ones(3000, dtype=bool)
        ok[:failures] = False
        found.append(quantile_between_blocks(requests_of(latency, ok), 0.99).high)

    none, few, many = found
    assert none is not None
    assert few is not None
    assert none <= few < math.inf
    assert many == math.inf
