"""Whose change it was: the system's, the fault's, the load's or the load generator's.

A change of a claim is put down to the experiment only where a measure of the experiment moved in the same nights, in
the direction that explains it: a weaker fault makes a system look better, never worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from stormproof.history.change import BASELINE_NIGHTS, NIGHTS_MIN, Change
from stormproof.history.measure import FAULT, GENERATOR, LOAD
from stormproof.history.robust import Level, scale_of, spread

SYSTEM = "system"
Z_BESIDE = 2.5  # a claim has moved already: what moved beside it needs less proof than an alarm
SHARE_MIN = 0.05  # of its level; less explains nothing
# From here on a generator is near its limits (verdict/generator.py: 0.9 and 0.05 make a run invalid).
CPU_NEAR, LATE_NEAR = 0.6, 0.01
_ORDER = (GENERATOR, LOAD, FAULT)  # a generator that cannot keep up makes every other number doubtful


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSeries:
    """One measure night by night, at the claim's places; None where it is not known."""

    kind: str
    name: str
    unit: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What a change is put down to, and why."""

    kind: str  # system | fault | load | generator
    words: str  # "the fault was weaker"
    because: str  # the numbers


def cause_of(change: Change, *, worse: bool, beside: Sequence[MeasureSeries]) -> Cause:
    """Whose *change* it was; *worse*: the claim moved towards its bound."""
    moved = [found for series in beside if (found := _moved(series, change)) is not None]
    for kind in _ORDER:
        for one in moved:
            if one.kind == kind and (words := _explains(one, worse=worse)):
                return Cause(kind=kind, words=words, because=one.because)
    against = [one.because for one in moved if one.kind != GENERATOR]
    words = "the system got worse" if worse else "the system got better"
    because = "fault, load and load generator were as before" if beside else "nothing else is known of these runs"
    if against:
        because = f"although {'; '.join(against)}, which would have had the other effect"
    return Cause(kind=SYSTEM, words=words, because=because)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moved:
    kind: str
    name: str
    up: bool
    now: float
    because: str


def _moved(series: MeasureSeries, change: Change) -> _Moved | None:
    """How *series* moved in the nights of *change*, both to the same side; None where it did not, or nobody knows."""
    nights = series.values[change.first : change.told + 1]
    before = [value for value in series.values[: change.first] if value is not None][-BASELINE_NIGHTS:]
    now = [value for value in nights if value is not None][-2:]  # those that showed it; before, chance may have helped
    if len(now) < 2 or len(before) < NIGHTS_MIN // 2:
        return None
    scale = scale_of(series.unit)
    middle = median(scale.to(value) for value in before)
    sd = max(spread([scale.to(value) - middle for value in before]), scale.least_sd)
    level = Level(median=middle, sd=sd, n=len(before))
    z = [level.z(scale.to(value)) for value in now]
    was, is_ = scale.back(middle), median(now)
    if min(abs(one) for one in z) < Z_BESIDE or min(z) < 0 < max(z) or abs(is_ - was) < SHARE_MIN * abs(was):
        return None
    because = f"{series.name}: {_number(is_, series.unit)}, {_number(was, series.unit)} before"
    return _Moved(kind=series.kind, name=series.name, up=z[0] > 0, now=is_, because=because)


def _explains(moved: _Moved, *, worse: bool) -> str:
    """What *moved* is called where it explains a change for the *worse* or the better; "" where it does not."""
    if moved.kind == GENERATOR:
        near = LATE_NEAR if "late" in moved.name else CPU_NEAR
        return "the load generator was near its limits" if worse and moved.up and moved.now >= near else ""
    if moved.up is not worse:
        return ""
    if moved.kind == LOAD:
        return "the load was higher" if moved.up else "the load was lower"
    return "the fault was stronger" if moved.up else "the fault was weaker"


def _number(value: float, unit: str) -> str:
    from stormproof.report.notation import quantity

    return quantity(value, unit)
