"""Whether the record of a run can be believed: nothing torn, nothing impossible, nothing missing, nothing changed.

A run judged on a damaged record must never come out held. What a crash leaves (a torn line, a few rows) belongs to
an aborted run; anything else is damage.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from stormproof.errors import RunDirectoryError
from stormproof.model.verdict import Check
from stormproof.record import events as names
from stormproof.record.seal import broken, differences, sealed_digests

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from stormproof.record.layout import RunDirectory
    from stormproof.record.sample_part import SamplePart
    from stormproof.verdict.timeline import Timeline

WHOLE = "record whole"
UNCHANGED = "record as sealed"
CLOCK_SLACK_S = 600.0  # an event tells of an instant near its writing; further away it is damage, not a slow machine
ROUNDING_S, ROUNDING_MS = 1e-3, 1.0
MISSING_MIN, MISSING_SHARE = 2, 0.001  # rows that may be missing: requests in flight when the load was cut off
# What a verdict rests on; reports, logs and the verdict itself are made from it.
EVIDENCE = ("run.json", "spec.yaml", "events.jsonl", "readings.jsonl", "journal.json", "samples/", "arrivals/")

_NUMBERS = ("wall_s", "mono_s", "warmup_s", "timeout_s", "delivered_share_min")
_INSTANTS = ("at", "last_ok_at")
_OBJECTS = ("evidence", "effect")


def read_story(path: Path) -> tuple[list[dict[str, Any]], tuple[int, ...]]:
    """The events at *path*, and the numbers of the lines that are none (a process died half-way through one).

    Raises `RunDirectoryError` for an event that is whole and yet says what no run can have written.
    """
    if not path.exists():
        return [], ()
    story, torn = [], []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            torn.append(number)
            continue
        if not isinstance(row, dict) or not isinstance(row.get("event"), str):
            torn.append(number)
            continue
        _require_possible(row, where=f"{path}:{number}")
        story.append(row)
    return story, tuple(torn)


def whole_check(story: Sequence[Mapping[str, Any]], torn: Sequence[int], timeline: Timeline) -> Check | None:
    """That every line of the events can be read and the last one is there; None where an abort explains it."""
    if timeline.abort is not None:
        return None
    if torn:
        lines = ", ".join(str(number) for number in torn[:5])
        return Check(name=WHOLE, ok=False, reason=f"events.jsonl: what line {lines} said cannot be read")
    ended = next((number for number, row in enumerate(story, start=1) if row["event"] == names.RUN_ENDED), None)
    if ended is None:
        return Check(name=WHOLE, ok=False, reason="events.jsonl: the run never said that it ended")
    # What comes after (that people were told of this verdict) is no part of what it rests on.
    return Check(name=WHOLE, ok=True, reason=f"{ended} events, all of them readable, to the run's end")


def changed_since_sealed(run: RunDirectory, *, elsewhere: Sequence[SamplePart] | None = None) -> tuple[str, ...]:
    """What a verdict rests on and is not as it was sealed, a sentence a file; empty without a seal.

    *elsewhere* are the samples when they were read from another place than the run directory.
    """
    changed = [sentence for sentence in broken(run) if sentence.startswith(EVIDENCE)]
    if elsewhere is None or not run.sums.exists():
        return tuple(changed)
    folder = f"{run.samples.name}/"
    sealed = {name: digest for name, digest in sealed_digests(run).items() if name.startswith(folder)}
    now = {f"{folder}{part.name}": part.sha256() for part in elsewhere}
    return (*(sentence for sentence in changed if not sentence.startswith(folder)), *differences(sealed, now))


def impossible_rows(samples: pd.DataFrame) -> int:
    """How many rows no load generator can have written.

    A time that is no number, sent before it was due, or a latency that is not the wait until it was sent plus the
    time it took then.
    """
    scheduled_at, sent_at, latency_ms, service_ms = (
        samples[column].to_numpy(dtype=np.float64, na_value=np.nan)
        for column in ("scheduled_at", "sent_at", "latency_ms", "service_ms")
    )
    waited_ms = (sent_at - scheduled_at) * 1000
    with np.errstate(invalid="ignore"):  # infinity minus infinity: NaN, which is not possible either
        adds_up = np.abs(latency_ms - waited_ms - service_ms) <= ROUNDING_MS + 1e-4 * np.abs(latency_ms)
    possible = (waited_ms >= -ROUNDING_S * 1000) & (latency_ms >= 0) & (service_ms >= 0) & adds_up
    return int(np.count_nonzero(~possible))


def unrecorded(rows: Mapping[str, Mapping[int, int]], workers: Sequence[Mapping[str, Any]]) -> int:
    """How many requests were sent and left no row, counted second by second, so that no row stands in for another.

    *rows* are those of each second, by `sent_at` and by `scheduled_at`: a row due at the end of a second may have been
    sent in the next.
    """
    sent: Counter[int] = Counter()
    for worker in workers:
        for second, _, count in worker.get("per_second") or ():
            sent[int(second)] += int(count)
    return sum(max(0, count - max(one.get(second, 0) for one in rows.values())) for second, count in sent.items())


def rows_per_second(at_s: npt.NDArray[np.float64]) -> Counter[int]:
    """How many of *at_s* lie in each Unix second."""
    seconds, counts = np.unique(np.floor(at_s[np.isfinite(at_s)]), return_counts=True)
    return Counter(dict(zip((int(second) for second in seconds), counts.tolist(), strict=True)))


def tolerated(sent: int) -> int:
    """How many of *sent* requests may have left no row."""
    return max(MISSING_MIN, round(MISSING_SHARE * sent))


def _require_possible(row: Mapping[str, Any], *, where: str) -> None:
    """Raise `RunDirectoryError` where a field that the verdict reads is not what it must be."""
    for key in _NUMBERS:
        if key in row or key == "wall_s":
            _require(_is_number(row.get(key)), where, key, "a finite number", row.get(key))
    for key in _INSTANTS:
        at = row.get(key)
        if at is None and (key == "last_ok_at" or key not in row):
            continue
        near = _is_number(at) and abs(float(at) - float(row["wall_s"])) <= CLOCK_SLACK_S  # type: ignore[arg-type]
        expected = f"an instant within {CLOCK_SLACK_S:g} s of wall_s ({row['wall_s']})"
        _require(near, where, key, expected, at)
    for key in _OBJECTS:
        _require(isinstance(row.get(key) or {}, dict), where, key, "an object", row.get(key))
    if row["event"] == names.LOAD_STARTED:
        _require("at" in row, where, "at", "when the load started", None)
    if row["event"] == names.LOAD_STOPPED:
        _require_workers(row, where)


def _require_workers(row: Mapping[str, Any], where: str) -> None:
    workers = row.get("workers")
    if not isinstance(workers, list) or not all(isinstance(worker, dict) for worker in workers):
        raise RunDirectoryError(where=where, what="workers", expected="a list of objects", got=repr(workers)[:80])
    for worker in workers:
        for key in ("offered", "sent", "completed"):
            _require(_is_number(worker.get(key, 0)), where, f"workers.{key}", "a number", worker.get(key))
        for key in ("late_share", "clock_error_ms"):
            value = worker.get(key)
            _require(value is None or _is_number(value), where, f"workers.{key}", "a number", value)
        seconds = worker.get("per_second", [])
        well = isinstance(seconds, list) and all(
            isinstance(one, list) and len(one) == 3 and all(_is_number(value) for value in one) for one in seconds
        )
        _require(well, where, "workers.per_second", "a list of [second, offered, sent]", seconds)
        loop = worker.get("loop_per_second") or []
        well = isinstance(loop, list) and all(
            isinstance(one, list) and len(one) == 5 and all(_is_number(value) for value in one) for one in loop
        )
        _require(well, where, "workers.loop_per_second", "a list of [second, ticks, late, lag_ms, cpu_ms]", loop)


def _require(met: bool, where: str, what: str, expected: str, got: object) -> None:
    if not met:
        raise RunDirectoryError(where=where, what=what, expected=expected, got=repr(got)[:80])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
