"""What a closing probe left in `readings.jsonl`, and what a judge of it answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stormproof.analysis.estimate import Estimate
from stormproof.model.verdict import Outcome

CONFIDENCE_MIN = 0.9  # an answer in words that the probe is less sure of decides nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingReading:
    """The last look of one probe; *value* is None where it saw nothing, and *reason* says why."""

    value: Mapping[str, Any] | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a judge makes of a reading: an estimate against a bound, or a word that was *found*."""

    outcome: Outcome
    reason: str  # one sentence
    estimate: Estimate
    found: str | None = None
    confidence: float | None = None


def closing_reading(readings: Iterable[Mapping[str, Any]], probe: str) -> ClosingReading:
    """The last line of *probe* in *readings*: what it read, or why it was blind."""
    last: Mapping[str, Any] | None = None
    for row in readings:
        if row.get("probe") == probe:
            last = row
    if last is None:
        return ClosingReading(value=None, reason=f"the probe {probe} left no reading")
    if "error" in last:
        return ClosingReading(value=None, reason=f"the probe {probe} was blind: {last['error']}")
    value = last.get("reading")
    if not isinstance(value, dict):
        return ClosingReading(value=None, reason=f"the probe {probe} left a reading that is no object")
    return ClosingReading(value=value)


def number_in(value: Mapping[str, Any], key: str) -> float | None:
    """The finite number at *key*, None where there is none."""
    found = value.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return float(found)


def why_none(value: Mapping[str, Any], key: str) -> str:
    """The probe's own reason for having no *key*."""
    reasons = value.get("reasons")
    reason = reasons.get(key) if isinstance(reasons, dict) else None
    return str(reason) if reason else f"the probe could not tell {key} and gives no reason"


def unknown(reason: str, *, n: int, found: str | None = None, confidence: float | None = None) -> Answer:
    """Inconclusive, with why."""
    estimate = Estimate(value=None, low=None, high=None, n=n, method="closing probe", reason=reason)
    text = f"{reason[:1].upper()}{reason[1:]}".rstrip(".") + "."
    return Answer(outcome=Outcome.INCONCLUSIVE, reason=text, estimate=estimate, found=found, confidence=confidence)
