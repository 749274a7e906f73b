"""A claim about a number that a probe read: its interval against the bound, as for every other estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormproof.model.hypothesis import Op
from stormproof.model.verdict import Outcome
from stormproof.verdict.decision import decide
from stormproof.verdict.reading import Answer
from stormproof.verdict.wording import quantity

if TYPE_CHECKING:
    from stormproof.analysis.estimate import Estimate
    from stormproof.model.hypothesis import ReadingHypothesis


def judge_number(hypothesis: ReadingHypothesis, estimate: Estimate, *, interval: str = "between") -> Answer:
    """Held when all of the interval satisfies the bound, refuted when none of it does."""
    if hypothesis.bound is None:
        raise ValueError(f"{hypothesis.text!r} has no bound")
    outcome = decide(estimate, Op(hypothesis.op), hypothesis.bound)
    return Answer(outcome=outcome, reason=_reason(hypothesis, estimate, outcome, interval), estimate=estimate)


def _reason(hypothesis: ReadingHypothesis, estimate: Estimate, outcome: Outcome, interval: str) -> str:
    unit = hypothesis.unit
    bound = f"{hypothesis.op} {quantity(hypothesis.bound or 0.0, unit)}"
    if estimate.low is None or estimate.high is None:
        return f"No estimate: {estimate.reason}."
    found = quantity(estimate.value, unit) if estimate.value is not None else f"No value ({estimate.reason})"
    ends = f"{interval} {quantity(estimate.low, unit)} and {quantity(estimate.high, unit)}"
    said = f"{found}, {ends}, n = {estimate.n}"
    match outcome:
        case Outcome.HELD:
            return f"{said}: all of it is {bound}."
        case Outcome.REFUTED:
            return f"{said}: none of it is {bound}."
        case _:
            return f"{said}: the bound {bound} lies within."
