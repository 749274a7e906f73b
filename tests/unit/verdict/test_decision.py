"""One interval against one bound."""

from __future__ import annotations

import math

import pytest

from stormproof.analysis.estimate import Estimate, no_estimate
from stormproof.analysis.proportion import clopper_pearson, share
from stormproof.model.hypothesis import Hypothesis, Metric, Op
from stormproof.model.verdict import Outcome
from stormproof.verdict.decision import decide, what_would_decide

HELD, REFUTED, INCONCLUSIVE = Outcome.HELD, Outcome.REFUTED, Outcome.INCONCLUSIVE


def estimate(low: float, high: float) -> Estimate:
    return Estimate(value=(low + high) / 2, low=low, high=high, n=10, method="m")


@pytest.mark.parametrize(
    ("low", "high", "le", "lt", "ge", "gt"),
    [
        (1.0, 2.0, HELD, HELD, REFUTED, REFUTED),
        (1.0, 3.0, HELD, INCONCLUSIVE, INCONCLUSIVE, REFUTED),
        (2.0, 4.0, INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE),
        (3.0, 3.0, HELD, REFUTED, HELD, REFUTED),
        (3.0, 4.0, INCONCLUSIVE, REFUTED, HELD, INCONCLUSIVE),
        (4.0, 5.0, REFUTED, REFUTED, HELD, HELD),
        (4.0, math.inf, REFUTED, REFUTED, INCONCLUSIVE, INCONCLUSIVE),
        (1.0, math.inf, INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE),
        (math.nan, 1.0, INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE),
    ],
)
def test_against_a_bound_of_three(low: float, high: float, le: Outcome, lt: Outcome, ge: Outcome, gt: Outcome) -> None:
    """Held only if all of the interval satisfies the bound, refuted only if none of it does."""
    found = estimate(low, high)
    if math.isinf(high):
        found = Estimate(value=None, low=low, high=high, n=1, method="m", reason="not recovered")

    assert [decide(found, op, 3.0) for op in (Op.LE, Op.LT, Op.GE, Op.GT)] == [le, lt, ge, gt]


def test_no_estimate_is_inconclusive() -> None:
    """Nothing known decides nothing."""
    assert decide(no_estimate("why"), Op.LE, 3.0) is INCONCLUSIVE


def availability(bound: float) -> Hypothesis:
    return Hypothesis(text="", metric=Metric.AVAILABILITY, op=Op.GE, bound=bound)


def test_the_advice_for_a_share_is_enough_and_not_much_more() -> None:
    """With the advised number at the same share the interval clears the bound; with 5 % fewer it does not."""
    advice = what_would_decide(availability(0.995), share(500, 500), rate_per_s=100)
    n = int(advice.split()[1])

    assert n == pytest.approx(736, rel=0.03)
    assert clopper_pearson(n, n)[0] >= 0.995
    assert clopper_pearson(n * 0.95, n * 0.95)[0] < 0.995
    assert f"{math.ceil(n / 100)} s at 100/s" in advice


def test_on_the_bound_no_number_would_do() -> None:
    """995 of 1000 against 99.5 %: more of the same would never decide."""
    assert "no number of requests" in what_would_decide(availability(0.995), share(995, 1000), rate_per_s=100)


def test_far_too_close_to_the_bound() -> None:
    """An advice of a million requests is none."""
    assert "not even" in what_would_decide(availability(0.99501), share(995, 1000), rate_per_s=100)


def p99_ratio(**fields: float | bool) -> Estimate:
    plain = {"value": 1.5, "low": 1.1, "high": 2.1, "n": 1000, "method": "m"}
    return Estimate(**(plain | fields))  # type: ignore[arg-type]


def test_the_advice_for_a_relative_claim_is_of_each_phase() -> None:
    """1.5 [1.1, 2.1] against 2: the upper side must shrink from 0.6 to 0.5, so 1.44 times the requests, and 5 %."""
    claim = Hypothesis(
        text="", metric=Metric.LATENCY_QUANTILE, op=Op.LE, bound=2.0, quantile=0.99, relative_to_steady=True
    )

    assert what_would_decide(claim, p99_ratio(), rate_per_s=100) == (
        "about 1513 requests, 16 s of each phase at 100/s, would decide if it stays like this"
    )


def test_unknown_rows_do_not_shrink() -> None:
    """Failed requests that could have made it 1.7: the noise beyond that must shrink; at 2.05 no number would do."""
    claim = Hypothesis(
        text="", metric=Metric.LATENCY_QUANTILE, op=Op.LE, bound=2.0, quantile=0.99, relative_to_steady=True
    )
    some, too_many = (p99_ratio(value_least=1.5, value_most=most, bounded_by_unknowns=True) for most in (1.7, 2.05))

    assert "about 1867 requests" in what_would_decide(claim, some, rate_per_s=100)
    assert "failed requests hide" in what_would_decide(claim, too_many, rate_per_s=100)


def test_no_errors_in_steady_is_best_asked_otherwise() -> None:
    """Nothing relative to zero is ever known well; the metric itself is."""
    claim = Hypothesis(text="", metric=Metric.ERROR_RATE, op=Op.LE, bound=2.0, relative_to_steady=True)
    nothing = Estimate(value=None, low=0.5, high=math.inf, n=1000, method="m", reason="zero")

    assert what_would_decide(claim, nothing, rate_per_s=100) == "a bound on the metric itself would decide"
