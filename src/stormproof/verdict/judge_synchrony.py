"""A claim that a fleet's retries are not synchronised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stormproof.verdict.judge_word import judge_word
from stormproof.verdict.reading import Answer, number_in, unknown

if TYPE_CHECKING:
    from stormproof.model.hypothesis import ReadingHypothesis

# The reading is an excess share: how much of each wave of retries falls into its densest 100 ms, beyond what as many
# independent clients would put there: 0 is independence, 1 all at once. Fleets that were made to fail in one instant
# come back with 0.92 and more without jitter, 0.81 to 0.92 with ±20 %, 0.54 to 0.59 with equal and 0.32 to 0.35 with
# full jitter of 400 ms: half is where a wave that everybody is in ends.
SYNCHRONY_MAX = 0.5


def judge_synchrony(hypothesis: ReadingHypothesis, identified: Mapping[str, Any], *, n: int) -> Answer:
    """Held at most `SYNCHRONY_MAX`, where the probe is sure; clients that do not retry cannot retry together."""
    if identified.get("retries") is False:
        confidence = _confidence(identified, "family")
        return judge_word(hypothesis, True, confidence=confidence, n=n, why="")
    synchrony = number_in(identified, "synchrony")
    if synchrony is None:
        return unknown("the probe could not tell the synchrony of the retries", n=n)
    answer = judge_word(
        hypothesis, synchrony <= SYNCHRONY_MAX, confidence=_confidence(identified, "synchrony"), n=n, why=""
    )
    excess = f"{synchrony:.0%} of the retry traffic beyond chance falls together, at most {SYNCHRONY_MAX:.0%} is none"
    return Answer(
        outcome=answer.outcome,
        reason=f"{answer.reason.rstrip('.')} ({excess}).",
        estimate=answer.estimate,
        found=answer.found,
        confidence=answer.confidence,
    )


def _confidence(identified: Mapping[str, Any], key: str) -> float | None:
    confidences = identified.get("confidence")
    return number_in(confidences, key) if isinstance(confidences, dict) else None
