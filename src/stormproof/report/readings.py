"""What closing probes read, as rows for print: the main numbers; `readings.jsonl` has all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from stormproof.record import events as names
from stormproof.report.facts import number
from stormproof.report.notation import DASH, clean, count, quantity

if TYPE_CHECKING:
    from pathlib import Path

    from stormproof.report.facts import Facts

ROWS_MAX = 60
_LINE_MAX = 8 << 20  # bytes; a longer line is no reading of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingTable:
    """One closing probe: (what, number) rows, or why it saw nothing."""

    probe: str
    rows: tuple[tuple[str, str], ...]
    blind: str


def reading_tables(facts: Facts) -> tuple[ReadingTable, ...]:
    """A table a closing probe that was asked, in their order."""
    asked = dict.fromkeys(str(row.get("probe")) for row in facts.named(names.PROBE_READ, names.PROBE_BLIND))
    last = _last_lines(facts.folder.readings, asked) if asked else {}
    return tuple(_table(probe, last.get(probe, {})) for probe in asked)


def _last_lines(path: Path, probes: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """The last line of each of *probes*; most lines are the prober's, and are not parsed."""
    found: dict[str, Mapping[str, Any]] = {}
    if not path.exists():
        return found
    marks = {probe: probe.encode() for probe in probes}
    with path.open("rb") as lines:
        for line in lines:
            if len(line) > _LINE_MAX or not any(mark in line for mark in marks.values()):
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(row, dict) and row.get("probe") in marks:
                found[row["probe"]] = row
    return found


def _table(probe: str, row: Mapping[str, Any]) -> ReadingTable:
    reading = row.get("reading")
    if not isinstance(reading, Mapping):
        why = clean(row.get("error") or "it left no reading")
        return ReadingTable(probe=clean(probe), rows=(), blind=why)
    dependencies = reading.get("dependencies")
    if isinstance(dependencies, Mapping):
        rows = [
            (f"{name} · {what}" if what else str(name), text)
            for name, one in dependencies.items()
            if isinstance(one, Mapping) and one.get("arrivals")
            for what, text in _retry_rows(one)
        ]
    else:
        rows = _plain_rows(reading)
    shown = tuple((clean(what, limit=80), clean(text, limit=200)) for what, text in rows[:ROWS_MAX])
    return ReadingTable(probe=clean(probe), rows=shown, blind="")


def _retry_rows(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of one dependency: how much, and how its clients retry."""
    rows = [("arrivals", f"{count(number(one.get('arrivals')))} from {count(number(one.get('clients')))} clients")]
    by_phase = one.get("amplification")
    for phase, found in by_phase.items() if isinstance(by_phase, Mapping) else ():
        if isinstance(found, Mapping) and number(found.get("estimate")) is not None:
            ends = [quantity(number(found.get(end)), "ratio") for end in ("low", "high")]
            between = "" if DASH in ends else f" ({ends[0]} to {ends[1]})"
            text = f"{quantity(number(found['estimate']), 'ratio')}{between}, {count(found.get('n_ops'))} calls"
            rows.append((f"amplification, {phase}", text))
    identified = one.get("fault")
    if not isinstance(identified, Mapping):
        return rows
    confidences = identified.get("confidence")
    sure = confidences if isinstance(confidences, Mapping) else {}
    for key, unit in _IDENTIFIED:
        value = identified.get(key)
        if value is None:
            continue
        confidence = number(sure.get(key))
        tail = "" if confidence is None else f" (confidence {confidence:.2f})"
        rows.append((key.removesuffix("_s").replace("_", " "), _text(value, unit) + tail))
    return rows


# What is printed of an identified client, and in which unit.
_IDENTIFIED = (
    ("attempts_max", "count"),
    ("family", ""),
    ("base_s", "s"),
    ("multiplier", "ratio"),
    ("cap_s", "s"),
    ("jitter", ""),
    ("synchrony", "share"),
    ("honours_retry_after", ""),
    ("budget", ""),
    ("breaker", ""),
)


def _plain_rows(reading: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The numbers and words at the top of a reading; `x_low_s` and `x_high_s` stand with `x_s`, as its interval."""
    rows = []
    for key, value in reading.items():
        if isinstance(value, Mapping | list) or key.endswith(("_low_s", "_high_s")):
            continue
        if key.endswith("_s"):
            stem = key.removesuffix("_s")
            ends = [quantity(number(reading.get(f"{stem}_{end}_s")), "s") for end in ("low", "high")]
            between = "" if ends == [DASH, DASH] else f" ({ends[0]} to {ends[1]})"
            rows.append((stem.replace("_", " "), quantity(number(value), "s") + between))
        else:
            rows.append((key.replace("_", " "), _why(reading, key) if value is None else _text(value, "")))
    return rows


def _why(reading: Mapping[str, Any], key: str) -> str:
    reasons = reading.get("reasons")
    reason = reasons.get(key) if isinstance(reasons, Mapping) else None
    return f"{DASH} ({reason})" if reason else DASH


def _text(value: Any, unit: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    found = number(value)
    if found is None:
        return str(value)
    return quantity(found, unit) if unit else f"{found:.4g}"
