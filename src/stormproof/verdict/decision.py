"""An estimate against its bound: held, refuted or inconclusive, and what would decide it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stormproof.analysis.distribution import normal_quantile
from stormproof.analysis.estimate import ALPHA_SIDE
from stormproof.analysis.proportion import clopper_pearson
from stormproof.analysis.sequence import ANY_TIME, share_sequence
from stormproof.model.hypothesis import Metric, Op, Unit
from stormproof.model.verdict import Outcome

if TYPE_CHECKING:
    from stormproof.analysis.estimate import Estimate
    from stormproof.model.hypothesis import Hypothesis

FACTOR_MAX = 1000  # more than this many times the requests is no advice
_SHARES = frozenset({Metric.AVAILABILITY, Metric.ERROR_RATE, Metric.TRAFFIC_SHARE})
_EVENTS = frozenset({Metric.TIME_TO_DETECT, Metric.TIME_TO_RECOVER})


def satisfies(value: float, op: Op, bound: float) -> bool:
    """Whether *value* satisfies ``op bound``; NaN satisfies nothing."""
    match op:
        case Op.LE:
            return value <= bound
        case Op.LT:
            return value < bound
        case Op.GE:
            return value >= bound
        case Op.GT:
            return value > bound


def decide(estimate: Estimate, op: Op, bound: float) -> Outcome:
    """Held only if the whole interval satisfies the bound, refuted only if none of it does, else inconclusive.

    An estimate without a value is never held, yet refuted when every value its interval allows breaks the bound
    (an outage that had not ended when load did).
    """
    if estimate.low is None or estimate.high is None or math.isnan(estimate.low) or math.isnan(estimate.high):
        return Outcome.INCONCLUSIVE
    ends = (satisfies(estimate.low, op, bound), satisfies(estimate.high, op, bound))
    if not any(ends):
        return Outcome.REFUTED
    return Outcome.HELD if all(ends) and estimate.value is not None else Outcome.INCONCLUSIVE


def what_would_decide(
    hypothesis: Hypothesis, estimate: Estimate, *, rate_per_s: float, tail: float = ALPHA_SIDE
) -> str:
    """One clause: how many requests, in how many seconds at *rate_per_s*, would decide if the estimate is right.

    *tail* is smaller than that of *estimate* where several claims of one spec share the chance of a false refutation.
    """
    if estimate.low is None or estimate.high is None:
        return ""
    if hypothesis.metric in _EVENTS:
        return "it is one event: a bound further away or more runs would decide" if estimate.value is not None else ""
    if hypothesis.metric is Metric.REQUESTS_FAILED:
        return "what the failures without a zone belong to would decide"
    if estimate.value is None:
        return "a bound on the metric itself would decide" if hypothesis.is_relative else ""
    if _hidden(hypothesis.bound, estimate):
        return "what the failed requests hide would decide, not more of them"
    if estimate.value == hypothesis.bound:
        return "the estimate is the bound itself: no number of requests would decide"
    factor = _factor(hypothesis, estimate, tail)
    if factor is None:
        return f"not even {FACTOR_MAX} times as many requests would decide"
    n = math.ceil(estimate.n * factor)
    each = " of each phase" if hypothesis.relative_to_steady else " of each zone" if hypothesis.control_zone else ""
    each = " of each group" if hypothesis.control_header else each
    seconds = f", {math.ceil(n / rate_per_s)} s{each} at {rate_per_s:.3g}/s" if rate_per_s > 0 else ""
    return f"about {n} requests{seconds}, would decide if it stays like this"


def _hidden(bound: float, estimate: Estimate) -> bool:
    """Whether the bound lies within what unknown rows could make of the value: noise that no number averages out."""
    value, high = estimate.value or 0.0, estimate.high if estimate.high is not None else math.inf
    if math.isinf(high) and bound > value:
        return True
    least = value if estimate.value_least is None else estimate.value_least
    most = value if estimate.value_most is None else estimate.value_most
    return estimate.bounded_by_unknowns and least < most and least <= bound <= most


def _factor(hypothesis: Hypothesis, estimate: Estimate, tail: float) -> float | None:
    """How many times the requests; None when beyond reason."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None:
        return None
    if hypothesis.metric in _SHARES and hypothesis.unit is Unit.SHARE and not estimate.bounded_by_unknowns:
        return _share_factor(estimate, hypothesis, tail)
    # An interval shrinks with the root of n; the side that has to shrink is the one towards the bound.
    # What unknown rows could have been does not shrink: distances are from the value at their worst.
    least = value if estimate.value_least is None else estimate.value_least
    most = value if estimate.value_most is None else estimate.value_most
    above = hypothesis.bound > value
    side, distance = (high - most, hypothesis.bound - most) if above else (least - low, least - hypothesis.bound)
    side *= normal_quantile(1 - tail) / normal_quantile(1 - ALPHA_SIDE)
    factor = (side / distance) ** 2 * 1.05 if distance > 0 else math.inf
    return max(factor, 1.0) if math.isfinite(factor) and factor <= FACTOR_MAX else None


def _share_factor(estimate: Estimate, hypothesis: Hypothesis, tail: float) -> float | None:
    """Exact for a share: the factor at which its interval at the same share clears the bound, to 2 %."""
    value, n = estimate.value or 0.0, estimate.n
    interval = share_sequence if estimate.method == ANY_TIME else clopper_pearson

    def clears(factor: float) -> bool:
        ends = interval(value * n * factor, n * factor, tail=tail)
        return len({satisfies(end, hypothesis.op, hypothesis.bound) for end in ends}) == 1

    low, high = 1.0, 2.0
    while not clears(high):
        low, high = high, high * 2
        if high > FACTOR_MAX:
            return None
    while high / low > 1.02:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if clears(middle) else (middle, high)
    return high
