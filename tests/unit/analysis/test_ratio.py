"""Relative to steady: never a division by zero, decided where it can be."""

from __future__ import annotations

import math

import pytest

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
