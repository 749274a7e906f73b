"""A run directory as the recorder reads it: tolerantly, because a run that failed or was cut short is kept, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from stormproof.errors import InputError, StormproofError
from stormproof.model.verdict import Verdict
from stormproof.record.events import read_events
from stormproof.record.layout import RunDirectory
from stormproof.record.seal import broken, digests
from stormproof.spec.document import read_document
from stormproof.verdict.assess import assess
from stormproof.verdict.document import read_verdict, to_document


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSource:
    """One run as it stands on disk."""

    path: Path
    run: Mapping[str, Any]  # run.json
    environment: Mapping[str, Any]  # {} without
    spec: Mapping[str, Any]  # {} when it cannot be read
    plan: Mapping[str, Any]  # our part of plan.json; {} without
    events: tuple[Mapping[str, Any], ...]
    verdict: Verdict | None  # None: the run did not come to one
    verdict_problem: str  # why not
    digests: Mapping[str, str]  # file → SHA-256
    seal: str  # whole | broken | none
    seal_broken: tuple[str, ...]
    judged_again: str  # the same | differs | not possible

    @property
    def run_id(self) -> str:
        """As run.json says; the folder's name where it does not."""
        return str(self.run.get("run_id") or self.path.name)


def read_source(path: Path) -> RunSource:
    """The run in *path*. Raises `RunDirectoryError` where there is no run.json that can be read."""
    folder = RunDirectory(path).require()
    verdict, problem = _verdict(folder)
    seal_broken = tuple(broken(folder))
    seal = ("broken" if seal_broken else "whole") if folder.sums.exists() else "none"
    return RunSource(
        path=path,
        run=_document(folder.run_json),
        environment=_document(folder.environment),
        spec=_spec(folder.spec),
        plan=_ours(_document(folder.plan)),
        events=tuple(row for row in read_events(folder.events) if isinstance(row.get("event"), str)),
        verdict=verdict,
        verdict_problem=problem,
        digests=digests(folder),
        seal=seal,
        seal_broken=seal_broken,
        judged_again=_judge_again(folder, verdict),
    )


def _verdict(folder: RunDirectory) -> tuple[Verdict | None, str]:
    try:
        return read_verdict(folder.verdict), ""
    except InputError as error:
        return None, f"expected {error.expected}, got {error.got or 'none'}"


def _judge_again(folder: RunDirectory, verdict: Verdict | None) -> str:
    """Whether the raw data still give the verdict on record: an edited verdict under a new seal does not pass."""
    if verdict is None:
        return "not possible"
    try:
        again = assess(folder)
    except StormproofError:
        return "not possible"
    return "the same" if to_document(again) == to_document(verdict) else "differs"


def _document(path: Path) -> Mapping[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _spec(path: Path) -> Mapping[str, Any]:
    try:
        return read_document(path).value
    except (InputError, OSError):
        return {}


def _ours(plan: Mapping[str, Any]) -> Mapping[str, Any]:
    extensions = plan.get("extensions")
    for one in extensions if isinstance(extensions, list) else ():
        if isinstance(one, dict) and one.get("name") == "stormproof":
            return one
    return {}
