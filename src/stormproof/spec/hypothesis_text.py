"""Claims and stop conditions as the language writes them: parsed again, a text makes the same claim."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from stormproof.model.hypothesis import (
    UNIT_OF,
    AlarmStopCondition,
    ClaimStopCondition,
    Metric,
    ProbeStopCondition,
    ReadingHypothesis,
    Unit,
)
from stormproof.spec.quantity import format_duration, format_rate, format_share
from stormproof.spec.reading_hypothesis import format_reading

if TYPE_CHECKING:
    from stormproof.model.hypothesis import Claim, StopWhen

REFUTED = "refuted"
STEADY, CONTROL = "steady", "control"  # what a ratio may be relative to
PLAIN_NAME = re.compile(r"[^\s<>=≤≥{}\"'\\]+")  # an endpoint or a zone that needs no quotes


def format_hypothesis(hypothesis: Claim) -> str:
    """The canonical text: parsed again it makes the same claim."""
    if isinstance(hypothesis, ReadingHypothesis):
        return format_reading(hypothesis)
    parts = [_metric_text(hypothesis.metric, hypothesis.quantile)]
    if hypothesis.endpoint is not None:
        parts.append(f"of {_quote(hypothesis.endpoint)}")
    if hypothesis.zone is not None:
        parts.append(f"in zone {_quote(hypothesis.zone)}")
    if hypothesis.phase is not None:
        parts.append(f"during {hypothesis.window}")
    bound = format_bound(hypothesis.bound, hypothesis.unit)
    parts += [hypothesis.op, bound.replace(STEADY, CONTROL) if hypothesis.is_beside_control else bound]
    return " ".join(parts)


def format_stop_condition(condition: StopWhen) -> str:
    """The canonical text of a stop condition."""
    if isinstance(condition, ClaimStopCondition):
        return f"{format_hypothesis(condition.claim)} {REFUTED}"
    if isinstance(condition, AlarmStopCondition):
        name = condition.alarm.replace("\\", "\\\\").replace('"', '\\"')
        return f'alarm "{name}"' + (f" for {format_duration(condition.for_s)}" if condition.for_s else "")
    if isinstance(condition, ProbeStopCondition):
        subject, unit = condition.quantity, Unit.COUNT
    else:
        subject, unit = _metric_text(condition.metric, condition.quantile), UNIT_OF[condition.metric]
    return f"{subject} {condition.op} {format_bound(condition.bound, unit)} for {format_duration(condition.for_s)}"


def format_bound(bound: float, unit: Unit) -> str:
    """*bound*, which is in *unit*, as the language writes it: `99.5%`, `500ms`, `140/s`, `2x steady`."""
    if unit is Unit.SHARE:
        return format_share(bound)
    if unit is Unit.MILLISECONDS:
        exact = Decimal(repr(float(bound)))
        return f"{_number(exact)}ms" if exact < 1000 else f"{_number(exact / 1000)}s"
    if unit is Unit.SECONDS:
        return format_duration(bound)
    if unit is Unit.PER_SECOND:
        return format_rate(bound)
    return f"{_number(bound)}x steady" if unit is Unit.RATIO else _number(bound)


def _metric_text(metric: Metric, quantile: float | None) -> str:
    if metric is Metric.LATENCY_QUANTILE:
        assert quantile is not None, "a latency quantile without a quantile was built by hand"
        return f"p{_number(Decimal(repr(quantile)) * 100)} latency"
    return str(metric)


def _number(value: float | Decimal) -> str:
    """Digits without an exponent and without trailing zeros."""
    text = f"{Decimal(repr(value)) if isinstance(value, float) else value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _quote(name: str) -> str:
    is_plain = bool(PLAIN_NAME.fullmatch(name)) and name not in {"in", "during", "of"}
    if is_plain:
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
