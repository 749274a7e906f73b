"""One phase relative to steady: the ratio of two estimates, each with its own interval."""

from __future__ import annotations

import math

from stormproof.analysis.estimate import Estimate, no_estimate


def ratio(fault: Estimate, steady: Estimate) -> Estimate:
    """``fault / steady`` with a 95 % interval, from estimates whose intervals count the noise between blocks.

    On the logarithm, by variance recovery: ``log low = d - √((log v1 - log l1)² + (log u2 - log v2)²)`` and
    likewise upwards (MOVER: Zou and Donner, Statistics in Medicine 2008). Where a value is zero or an interval also
    spans unknown rows that does not apply: then ``l1 / u2`` to ``u1 / l2``, which is wider. Nothing is ever divided
    by zero: without a steady value the ratio has none, and an upper end without bound is infinite.
    """
    method = f"{fault.method}; ratio by variance recovery on the logarithm"
    if _interval(fault) is None:
        return no_estimate(fault.reason, n=fault.n, method=method)
    if _interval(steady) is None:
        return no_estimate(f"in the steady phase: {steady.reason}", n=fault.n, method=method)
    fault_low, fault_high = _interval(fault) or (0.0, math.inf)
    steady_low, steady_high = _interval(steady) or (0.0, math.inf)
    note = "; ".join(part for part in (fault.note, steady.note and f"steady: {steady.note}") if part)
    if not fault.value or not steady.value or fault.bounded_by_unknowns or steady.bounded_by_unknowns:
        low, high = _divide(fault_low, steady_high, otherwise=0.0), _divide(fault_high, steady_low, otherwise=math.inf)
        method = f"{fault.method}; ratio of the interval's ends"
    else:
        distance = math.log(fault.value / steady.value)
        down = math.hypot(_log_ratio(fault.value, fault_low), _log_ratio(steady_high, steady.value))
        up = math.hypot(_log_ratio(fault_high, fault.value), _log_ratio(steady.value, steady_low))
        low, high = math.exp(distance - down), _exp(distance + up)
    value, reason = None, ""
    if fault.value is None:
        reason = fault.reason
    elif not steady.value:
        reason = steady.reason or "it is zero in the steady phase, so there is nothing to compare with"
    else:
        value = fault.value / steady.value
    return Estimate(value=value, low=low, high=high, n=fault.n, method=method, reason=reason, note=note)


def _interval(estimate: Estimate) -> tuple[float, float] | None:
    return None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)


def _divide(numerator: float, denominator: float, *, otherwise: float) -> float:
    if denominator == 0 or (math.isinf(numerator) and math.isinf(denominator)):
        return otherwise
    return numerator / denominator


def _log_ratio(larger: float, smaller: float) -> float:
    if smaller <= 0 or math.isinf(larger):
        return math.inf
    return math.log(larger / smaller)


def _exp(exponent: float) -> float:
    return math.inf if math.isinf(exponent) else math.exp(exponent)
