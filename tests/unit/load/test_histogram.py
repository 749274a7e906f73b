"""Log-linear bins: close to the truth, cheap to merge."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stormproof.load.histogram import LATENCY_MS_MIN, bin_of, middle_ms, quantile_ms

latencies = st.floats(LATENCY_MS_MIN, 1e7)


@given(latencies)
def test_a_latency_is_read_back_within_1_6_percent(latency_ms: float) -> None:
    """The middle of a latency's bin is at most 1.6 % away from it."""
    assert middle_ms(bin_of(latency_ms)) == pytest.approx(latency_ms, rel=1 / 63)


@given(latencies, latencies)
def test_bins_keep_the_order(one_ms: float, other_ms: float) -> None:
    """A longer latency never falls in a lower bin."""
    low, high = sorted([one_ms, other_ms])

    assert bin_of(low) <= bin_of(high)


@given(st.lists(latencies, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_that_of_the_sorted_values(values: list[float], quantile: float) -> None:
    """The quantile is the value at rank ceil(q n) of the sorted latencies, within the bin width."""
    rank = max(1, -int(-(quantile * len(values) - 1e-9) // 1))
    expected = sorted(values)[rank - 1]

    actual = quantile_ms(Counter(bin_of(value) for value in values), quantile)

    assert actual == pytest.approx(expected, rel=1 / 63)


def test_nothing_counted_has_no_quantile() -> None:
    """No latencies: None, not 0."""
    assert quantile_ms({}, 0.99) is None


@pytest.mark.parametrize("latency_ms", [0.0, -5.0])
def test_what_no_clock_can_measure_is_counted_lowest(latency_ms: float) -> None:
    """Zero and less share the lowest bin instead of failing."""
    assert bin_of(latency_ms) == bin_of(LATENCY_MS_MIN)
