"""Tonight against the nights before, a claim at a time: what moved, since when, and whose change it was."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stormproof.history.cause import Cause, MeasureSeries, cause_of
from stormproof.history.change import LAG_NIGHTS, NIGHTS_MIN, Z_MAX, Change, Point, Scan, scan
from stormproof.history.flaky import Flaky, flaky
from stormproof.history.measure import FAULT, GENERATOR, LOAD
from stormproof.history.robust import scale_of
from stormproof.history.series import Night, Track, nights

NIGHTS_NEEDED = NIGHTS_MIN + LAG_NIGHTS + 1  # some to learn from, some that are left out, and one to hold against them
# A spread below which a measure's moves are nobody's business, on the scale of its unit.
LEAST_SD: Mapping[str, float] = {FAULT: 0.015, LOAD: 0.006, GENERATOR: 0.03}
INTERVAL_TO_SD = 2 * 1.959964  # the width of a 95 % interval, in standard errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One change of a claim's number, or of a measure of the experiment itself."""

    since: dt.date  # the first night elsewhere
    told: dt.date  # the second, which showed it
    first: int  # their places among the nights
    told_at: int
    before: float  # the level until then, and the median of the two nights, in the claim's unit
    after: float
    unit: str
    z: float
    worse: bool | None  # None: of a measure
    cause: Cause
    release: str  # the workload's version where it is another one since that night
    quarantined: bool = False

    @property
    def change(self) -> float | None:
        """The relative change; None where there was nothing to be relative to."""
        return None if self.before == 0 else self.after / self.before - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimDrift:
    """Everything that is said of one claim, or one measure."""

    name: str
    nights: tuple[Night, ...]
    drifts: tuple[Drift, ...]
    flaky: Flaky | None
    out_tonight: float | None  # how far out the newest night is, when it is the first: shouts if the next agrees
    waiting: int  # nights that are still missing before anything can be said; 0: it is watched


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackDrift:
    """One experiment in one place."""

    track: Track
    claims: tuple[ClaimDrift, ...]
    measures: tuple[ClaimDrift, ...]

    @property
    def tonight(self) -> tuple[tuple[str, Drift], ...]:
        """What is to be shouted now: shown by the newest night that tested it, and not in quarantine."""
        return tuple(
            (one.name, drift)
            for one in (*self.claims, *self.measures)
            for drift in one.drifts
            if not drift.quarantined and drift.told_at == _newest(one.nights)
        )


def drift_of(track: Track) -> TrackDrift:
    """Every change along *track*."""
    measured = _measured(track)
    by_claim = {claim: nights(track.runs, claim) for claim in track.claims}
    # The nights of the claim that most nights tested: those on which the experiment was one.
    tested = max(by_claim.values(), key=lambda found: sum(one.finding is not None for one in found), default=[])
    return TrackDrift(
        track=track,
        claims=tuple(_of_claim(claim, found, measured) for claim, found in by_claim.items()),
        measures=tuple(_of_measure(tested, kind, name, unit) for (kind, name), unit in measured.items()),
    )


def _of_claim(claim: str, found: Sequence[Night], measured: Mapping[tuple[str, str], str]) -> ClaimDrift:
    unit = next((one.finding.unit for one in reversed(found) if one.finding), "")
    op = next((one.finding.op for one in reversed(found) if one.finding), "<=")
    scale = scale_of(unit)
    seen = scan([_point(one, unit) for one in found], least_sd=scale.least_sd)
    beside = [_series(found, kind, name, measured_unit) for (kind, name), measured_unit in measured.items()]
    outcomes = [one.finding.verdict if one.finding else None for one in found]
    shaky = flaky(outcomes, explained=[place for one in seen.changes for place in (one.first, one.told)])
    drifts = []
    for change in seen.changes:
        worse = (change.z > 0) is op.startswith("<")
        drifts.append(
            _drift(
                found,
                change,
                unit,
                cause_of(change, worse=worse, beside=beside),
                worse=worse,
                quarantined=shaky is not None and change.told >= shaky.flips[0],
            )
        )
    return _claim_drift(claim, found, seen, tuple(drifts), shaky)


def _of_measure(found: Sequence[Night], kind: str, name: str, unit: str) -> ClaimDrift:
    """A measure by itself: a fault that is weaker says less, even where every claim still holds."""
    values = _series(found, kind, name, unit).values
    scale = scale_of(unit)
    points = [Point(value=None if value is None else scale.to(value)) for value in values]
    seen = scan(points, least_sd=max(scale.least_sd, LEAST_SD[kind]))
    drifts = tuple(
        _drift(found, change, unit, Cause(kind=kind, words=_moved(kind, change), because=name), worse=None)
        for change in seen.changes
    )
    return _claim_drift(name, found, seen, drifts, None)


def _moved(kind: str, change: Change) -> str:
    more = change.z > 0
    return {
        FAULT: "the fault was stronger" if more else "the fault was weaker",
        LOAD: "the load was higher" if more else "the load was lower",
        GENERATOR: "the load generator was busier" if more else "the load generator was less busy",
    }[kind]


def _claim_drift(
    name: str, found: Sequence[Night], seen: Scan, drifts: tuple[Drift, ...], shaky: Flaky | None
) -> ClaimDrift:
    newest = next((place for place in range(len(found) - 1, -1, -1) if seen.z[place] is not None), None)
    out = None
    if newest is not None and newest == len(found) - 1 and all(one.told != newest for one in seen.changes):
        z = seen.z[newest] or 0.0
        out = z if abs(z) > Z_MAX else None
    return ClaimDrift(
        name=name,
        nights=tuple(found),
        drifts=drifts,
        flaky=shaky,
        out_tonight=out,
        waiting=0 if newest is not None else max(0, NIGHTS_NEEDED - sum(one.finding is not None for one in found)),
    )


def _drift(
    found: Sequence[Night],
    change: Change,
    unit: str,
    cause: Cause,
    *,
    worse: bool | None,
    quarantined: bool = False,
) -> Drift:
    scale = scale_of(unit)
    return Drift(
        since=found[change.first].day,
        told=found[change.told].day,
        first=change.first,
        told_at=change.told,
        before=scale.back(change.before.median),
        after=scale.back(change.after),
        unit=unit,
        z=change.z,
        worse=worse,
        cause=cause,
        release=_release(found, change.first),
        quarantined=quarantined,
    )


def _release(found: Sequence[Night], first: int) -> str:
    """The version of the night *first* when the night before ran another one."""
    now = found[first].run.workload_version
    before = found[first - 1].run.workload_version if first else now
    return now if now != before else ""


def _point(night: Night, unit: str) -> Point:
    one, scale = night.finding, scale_of(unit)
    if one is None or one.estimate is None or one.unit != unit:
        return Point(value=None)
    width = 0.0
    if one.low is not None and one.high is not None:
        width = scale.to(one.high) - scale.to(one.low)
    return Point(value=scale.to(one.estimate), error=max(0.0, width) / INTERVAL_TO_SD)


def _measured(track: Track) -> dict[tuple[str, str], str]:
    """Every measure that a run of *track* has: kind and name → unit."""
    return {(one.kind, one.name): one.unit for run in track.runs for one in run.measures}


def _series(found: Sequence[Night], kind: str, name: str, unit: str) -> MeasureSeries:
    values = []
    for night in found:
        known = {(one.kind, one.name): one.value for one in night.run.measures}
        values.append(known.get((kind, name)) if night.finding is not None else None)
    return MeasureSeries(kind=kind, name=name, unit=unit, values=tuple(values))


def _newest(found: Sequence[Night]) -> int:
    return max((place for place, one in enumerate(found) if one.finding is not None), default=-1)
