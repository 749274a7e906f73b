"""How much one estimate is above another of the same thing, with an interval."""

from __future__ import annotations

import math

from stormproof.analysis.estimate import Estimate, no_estimate

METHOD = "difference by variance recovery (MOVER)"


def difference(after: Estimate, before: Estimate) -> Estimate:
    """``after - before`` with a 95 % interval, from two independent estimates with theirs.

    By variance recovery: ``low = d - √((v1 - l1)² + (u2 - v2)²)``, ``high = d + √((u1 - v1)² + (v2 - l2)²)`` (MOVER:
    Zou and Donner, Statistics in Medicine 2008; for shares it is method 10 of Newcombe, Statistics in Medicine 1998).
    Each distance is the estimate's own, so an interval that is wider on one side stays so. Half-lengths made with
    Student's t are taken as they are, which is wide rather than narrow. An end that is open makes that end open.
    """
    method = f"{METHOD} of: {after.method}"
    if after.value is None or before.value is None:
        lacking = after if after.value is None else before
        return no_estimate(lacking.reason or "there is no number in one of the runs", n=lacking.n, method=method)
    point = after.value - before.value
    if not math.isfinite(point):
        return no_estimate("one of the numbers is without bound", n=min(after.n, before.n), method=method)
    down = math.hypot(_below(after), _above(before))
    up = math.hypot(_above(after), _below(before))
    return Estimate(value=point, low=point - down, high=point + up, n=min(after.n, before.n), method=method)


def _below(one: Estimate) -> float:
    assert one.value is not None
    return math.inf if one.low is None else one.value - one.low


def _above(one: Estimate) -> float:
    assert one.value is not None
    return math.inf if one.high is None else one.high - one.value
