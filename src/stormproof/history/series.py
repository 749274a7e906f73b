"""The history as people look at it: an experiment in an environment, a claim at a time, night after night."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stormproof.history.entry import FindingEntry, RunEntry
from stormproof.model.verdict import Outcome

NIGHT_BEGINS_H = 12  # noon to noon, UTC: a night that runs over midnight is one
# What a run of another verdict measured is not what the claim is about.
COUNTS = frozenset({Outcome.HELD, Outcome.REFUTED, Outcome.INCONCLUSIVE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The runs of one experiment that can be held against each other: same place, same load, timeline and faults."""

    slug: str
    title: str  # as in the newest run
    environment: str
    variant: str
    simulated: bool
    conditions: str
    runs: tuple[RunEntry, ...]  # the oldest first

    @property
    def name(self) -> str:
        """What it is called where there are several."""
        return f"{self.slug} ({', '.join(part for part in (self.environment, self.variant) if part)})"

    @property
    def claims(self) -> tuple[str, ...]:
        """Every claim that a run of it was held against, in the order of the newest run, gone ones last."""
        found = dict.fromkeys(one.claim for run in reversed(self.runs) for one in run.findings)
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One night's word on a claim: its last run that tested it; *finding* is None where none did."""

    day: dt.date  # on which the night began
    run: RunEntry
    finding: FindingEntry | None
    runs: int  # how many there were that night


def tracks(runs: Iterable[RunEntry]) -> list[Track]:
    """*runs* by experiment, place and conditions; by name, and of one name the newest conditions first."""
    grouped: dict[tuple[str, str, str, str], list[RunEntry]] = {}
    for run in runs:
        grouped.setdefault((run.slug, run.environment, run.variant, run.conditions), []).append(run)
    found = [_track(sorted(group, key=lambda one: (one.started_at, one.run_id))) for group in grouped.values()]
    return sorted(found, key=lambda one: (one.slug, one.environment, one.variant, -one.runs[-1].started_at))


def nights(runs: Sequence[RunEntry], claim: str) -> list[Night]:
    """*claim* night by night, oldest first; of a night the last run that tested something speaks."""
    grouped: dict[dt.date, list[RunEntry]] = {}
    for run in runs:
        grouped.setdefault(night_of(run.started_at), []).append(run)
    return [_night(day, group, claim) for day, group in sorted(grouped.items())]


def night_of(unix_s: float) -> dt.date:
    """The day on which the night of *unix_s* began."""
    return (dt.datetime.fromtimestamp(unix_s, dt.UTC) - dt.timedelta(hours=NIGHT_BEGINS_H)).date()


def finding_on(run: RunEntry, claim: str) -> FindingEntry | None:
    """What *run* found of *claim*; None where it was not held against it."""
    return next((one for one in run.findings if one.claim == claim), None)


def _track(runs: list[RunEntry]) -> Track:
    newest = runs[-1]
    return Track(
        slug=newest.slug,
        title=newest.title,
        environment=newest.environment,
        variant=newest.variant,
        simulated=any(run.simulated for run in runs),
        conditions=newest.conditions,
        runs=tuple(runs),
    )


def _night(day: dt.date, group: Sequence[RunEntry], claim: str) -> Night:
    tested = [run for run in group if run.verdict in COUNTS and finding_on(run, claim) is not None]
    chosen = (tested or list(group))[-1]
    return Night(day=day, run=chosen, finding=finding_on(chosen, claim) if tested else None, runs=len(group))
