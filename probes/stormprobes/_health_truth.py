"""Whether a target was fine or failing, as the load saw it, beside what the balancer said of it.

The truth is told by the second and only where something shows it; seconds in which nothing does are counted apart.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormprobes._health_timing import EXPECTED_MIN
from stormprobes._history import Fault, History, Opinion

if TYPE_CHECKING:
    import pandas as pd

BLOCK_S = 1.0
GAP_MAX_S = 5.0  # between two looks at the balancer; in a longer one nobody knows what it held


class Truth(enum.StrEnum):
    """What one second showed of one target."""

    FINE = "fine"
    FAILING = "failing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Target-seconds in which the balancer was wrong about one target, and in which nothing showed who was right."""

    healthy_but_failing_s: float
    unhealthy_but_fine_s: float
    unknown_s: float
    known_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seconds:
    """Requests by group and second of their sending, looks at the balancer by second."""

    ok: Mapping[tuple[str, int], int]
    failed: Mapping[tuple[str, int], int]
    nameless_failed: Mapping[int, int]
    looks: Mapping[int, Sequence[Opinion]]


def mismatch(history: History, target: str) -> Mismatch:
    """How long *target* was called healthy while it failed, and unhealthy while it was fine.

    Each look counts until the next one. A second is failing when most of the answers that name the target failed; when
    it answered none of the requests that it was due, though the balancer called it healthy, others answered theirs,
    and some requests failed without a name; or while a fault that silences it is in force. It is fine when most
    answers succeeded, and after such a fault was seen gone from outside.
    """
    seen = _count(history)
    wrong = {Truth.FAILING: 0.0, Truth.FINE: 0.0}
    unknown_s = known_s = 0.0
    views = history.views(target)
    for (opinion, view), (later, _) in itertools.pairwise(views):
        held_s = later.at_s - opinion.at_s
        if held_s > GAP_MAX_S:
            unknown_s += held_s
            continue
        truth = truth_of(history, seen, target, (opinion.at_s + later.at_s) / 2)
        if truth is Truth.UNKNOWN:
            unknown_s += held_s
            continue
        known_s += held_s
        if view.healthy is (truth is Truth.FAILING):
            wrong[truth] += held_s
    return Mismatch(
        healthy_but_failing_s=wrong[Truth.FAILING],
        unhealthy_but_fine_s=wrong[Truth.FINE],
        unknown_s=unknown_s,
        known_s=known_s,
    )


def truth_of(history: History, seen: _Seconds, target: str, at_s: float) -> Truth:
    """What the second around *at_s* showed of *target*."""
    for fault in history.faults:
        if fault.silences and target in fault.targets and fault.onset_high_s <= at_s < _end(fault):
            return Truth.FAILING
    group = history.group_of(target)
    if group is not None:
        shown = _answered(history, seen, group, math.floor(at_s / BLOCK_S))
        if shown is not Truth.UNKNOWN:
            return shown
    mended = any(
        target in fault.targets and fault.silences and fault.end_high_s is not None and at_s >= fault.end_high_s
        for fault in history.faults
    )
    return Truth.FINE if mended else Truth.UNKNOWN


def _end(fault: Fault) -> float:
    return math.inf if fault.end_low_s is None else fault.end_low_s


def _answered(history: History, seen: _Seconds, group: str, second: int) -> Truth:
    ok, failed = seen.ok.get((group, second), 0), seen.failed.get((group, second), 0)
    alone = len(history.groups[group]) == 1
    if ok + failed:
        if not alone and (failed or seen.nameless_failed.get(second, 0)):
            return Truth.UNKNOWN  # one of the group may be fine and another not
        return Truth.FINE if ok >= failed else Truth.FAILING
    if not seen.nameless_failed.get(second, 0) or not _called_healthy(history, seen, group, second):
        return Truth.UNKNOWN
    others = [name for name in history.groups if name != group and _called_healthy(history, seen, name, second)]
    due = [
        (seen.ok.get((name, second), 0) + seen.failed.get((name, second), 0)) / len(history.groups[name])
        for name in others
    ]
    # A balancer that spreads evenly would have given this one as many.
    return Truth.FAILING if due and sum(due) / len(due) >= EXPECTED_MIN else Truth.UNKNOWN


def _called_healthy(history: History, seen: _Seconds, group: str, second: int) -> bool:
    """Whether every look of that second called every target of *group* healthy, and there was one."""
    views = [
        opinion.targets[target].healthy
        for opinion in seen.looks.get(second, ())
        for target in history.groups[group]
        if target in opinion.targets
    ]
    return bool(views) and all(views)


def _count(history: History) -> _Seconds:
    ok: dict[tuple[str, int], int] = {}
    failed: dict[tuple[str, int], int] = {}
    nameless: dict[int, int] = {}
    if history.requests is not None:
        for name, second, good in _rows(history.requests):
            if name:
                counts = ok if good else failed
                counts[name, second] = counts.get((name, second), 0) + 1
            elif not good:
                nameless[second] = nameless.get(second, 0) + 1
    looks: dict[int, list[Opinion]] = {}
    for opinion in history.opinions:
        looks.setdefault(math.floor(opinion.at_s / BLOCK_S), []).append(opinion)
    return _Seconds(ok=ok, failed=failed, nameless_failed=nameless, looks=looks)


def _rows(requests: pd.DataFrame) -> list[tuple[str, int, bool]]:
    seconds = np.floor(requests["sent_at"].to_numpy(dtype=np.float64) / BLOCK_S).astype(np.int64)
    names = requests["served_by"].astype(str).to_numpy()
    return list(zip(names.tolist(), seconds.tolist(), requests["ok"].to_numpy(dtype=bool).tolist(), strict=True))
