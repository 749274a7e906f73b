"""What the history keeps of one run: its facts and its findings, as read from its directory."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from stormproof.errors import InputError, RunDirectoryError
from stormproof.evidence.canonical import canonical_json, sha256
from stormproof.history.measure import Measure, measures_of
from stormproof.model.verdict import Finding, Outcome, Verdict
from stormproof.record.layout import RunDirectory
from stormproof.spec.document import read_document
from stormproof.verdict.document import dump_verdict, read_verdict

# Of the spec, what a result depends on; another title, reason or claim leaves the numbers comparable.
CONDITIONS = ("load", "timeline", "faults", "steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingEntry:
    """One finding; numbers in *unit*, None where there is none."""

    claim: str
    verdict: Outcome
    estimate: float | None
    low: float | None
    high: float | None
    steady: float | None
    n: int
    unit: str
    op: str
    bound: float | None
    method: str
    reason: str
    found: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One run; instants in Unix seconds."""

    run_id: str
    slug: str
    title: str
    environment: str
    variant: str
    simulated: bool
    conditions: str
    started_at: float
    ended_at: float | None
    verdict: Outcome
    reasons: tuple[str, ...]
    workload_version: str
    topology_digest: str
    experiment_commit: str
    verdict_sha256: str
    directory: str
    findings: tuple[FindingEntry, ...]
    measures: tuple[Measure, ...] = ()


def entry_of(path: Path) -> RunEntry:
    """The run in *path*. Raises `RunDirectoryError` where there is no run, or none that came to a verdict."""
    folder = RunDirectory(path).require()
    run, verdict = _document(folder.run_json), read_verdict(folder.verdict)
    git = run.get("git")
    started_at = _instant(run.get("started_at"))
    if started_at is None:
        raise RunDirectoryError(
            where=str(folder.run_json), what="started_at", expected="an instant", got=str(run.get("started_at"))
        )
    return RunEntry(
        run_id=_text(verdict.run_id or path.name),
        slug=_text(verdict.slug),
        title=_text(verdict.title),
        environment=_text(run.get("environment") or ""),
        variant=_text(run.get("variant") or ""),
        simulated=verdict.simulated or run.get("simulated") is not False,
        conditions=conditions_of(folder),
        started_at=started_at,
        ended_at=_instant(run.get("ended_at")),
        verdict=verdict.outcome,
        reasons=tuple(_text(reason) for reason in verdict.reasons),
        workload_version=_text(run.get("workload_version") or ""),
        topology_digest=_text(run.get("topology_digest") or ""),
        experiment_commit=_text(git.get("commit") or "") if isinstance(git, Mapping) else "",
        verdict_sha256=_digest(verdict),
        directory=f"{_text(verdict.slug)}/{_text(path.resolve().name)}",
        findings=tuple(_finding(one) for one in verdict.findings),
        measures=measures_of(folder, verdict),
    )


def conditions_of(folder: RunDirectory) -> str:
    """A digest of what a result depends on beside the workload: load, timeline and faults. Without a spec, the plan's.

    Runs with another digest are never held against each other: a changed number would be the change's own.
    """
    try:
        asked = read_document(folder.spec).value
    except (InputError, OSError):
        asked = {}
    if not asked:  # a plain Chaos Toolkit experiment has no spec of ours
        asked = {"faults": _document(folder.plan).get("method")}
    chosen = {name: asked[name] for name in CONDITIONS if asked.get(name) is not None}
    return sha256(canonical_json(chosen))[:16]


def _finding(one: Finding) -> FindingEntry:
    return FindingEntry(
        claim=_text(one.claim),
        verdict=one.outcome,
        estimate=_number(one.estimate),
        low=_number(one.low),
        high=_number(one.high),
        steady=_number(one.steady),
        n=one.n,
        unit=_text(one.unit),
        op=_text(one.op),
        bound=_number(one.bound),
        method=_text(one.method),
        reason=_text(one.reason),
        found=None if one.found is None else _text(one.found),
    )


def _digest(verdict: Verdict) -> str:
    return sha256(dump_verdict(verdict))


def _number(value: float | None) -> float | None:
    """A finite number or nothing: infinity is a word of the reason, as in verdict.json."""
    return None if value is None or not math.isfinite(value) else float(value)


def _text(value: Any) -> str:
    """PostgreSQL's text has no NUL; so that both answer alike, SQLite's does not either."""
    return str(value).replace("\x00", "\ufffd")


def _instant(text: Any) -> float | None:
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()


def _document(path: Path) -> Mapping[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError as error:
        raise RunDirectoryError(where=str(path), what="", expected="JSON", got=str(error)) from error
    return found if isinstance(found, dict) else {}
