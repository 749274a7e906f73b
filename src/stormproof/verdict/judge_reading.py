"""Claims about what closing probes read: which judge, and the finding that comes of its answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from stormproof.model.hypothesis import ReadingHypothesis
from stormproof.model.verdict import Finding
from stormproof.verdict.judge_health_check import judge_health_check
from stormproof.verdict.judge_retry import judge_retry
from stormproof.verdict.judge_sli import judge_sli
from stormproof.verdict.reading import Answer, closing_reading, unknown

Judge = Callable[[ReadingHypothesis, Mapping[str, Any]], Answer]

# As `readings.jsonl` names the probes.
JUDGES: Mapping[str, Judge] = {
    "cloudwatch_sli": judge_sli,
    "health_check": judge_health_check,
    "retry_with_jitter": judge_retry,
}


def reading_finding(hypothesis: ReadingHypothesis, readings: Iterable[Mapping[str, Any]]) -> Finding:
    """The finding of *hypothesis*; a probe that saw nothing, or a judge that crashes, is inconclusive."""
    seen = closing_reading(readings, hypothesis.probe)
    if seen.value is None:
        answer = unknown(seen.reason, n=0)
    else:
        try:
            answer = JUDGES[hypothesis.probe](hypothesis, seen.value)
        except Exception as error:  # noqa: BLE001  # as in `judge`: a judge that crashes knows nothing
            reason = f"The judge crashed, which says nothing about the claim: {type(error).__name__}: {error}"
            answer = unknown(reason, n=0)
    estimate = answer.estimate
    return Finding(
        claim=hypothesis.text,
        outcome=answer.outcome,
        estimate=_plain(estimate.value),
        low=_plain(estimate.low),
        high=_plain(estimate.high),
        n=estimate.n,
        reason=answer.reason,
        unit=hypothesis.unit.value,
        op=str(hypothesis.op),
        bound=hypothesis.bound,
        method=estimate.method,
        found=answer.found,
        confidence=answer.confidence,
        accepted=hypothesis.accepted,
    )


def _plain(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
