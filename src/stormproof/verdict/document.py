"""`Verdict` to `verdict.json` and back, the same bytes for the same verdict: no clock, no path, no dictionary order."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from stormproof.errors import RunDirectoryError
from stormproof.model.hypothesis import Phase
from stormproof.model.verdict import (
    SCHEMA_VERSION,
    BadRequest,
    Cause,
    CauseRow,
    Check,
    Confirmation,
    Finding,
    Outcome,
    Verdict,
)
from stormproof.record.atomic import dump_json, write_bytes

_OF_WORDS = ("found", "confidence", "accepted")


def to_document(verdict: Verdict) -> dict[str, Any]:
    """*verdict* as JSON-clean data, `schema_version` first; infinity becomes None, as the reason says it in words."""
    fields = asdict(verdict)
    # In the file an outcome is called what its readers call it (DESIGN 5): "verdict", of the run and of each finding.
    fields = {"verdict": fields.pop("outcome"), **fields}
    fields["findings"] = [
        {"claim": finding.pop("claim"), "verdict": finding.pop("outcome"), **_told(finding)}
        for finding in fields["findings"]
    ]
    order = [phase.value for phase in Phase]
    fields["windows"] = {phase: list(fields["windows"][phase]) for phase in order if phase in fields["windows"]}
    steps = fields.pop("steps")
    if steps:
        fields["steps"] = {name: list(window) for name, window in steps.items()}
    document = {"schema_version": fields.pop("schema_version"), **fields}
    return {key: _clean(value) for key, value in document.items()}


def from_document(document: dict[str, Any], *, where: str = "verdict.json") -> Verdict:
    """The verdict in *document*. Raises `RunDirectoryError` when it is of another schema or lacks a field."""
    if document.get("schema_version") != SCHEMA_VERSION:
        raise RunDirectoryError(
            where=where, what="schema_version", expected=str(SCHEMA_VERSION), got=str(document.get("schema_version"))
        )
    try:
        return Verdict(
            outcome=Outcome(document["verdict"]),
            reasons=tuple(document["reasons"]),
            findings=tuple(
                Finding(
                    outcome=Outcome(finding["verdict"]),
                    **{key: value for key, value in finding.items() if key not in {"verdict", "accepted", "cause"}},
                    accepted=tuple(finding.get("accepted", ())),
                    cause=_cause(finding.get("cause")),
                )
                for finding in document["findings"]
            ),
            confirmations=tuple(Confirmation(**confirmation) for confirmation in document["confirmations"]),
            checks=tuple(Check(**check) for check in document["checks"]),
            windows={phase: (float(start), float(end)) for phase, (start, end) in document["windows"].items()},
            steps={name: (float(start), float(end)) for name, (start, end) in document.get("steps", {}).items()},
            repeat=document["repeat"],
            run_id=document["run_id"],
            slug=document["slug"],
            title=document["title"],
            simulated=document["simulated"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunDirectoryError(where=where, what="", expected="a verdict of schema 1", got=repr(error)) from error


def write_verdict(path: Path, verdict: Verdict) -> None:
    """Write *verdict* at *path*, whole or not at all."""
    write_bytes(path, dump_verdict(verdict))


def dump_verdict(verdict: Verdict) -> bytes:
    """*verdict* as the content of `verdict.json`."""
    return dump_json(to_document(verdict))


def read_verdict(path: Path) -> Verdict:
    """The verdict at *path*. Raises `RunDirectoryError` when there is none, or it cannot be read."""
    try:
        document = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RunDirectoryError(
            where=str(path), what="", expected="a verdict", got="none", hint="`stormproof analyse` writes one"
        ) from error
    except orjson.JSONDecodeError as error:
        raise RunDirectoryError(where=str(path), what="", expected="JSON", got=str(error)) from error
    if not isinstance(document, dict):
        raise RunDirectoryError(where=str(path), what="", expected="an object", got=type(document).__name__)
    return from_document(document, where=str(path))


def _told(finding: dict[str, Any]) -> dict[str, Any]:
    """*finding* without the fields that only other claims have (of a word, refuted): old verdicts stay as they are."""
    unsaid = {*(() if finding["accepted"] else _OF_WORDS), *(() if finding["cause"] else ("cause",))}
    return {key: value for key, value in finding.items() if key not in unsaid}


def _cause(document: dict[str, Any] | None) -> Cause | None:
    if document is None:
        return None
    seconds = document["seconds"]
    return Cause(
        **{key: value for key, value in document.items() if key not in {"seconds", "breakdown", "worst"}},
        seconds=None if seconds is None else (float(seconds[0]), float(seconds[1])),
        breakdown=tuple(CauseRow(**row) for row in document["breakdown"]),
        worst=tuple(BadRequest(**row) for row in document["worst"]),
    )


def _clean(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
