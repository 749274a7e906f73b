"""The pillar as a whole: each best practice with grade, newest run, age, gaps, and the next experiment to write."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from stormproof.errors import UsageError
from stormproof.evidence.grade import Grade, Graded, Now, Piece, grade, pieces_for
from stormproof.evidence.mapping import ExperimentKind, framework_date, kinds, not_by_fault_injection
from stormproof.evidence.settings import DAY_S, EvidenceSettings
from stormproof.evidence.simulation import is_simulated, refuse_mixture
from stormproof.spec.loader import reliability_choices

SCHEMA_VERSION = 1
PIECES_MAX = 20  # listed a practice; the rest is counted


def now_for(
    records: Sequence[Mapping[str, Any]],
    settings: EvidenceSettings,
    *,
    at: dt.datetime,
    workload_version: str | None = None,
    topology_digest: str | None = None,
) -> Now:
    """What the evidence is held against; the workload as it is now is the newest record's, unless it is said."""
    newest = max(records, key=lambda record: str(record["when"].get("started_at") or ""), default=None)
    version = newest["version"] if newest else {}
    return Now(
        at=at,
        stale_after_s=settings.stale_after_days * DAY_S,
        workload_version=str(version.get("workload_version") or "") if workload_version is None else workload_version,
        topology_digest=str(version.get("topology_digest") or "") if topology_digest is None else topology_digest,
        production=frozenset(settings.production),
    )


def coverage(
    records: Sequence[Mapping[str, Any]],
    settings: EvidenceSettings,
    now: Now,
    *,
    specified: Mapping[str, Sequence[str]],
    unrecorded: int = 0,
) -> dict[str, Any]:
    """The coverage document from *records*, all of real environments or all of one emulated.

    *specified*: choice id → the experiments whose specs name it. *unrecorded*: runs that have no record. Raises
    `InputError` when *records* mix simulated and real ones, `UsageError` when an emulated environment is named as
    production.
    """
    refuse_mixture(list(records), where="coverage")
    simulated = any(is_simulated(record) for record in records)
    names = sorted({str(record["scope"].get("environment")) for record in records})
    if simulated and now.production & set(names):
        raise UsageError(
            f"environment {', '.join(sorted(now.production & set(names)))} is emulated and cannot be production",
            hint="take it out of `production` in evidence.yaml",
        )
    rows = [
        _row(choice_id, records, settings, now, specified=specified.get(choice_id, ()))
        for choice_id in reliability_choices()
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "framework": "AWS Well-Architected Framework, Reliability pillar",
        "framework_date": framework_date(),
        "workload": settings.workload.name,
        "as_of": now.at.isoformat(timespec="seconds"),
        "environments": names,
        "simulated": simulated,
        "stale_after_days": now.stale_after_s / DAY_S,
        "workload_version": now.workload_version,
        "topology_digest": now.topology_digest,
        "summary": _summary(rows),
        "runs": {
            "recorded": len(records),
            "counted": sum(record["potency"]["counts"] is True for record in records),
            "by_verdict": dict(sorted(Counter(str(record["result"]["verdict"]) for record in records).items())),
            "unrecorded": unrecorded,
        },
        "practices": rows,
    }


def _row(
    choice_id: str,
    records: Sequence[Mapping[str, Any]],
    settings: EvidenceSettings,
    now: Now,
    *,
    specified: Sequence[str],
) -> dict[str, Any]:
    label = reliability_choices()[choice_id]
    row: dict[str, Any] = {
        "choice_id": choice_id,
        "practice": label["practice"],
        "title": label["title"],
        "question": label["question"],
        "risk": label["risk"],
        "experiments": sorted(specified),
    }
    attested = settings.practices.get(choice_id)
    if choice_id in not_by_fault_injection():
        about = not_by_fault_injection()[choice_id]
        found = grade(choice_id, (), now, attested=attested, is_specified=False)
        gap = f"fault injection cannot show it: it is about {about}"
        return row | _graded(found, now) | {"testable": False, "gaps": [gap], "next": "attest it in evidence.yaml"}
    found = grade(choice_id, pieces_for(choice_id, records, now), now, attested=attested, is_specified=bool(specified))
    return row | _graded(found, now) | {"testable": True, "next": _next(choice_id, found, specified)}


def _graded(found: Graded, now: Now) -> dict[str, Any]:
    return {
        "grade": found.grade.words,
        "grade_was": found.was.words,
        "contradicted": found.contradicted,
        "stale": found.was > found.grade and not found.contradicted,
        "newest": None if found.newest is None else _piece(found.newest, now),
        "runs": [_piece(piece, now) for piece in found.pieces[:PIECES_MAX]],
        "runs_more": max(0, len(found.pieces) - PIECES_MAX),
        "gaps": list(found.gaps),
    }


def _piece(piece: Piece, now: Now) -> dict[str, Any]:
    age = piece.age_days(now)
    return {
        "run_id": piece.run_id,
        "title": piece.title,
        "verdict": piece.verdict,
        "environment": piece.environment,
        "simulated": piece.simulated,
        "strength": piece.strength,
        "counts": piece.counts,
        "why_not": list(piece.why_not),
        "at": piece.at.isoformat(timespec="seconds") if piece.at else None,
        "age_days": None if age is None else round(age, 1),
        "stale": piece.stale,
    }


def _next(choice_id: str, found: Graded, specified: Sequence[str]) -> str:
    """The one thing to do for a better grade."""
    if found.contradicted:
        return f"repair the workload, then run {found.newest.title!r} again" if found.newest else ""
    if found.grade is Grade.TESTED_IN_PRODUCTION:
        return ""
    showing = [kind for kind in kinds() if choice_id in kind.direct]
    direct = [piece for piece in found.pieces if piece.strength == "direct"]
    if found.grade is Grade.TESTED_REPEATEDLY:
        return "run it in production, behind its guardrails"
    if direct:
        return "run it again" if found.grade < Grade.TESTED_ONCE else "run it on another day"
    if specified and any(kind.when is not None for kind in showing):
        return f"run {', '.join(sorted(specified))}, or write: {_written(showing)}"
    return _written(showing) if showing else "no kind of experiment shows it directly: attest it in evidence.yaml"


def _written(showing: Sequence[ExperimentKind]) -> str:
    """What to write: a kind that this version can run, with its faults or claims; else the kind that would do."""
    for kind in showing:
        if kind.when:
            return f"{_begun_small(kind.title)} ({_how(kind.when[0])})"
    return f"{_begun_small(showing[0].title)} (no fault of this version does that)"


def _begun_small(title: str) -> str:
    return title[:1].lower() + title[1:]


def _how(way: Mapping[str, Any]) -> str:
    faults = [one["fault"] for one in way.get("faults", ())]
    claims = [pattern.strip("^ ").replace("retr(y|ies)", "retry") for pattern in way.get("claims", ())]
    parts = [f"fault {' with '.join(faults)}"] if faults else []
    parts += [f"a claim `{claim} …`" for claim in claims]
    return ", ".join(parts) or "any experiment"


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Best practices by grade, the best first; and those that are stale or contradicted."""
    counted = Counter(row["grade"] for row in rows)
    summary = {one.words: counted.get(one.words, 0) for one in sorted(Grade, reverse=True)}
    return summary | {
        "stale": sum(row["stale"] for row in rows),
        "contradicted": sum(row["contradicted"] for row in rows),
    }
