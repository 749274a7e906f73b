"""How good the evidence for one practice is: claimed < configured < tested once < … repeatedly < … in production.

A grade is given by what is fresh. Only runs that count (`potency`) and that speak for the practice directly make it
*tested*; support alone shows that a thing is there, which is *configured*. The newest run that counts has the last
word: when it was refuted, what held before it counts no more. For practices that ask for tests as such, a refuted run
is a test.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stormproof.evidence.mapping import DIRECT, testing_itself
from stormproof.evidence.settings import DAY_S, Attestation
from stormproof.evidence.simulation import is_simulated
from stormproof.model.verdict import Outcome

REPEATEDLY_DAYS = 2  # held on so many days: the same evening twice is one test


class Grade(enum.IntEnum):
    """The ladder; a higher number is better evidence."""

    NOTHING = 0
    CLAIMED = 1
    CONFIGURED = 2
    TESTED_ONCE = 3
    TESTED_REPEATEDLY = 4
    TESTED_IN_PRODUCTION = 5

    @property
    def words(self) -> str:
        """As people read it."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What evidence is held against: the day, and the workload as it is now."""

    at: dt.datetime
    stale_after_s: float
    workload_version: str  # "": not known, so nothing is stale for it
    topology_digest: str
    production: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One record as evidence for one practice."""

    run_id: str
    title: str
    verdict: str
    environment: str
    simulated: bool
    strength: str
    counts: bool
    why_not: tuple[str, ...]
    at: dt.datetime | None  # None: the record does not say when
    stale: str  # why it is; "" when it is fresh

    def age_days(self, now: Now) -> float | None:
        """Whole and part days since the run began."""
        return None if self.at is None else (now.at - self.at).total_seconds() / DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What the evidence for one practice is worth, and what is missing."""

    grade: Grade
    was: Grade  # with stale evidence as if it were fresh
    contradicted: bool  # the newest run that counts was refuted
    newest: Piece | None
    pieces: tuple[Piece, ...]  # newest first
    gaps: tuple[str, ...]


def pieces_for(choice_id: str, records: Sequence[Mapping[str, Any]], now: Now) -> list[Piece]:
    """The records that speak for *choice_id*, newest first."""
    found = []
    for record in records:
        strengths = [one["strength"] for one in record["mapping"]["practices"] if one["choice_id"] == choice_id]
        if strengths:
            found.append(_piece(record, strengths[0], now))
    start = dt.datetime.min.replace(tzinfo=dt.UTC)
    return sorted(found, key=lambda piece: (piece.at or start, piece.run_id), reverse=True)


def grade(
    choice_id: str, pieces: Sequence[Piece], now: Now, *, attested: Attestation | None, is_specified: bool
) -> Graded:
    """The grade of a practice from *pieces* (newest first), what people *attested*, and whether a spec names it."""
    fresh = [piece for piece in pieces if not piece.stale]
    was, contradicted = _tested(choice_id, pieces, now)
    tested, _ = _tested(choice_id, fresh, now)
    told, told_gap = _told(attested, now, is_specified=is_specified or bool(pieces))
    return Graded(
        grade=max(tested, told),
        was=max(was, told),
        contradicted=contradicted,
        newest=pieces[0] if pieces else None,
        pieces=tuple(pieces),
        gaps=(*_gaps(pieces, fresh, tested, contradicted=contradicted), *told_gap),
    )


def _piece(record: Mapping[str, Any], strength: str, now: Now) -> Piece:
    at = _instant(record["when"].get("started_at"))
    return Piece(
        run_id=str(record["run_id"]),
        title=str(record["what"].get("title") or ""),
        verdict=str(record["result"]["verdict"]),
        environment=str(record["scope"].get("environment") or ""),
        simulated=is_simulated(record),
        strength=strength,
        counts=record["potency"]["counts"] is True,
        why_not=tuple(record["potency"]["reasons"]),
        at=at,
        stale=_stale(record, at, now),
    )


def _stale(record: Mapping[str, Any], at: dt.datetime | None, now: Now) -> str:
    version = record["version"]
    if at is None:
        return "nobody knows when it ran"
    if (now.at - at).total_seconds() > now.stale_after_s:
        return f"older than {now.stale_after_s / DAY_S:g} days"
    if at > now.at + dt.timedelta(minutes=5):
        return "it is of the future: a clock was wrong"
    if now.workload_version and version.get("workload_version") != now.workload_version:
        return f"of version {version.get('workload_version') or 'unknown'}, and {now.workload_version} is running"
    if now.topology_digest and version.get("topology_digest") != now.topology_digest:
        return "the topology has changed since"
    return ""


def _tested(choice_id: str, pieces: Sequence[Piece], now: Now) -> tuple[Grade, bool]:
    """The grade that runs give, and whether the newest that counts was refuted."""
    passing = {Outcome.HELD.value} | ({Outcome.REFUTED.value} if choice_id in testing_itself() else set())
    counted = [piece for piece in pieces if piece.counts and (piece.verdict in passing or _refutes(piece))]
    if counted and counted[0].verdict not in passing:
        return Grade.NOTHING, True
    since = [piece for piece in counted if piece.verdict in passing]
    for place, piece in enumerate(counted):
        if piece.verdict not in passing:
            since = counted[:place]  # what held before a refutation is of a workload that was refuted
            break
    direct = [piece for piece in since if piece.strength == DIRECT]
    if not direct:
        return (Grade.CONFIGURED if since else Grade.NOTHING), False
    if any(piece.environment in now.production and not piece.simulated for piece in direct):
        return Grade.TESTED_IN_PRODUCTION, False
    days = {piece.at.date() for piece in direct if piece.at}
    return (Grade.TESTED_REPEATEDLY if len(days) >= REPEATEDLY_DAYS else Grade.TESTED_ONCE), False


def _refutes(piece: Piece) -> bool:
    """Whether it speaks against the practice: a refuted run that would have shown it directly, had it held."""
    return piece.counts and piece.verdict == Outcome.REFUTED.value and piece.strength == DIRECT


def _told(attested: Attestation | None, now: Now, *, is_specified: bool) -> tuple[Grade, list[str]]:
    if attested is None:
        return (Grade.CLAIMED if is_specified else Grade.NOTHING), []
    age_s = (now.at.date() - attested.on).days * DAY_S
    if age_s > now.stale_after_s:
        gap = f"{attested.by} said so {age_s / DAY_S:.0f} days ago: to be confirmed"
        return (Grade.CLAIMED if is_specified else Grade.NOTHING), [gap]
    return (Grade.CONFIGURED if attested.state == "configured" else Grade.CLAIMED), []


def _gaps(pieces: Sequence[Piece], fresh: Sequence[Piece], tested: Grade, *, contradicted: bool) -> list[str]:
    gaps = []
    if contradicted:
        newest = next(piece for piece in pieces if _refutes(piece))
        gaps.append(f"refuted by {newest.run_id}: repair it and run it again")
    if not pieces:
        return [*gaps, "no run speaks for it"]
    if not fresh:
        gaps.append(f"all evidence is stale: {pieces[0].stale}")
    elif not any(piece.counts for piece in fresh):
        gaps.append(f"no run counts: {fresh[0].why_not[0] if fresh[0].why_not else fresh[0].verdict}")
    elif not any(piece.strength == DIRECT for piece in fresh):
        gaps.append("only supporting evidence: no run shows it directly")
    if tested is Grade.TESTED_ONCE:
        gaps.append("tested on one day only")
    if tested is Grade.TESTED_REPEATEDLY:
        gaps.append("never tested in production")
    return gaps


def _instant(text: Any) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None
