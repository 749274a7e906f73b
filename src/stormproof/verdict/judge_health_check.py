"""Claims about what `health_check` read: times with their interval, flaps, and two words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stormproof.analysis.estimate import Estimate
from stormproof.model.hypothesis import Unit
from stormproof.verdict.judge_number import judge_number
from stormproof.verdict.judge_word import judge_word
from stormproof.verdict.reading import Answer, number_in, unknown, why_none

if TYPE_CHECKING:
    from stormproof.model.hypothesis import ReadingHypothesis

METHOD = "closing probe, one event between two looks (n = 1)"
CENSUS = "closing probe, every change counted"
SEEN = 1.0  # the confidence of what was watched happening, where the probe gives none of its own


def judge_health_check(hypothesis: ReadingHypothesis, value: Mapping[str, Any]) -> Answer:
    """Hold *hypothesis* against the reading *value*; what the probe could not tell is inconclusive, with its reason."""
    if hypothesis.step is not None:
        steps = value.get("steps")
        of_step = steps.get(hypothesis.step) if isinstance(steps, dict) else None
        if not isinstance(of_step, dict):
            return unknown(f"the probe has no reading of the step {hypothesis.step}", n=0)
        value = of_step
    key, n = hypothesis.reading, _targets(value)
    if hypothesis.unit is Unit.WORD:
        confidences = value.get("confidence")
        confidence = number_in(confidences, key) if isinstance(confidences, dict) else SEEN
        return judge_word(hypothesis, value.get(key), confidence=confidence, n=n, why=why_none(value, key))
    found = number_in(value, key)
    if hypothesis.unit is Unit.COUNT:
        if found is None:
            return unknown(why_none(value, key), n=n)
        return judge_number(hypothesis, Estimate(value=found, low=found, high=found, n=n, method=CENSUS))
    stem = key.removesuffix("_s")
    low, high = number_in(value, f"{stem}_low_s"), number_in(value, f"{stem}_high_s")
    if low is None:
        return unknown(why_none(value, key), n=n)
    if high is None and found is not None:
        return unknown(f"{found:.2f} s, but the probe gives it no upper end", n=n)
    # Without a value and an upper end it had not happened when the probe last looked: later than *low*, if ever.
    end_s = float("inf") if high is None else high
    reason = "" if found is not None else why_none(value, key)
    return judge_number(hypothesis, Estimate(value=found, low=low, high=end_s, n=1, method=METHOD, reason=reason))


def _targets(value: Mapping[str, Any]) -> int:
    """How many targets the probe saw; at least 1, as there is a reading."""
    targets = value.get("targets")
    count = targets if isinstance(targets, int) else len(targets) if isinstance(targets, dict | list) else 1
    return max(1, count)
