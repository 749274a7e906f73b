"""Relative to steady: never a division by zero, decided where it can be."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy import stats

from stormproof.analysis.estimate import Estimate, no_estimate
from stormproof.analysis.ratio import ratio


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=100, method="m")


def test_variance_recovery_by_hand() -> None:
    """20 [10, 40] over 10 [5, 20]: log distances are all ln 2, so the ends are 2 * 2**±√2."""
    found = ratio(estimate(20, 10, 40), estimate(10, 5, 20))

    assert found.value == 2.0
    assert (found.low, found.high) == pytest.approx((2 * 2 ** -math.sqrt(2), 2 * 2 ** math.sqrt(2)))


def test_no_errors_in_steady_has_no_ratio_but_a_lower_end() -> None:
    """20 % failed against none of 1000: no ratio, and yet it rose at least fortyfold."""
    found = ratio(estimate(0.2, 0.16, 0.24), estimate(0.0, 0.0, 0.004))

    assert found.value is None
    assert found.low == pytest.approx(40.0)
    assert found.high == math.inf
    assert "zero in the steady phase" in found.reason


def test_no_errors_at_all_says_nothing() -> None:
    """Zero over zero is not one: anything is possible."""
    found = ratio(estimate(0.0, 0.0, 0.004), estimate(0.0, 0.0, 0.004))

    assert (found.value, found.low, found.high) == (None, 0.0, math.inf)


def test_errors_only_in_steady_is_zero() -> None:
    """None of 1000 against 2 %: the ratio is 0, at most 0.004 / 0.01."""
    found = ratio(estimate(0.0, 0.0, 0.004), estimate(0.02, 0.01, 0.03))

    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.4)


def test_open_ends_stay_open() -> None:
    """An upper end that nothing bounds gives a ratio that nothing bounds."""
    assert ratio(estimate(20, 10, math.inf), estimate(10, 5, 20)).high == math.inf
    assert ratio(estimate(20, 10, 40), estimate(10, 5, math.inf)).low == 0.0


def test_the_reason_of_a_missing_side_is_passed_on() -> None:
    """Without a steady phase there is no ratio, and the reason says which side is missing."""
    found = ratio(estimate(20, 10, 40), no_estimate("there is no steady phase"))

    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.reason == "in the steady phase: there is no steady phase"


def test_the_sum_of_two_variances_has_more_degrees_of_freedom() -> None:
    """Both half-lengths at t(9): equal ones add up at t(18), and one alone stays at t(9)."""
    one = replace(estimate(20, 10, 40), degrees=9)
    exact = replace(estimate(10, 10, 10), degrees=9)
    other = replace(estimate(10, 5, 20), degrees=9)
    t9, t18 = stats.t.ppf(0.975, 9), stats.t.ppf(0.975, 18)

    assert ratio(one, exact).high == pytest.approx(4.0)
    assert ratio(one, other).high == pytest.approx(2 * 2 ** (math.sqrt(2) * t18 / t9))


def test_unknown_rows_add_to_the_noise_and_do_not_average_out() -> None:
    """20 that may be 25, [10, 50] in all: upwards from 25 with its own noise of a factor of two."""
    fault = replace(estimate(20, 10, 50), value_least=20.0, value_most=25.0, bounded_by_unknowns=True)
    found = ratio(fault, estimate(10, 10, 10))

    assert (found.low, found.high) == (pytest.approx(1.0), pytest.approx(5.0))
    assert (found.value_least, found.value_most) == (None, None)  # steady knows of none


def test_constant_latency_is_exactly_once_steady() -> None:
    """No noise in either phase: the interval is a point."""
    assert (
        ratio(estimate(20, 20, 20), estimate(20, 20, 20)).low,
        ratio(estimate(20, 20, 20), estimate(20, 20, 20)).high,
    ) == (1.0, 1.0)
