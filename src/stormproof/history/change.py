"""Since when a series is elsewhere: two nights in a row, both far from where it was, on the same side.

Each night is held against at most `BASELINE_NIGHTS` nights since the last change, without the last `LAG_NIGHTS`. A
single night that is out stays; its successor decides. After a change the level is learnt anew, and the spread is that
of all nights, each about its own level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from stormproof.history.robust import Level, spread

BASELINE_NIGHTS = 28  # four weeks: every weekday four times
NIGHTS_MIN = 10  # before that nothing is known of the spread
LAG_NIGHTS = 3
SETTLED_NIGHTS = 5  # after a change, until the new level is one
Z_MAX = 3.0  # bench/drift_alarms.py says what it gives


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One night's number on its scale, and its own standard error there (0: not known); None: not tested."""

    value: float | None
    error: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A series that moved: *first* is the place of the first night elsewhere, *told* of the night that showed it."""

    first: int
    told: int
    before: Level
    after: float  # the median of the nights from *first* to *told*, on the scale
    z: float  # of the lesser of the last two, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Everything that was seen along a series."""

    changes: tuple[Change, ...]
    z: tuple[float | None, ...]  # a night: how far out; None: not tested, or nothing to hold it against yet


def scan(points: Sequence[Point], *, least_sd: float) -> Scan:
    """Every change along *points*, in order; a night that was not tested neither makes nor breaks a row."""
    changes: list[Change] = []
    z: list[float | None] = [None] * len(points)
    segments: list[list[int]] = [[]]  # places of tested nights, a list a level
    for place, point in enumerate(points):
        if point.value is None:
            continue
        current = segments[-1]
        level = _level(points, segments, least_sd)
        if level is not None and current:
            now = z[place] = level.z(point.value, point.error)
            before = _z(level, points[current[-1]])
            if min(abs(now), abs(before)) > Z_MAX and now * before > 0:
                first = _first(points, current, level, now)
                moved = [one for one in current if one >= first]
                segments[-1] = [one for one in current if one < first]
                segments.append([*moved, place])
                after = median(_number(points[one]) for one in segments[-1])
                least = min(before, now, key=abs)
                changes.append(Change(first=first, told=place, before=level, after=after, z=least))
                continue
        current.append(place)
    return Scan(changes=tuple(changes), z=tuple(z))


def _first(points: Sequence[Point], current: Sequence[int], level: Level, z: float) -> int:
    """The first of the nights before that are on the same side as *z*, more than half-way out, without a gap."""
    first = current[-1]
    for place in reversed(current[-LAG_NIGHTS:]):
        if _z(level, points[place]) * z <= 0 or abs(_z(level, points[place])) < Z_MAX / 2:
            break
        first = place
    return first


def _level(points: Sequence[Point], segments: Sequence[list[int]], least_sd: float) -> Level | None:
    """The level that the next night is held against; None while too few nights are known.

    The last `LAG_NIGHTS` are left out, or a change that was not clear at once would teach its own level.
    """
    current = segments[-1][:-LAG_NIGHTS][-BASELINE_NIGHTS:]
    earlier = sum(len(segment) for segment in segments[:-1])
    if len(current) < (SETTLED_NIGHTS if earlier else NIGHTS_MIN):
        return None
    residuals: list[float] = []
    for segment in (current, *reversed(segments[:-1])):
        values = [_number(points[place]) for place in segment[-BASELINE_NIGHTS:]]
        if len(values) > 1:
            middle = median(values)
            residuals += [value - middle for value in values]
        if len(residuals) >= BASELINE_NIGHTS:
            break
    errors = median(points[place].error for place in current)
    values = [_number(points[place]) for place in current]
    return Level(median=median(values), sd=max(spread(residuals), errors, least_sd), n=len(values))


def _z(level: Level, point: Point) -> float:
    return level.z(_number(point), point.error)


def _number(point: Point) -> float:
    assert point.value is not None
    return point.value
