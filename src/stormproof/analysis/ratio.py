"""One phase relative to steady: the ratio of two estimates, each with its own interval."""

from __future__ import annotations

import math

from stormproof.analysis.distribution import student_t_quantile
from stormproof.analysis.estimate import ALPHA_SIDE, Estimate, no_estimate


def ratio(fault: Estimate, steady: Estimate, *, tail: float = ALPHA_SIDE, beside: str = "the steady phase") -> Estimate:
    """``fault / steady`` with a 95 % interval, from estimates whose intervals count the noise between blocks.

    *beside* is what *steady* was measured in, for the reasons.

    On the logarithm, by variance recovery: ``log low = log(v1 / v2) - √((log v1 - log l1)² + (log u2 - log v2)²)`` and
    likewise upwards (MOVER: Zou and Donner, Statistics in Medicine 2008). Both half-lengths were made with Student's t
    at the degrees of freedom of one phase; the sum of two variances has more of them (Welch, Biometrika 1947), and the
    root is made with those. *tail* is the one that both intervals were made with. What unknown rows could have been is
    no noise and does not average out: for each end, v1 and v2 are the values with these rows at their worst.

    Where a value is zero or not finite that does not apply: then ``l1 / u2`` to ``u1 / l2``, which is wider. Nothing is
    ever divided by zero: without a steady value the ratio has none, and an upper end without bound is infinite.
    """
    method = f"{fault.method}; ratio by variance recovery on the logarithm"
    if _interval(fault) is None:
        return no_estimate(fault.reason, n=fault.n, method=method)
    if _interval(steady) is None:
        return no_estimate(f"in {beside}: {steady.reason}", n=fault.n, method=method)
    fault_low, fault_high = _interval(fault) or (0.0, math.inf)
    steady_low, steady_high = _interval(steady) or (0.0, math.inf)
    note = "; ".join(part for part in (fault.note, steady.note and f"in {beside}: {steady.note}") if part)
    low, high = _divide(fault_low, steady_high, otherwise=0.0), _divide(fault_high, steady_low, otherwise=math.inf)
    degrees = fault.degrees, steady.degrees
    least, most = _value(fault, fault.value_least), _value(steady, steady.value_most)
    if least and most:
        down = _root(_log_ratio(least, fault_low), _log_ratio(steady_high, most), degrees, tail)
        low = math.exp(math.log(least / most) - down)
    most, least = _value(fault, fault.value_most), _value(steady, steady.value_least)
    if least and most:
        up = _root(_log_ratio(fault_high, most), _log_ratio(least, steady_low), degrees, tail)
        high = _exp(math.log(most / least) + up)
    if not fault.value or not steady.value:
        method = f"{fault.method}; ratio of the interval's ends"
    value, reason = None, ""
    if fault.value is None:
        reason = fault.reason
    elif not steady.value:
        reason = steady.reason or f"it is zero in {beside}, so there is nothing to compare with"
    else:
        value = fault.value / steady.value
    return Estimate(
        value=value,
        low=low,
        high=high,
        n=fault.n,
        method=method,
        reason=reason,
        note=note,
        value_least=_over(fault.value_least, steady.value_most),
        value_most=_over(fault.value_most, steady.value_least),
        bounded_by_unknowns=fault.bounded_by_unknowns or steady.bounded_by_unknowns,
    )


def _value(estimate: Estimate, worst: float | None) -> float:
    """The value with unknown rows at their *worst*; 0 where there is none that has a logarithm."""
    value = estimate.value if worst is None else worst
    return value if estimate.value and value is not None and math.isfinite(value) else 0.0


def _over(numerator: float | None, denominator: float | None) -> float | None:
    if numerator is None or not denominator or not math.isfinite(numerator / denominator):
        return None
    return numerator / denominator


def _root(one: float, other: float, degrees: tuple[float | None, float | None], tail: float) -> float:
    """The root of the sum of squares of two half-lengths, at the degrees of freedom that the sum has."""
    first, second = degrees
    root = math.hypot(one, other)
    if first is None or second is None or root == 0 or math.isinf(root):
        return root
    t_first, t_second = student_t_quantile(1 - tail, first), student_t_quantile(1 - tail, second)
    v1, v2 = (one / t_first) ** 2, (other / t_second) ** 2
    welch = (v1 + v2) ** 2 / (v1**2 / first + v2**2 / second)
    return student_t_quantile(1 - tail, welch) * math.sqrt(v1 + v2)


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
