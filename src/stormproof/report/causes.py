"""What the refuted findings point at, ready for print: from verdict.json, so that a report never blames anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormproof.report.breakdown import WorstRow
from stormproof.report.notation import DASH, clean, count, offset, quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormproof.model.verdict import BadRequest, Cause, Finding

STORIES_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseLine:
    """One row of a breakdown."""

    endpoint: str
    zone: str
    error: str
    bad: str
    share: str  # of the requests of the endpoint and zone
    steady_bad: str
    steady_share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseStory:
    """The evidence against one or more claims that rest on the same requests."""

    claims: tuple[tuple[str, str], ...]  # the claim, and what the requests against it have in common
    lines: tuple[CauseLine, ...]
    left_out: int
    worst: tuple[WorstRow, ...]


def cause_stories(findings: Sequence[Finding], zero_s: float | None) -> tuple[CauseStory, ...]:
    """One story for each different evidence, in the order of the findings: claims that share it are told together."""
    stories: dict[tuple[object, ...], tuple[Cause, list[tuple[str, str]]]] = {}
    for finding in findings:
        if (cause := finding.cause) is not None:
            _, claims = stories.setdefault((_counted(cause), cause.worst), (cause, []))
            claims.append((clean(finding.claim), clean(cause.sentence, limit=800)))
    return tuple(_story(cause, tuple(claims), zero_s) for cause, claims in list(stories.values())[:STORIES_MAX])


def _counted(cause: Cause) -> tuple[tuple[str, str, str, int], ...]:
    """The bad requests of a breakdown: a longer window has more of the good ones, and the same evidence."""
    return tuple((row.endpoint, row.zone, row.error, row.bad) for row in cause.breakdown)


def _story(cause: Cause, claims: tuple[tuple[str, str], ...], zero_s: float | None) -> CauseStory:
    return CauseStory(
        claims=claims,
        lines=tuple(
            CauseLine(
                endpoint=clean(row.endpoint, limit=80),
                zone=clean(row.zone, limit=40) or "none answered",
                error=clean(row.error, limit=160) or "slow",
                bad=count(row.bad),
                share=quantity(row.bad / row.n, "share") if row.n else DASH,
                steady_bad=count(row.steady_bad),
                steady_share=quantity(row.steady_bad / row.steady_n, "share") if row.steady_n else DASH,
            )
            for row in cause.breakdown
        ),
        left_out=cause.breakdown_left_out,
        worst=tuple(_worst(one, zero_s) for one in cause.worst),
    )


def _worst(one: BadRequest, zero_s: float | None) -> WorstRow:
    return WorstRow(
        row=count(one.row),
        offset=offset(None if zero_s is None else one.scheduled_at - zero_s),
        endpoint=clean(one.endpoint, limit=80),
        zone=clean(one.zone, limit=40) or DASH,
        status=str(one.status) if one.status else "no answer",
        latency=quantity(one.latency_ms, "ms"),
        error=clean(one.error, limit=160) or DASH,
    )
