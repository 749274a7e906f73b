"""Claims about what `retry_with_jitter` identified in the arrivals at one dependency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stormproof.analysis.estimate import Estimate
from stormproof.verdict.judge_amplification import judge_amplification
from stormproof.verdict.judge_number import judge_number
from stormproof.verdict.judge_synchrony import judge_synchrony
from stormproof.verdict.judge_word import judge_word
from stormproof.verdict.reading import CONFIDENCE_MIN, Answer, number_in, unknown, why_none

if TYPE_CHECKING:
    from stormproof.model.hypothesis import ReadingHypothesis

METHOD = "closing probe, the most attempts of one call"
FAULT = "fault"


def judge_retry(hypothesis: ReadingHypothesis, value: Mapping[str, Any]) -> Answer:
    """Hold *hypothesis* against the reading *value*, which has an entry for each dependency."""
    dependencies = value.get("dependencies")
    known = dependencies if isinstance(dependencies, dict) else {}
    of_dependency = known.get(hypothesis.dependency)
    if not isinstance(of_dependency, dict):
        have = ", ".join(sorted(map(str, known))) or "none"
        return unknown(f"the probe has no reading of {hypothesis.dependency or 'a dependency'}; it has: {have}", n=0)
    if hypothesis.reading == "amplification":
        return judge_amplification(hypothesis, of_dependency)
    identified = of_dependency.get(FAULT)
    if not isinstance(identified, dict):
        return unknown(why_none(of_dependency, FAULT), n=0)
    n = int(number_in(identified, "n_ops") or 0)
    if hypothesis.reading == "synchrony":
        return judge_synchrony(hypothesis, identified, n=n)
    confidences = identified.get("confidence")
    key = hypothesis.reading
    confidence = number_in(confidences, key) if isinstance(confidences, dict) else None
    if key == "attempts_max":
        return _attempts(hypothesis, identified, confidence, n=n)
    return judge_word(hypothesis, identified.get(key), confidence=confidence, n=n, why=why_none(identified, key))


def _attempts(
    hypothesis: ReadingHypothesis, identified: Mapping[str, Any], confidence: float | None, *, n: int
) -> Answer:
    """The most attempts that were seen; only where the probe is sure that there are not more."""
    most = number_in(identified, "attempts_max")
    if most is None:
        return unknown(why_none(identified, "attempts_max"), n=n)
    if confidence is None or confidence < CONFIDENCE_MIN:
        sure = "does not say how sure it is" if confidence is None else f"is only {confidence:.2f} sure"
        return unknown(f"at most {most:.0f} attempts were seen, but the probe {sure} that there are not more", n=n)
    return judge_number(hypothesis, Estimate(value=most, low=most, high=most, n=n, method=METHOD))
