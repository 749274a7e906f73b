"""What is done with every finished run, by a suite and by `stormproof run`: by each recorder, once.

A recorder must be idempotent, as it is called again when the suite died before it could note that it had been.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stormproof.errors import StormproofError

if TYPE_CHECKING:
    from stormproof.evidence.settings import EvidenceSettings
    from stormproof.record.layout import RunDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Somebody who keeps something of every run."""

    name: str
    record: Callable[[RunDirectory], None]  # a finished, sealed run; raises `StormproofError` or `OSError`


def recorders(reports: Path, evidence: EvidenceSettings | None) -> tuple[Recorder, ...]:
    """Who records the runs under *reports*, in this order; evidence is recorded by its settings, if any.

    This is the one place to name another.
    """
    found = [Recorder(name="history", record=_history(reports)), Recorder(name="incident", record=_incident)]
    if evidence is not None:
        found.append(Recorder(name="evidence", record=_evidence(reports, evidence)))
    return tuple(found)


def record_all(run: RunDirectory, by: Sequence[Recorder]) -> dict[str, str]:
    """Let each recorder have *run*: its name → "" or what went wrong. One that fails keeps no other from its work."""
    told: dict[str, str] = {}
    for one in by:
        try:
            one.record(run)
            told[one.name] = ""
        except (StormproofError, OSError) as error:
            told[one.name] = getattr(error, "message", None) or str(error)
    return told


def _history(reports: Path) -> Callable[[RunDirectory], None]:
    def record(run: RunDirectory) -> None:
        from stormproof.history import record_run

        record_run(run.path, reports=reports)

    return record


def _incident(run: RunDirectory) -> None:
    """A draft after a refutation; after a run that held, the end of the drafts that it answers."""
    from stormproof.suite.incident import draft
    from stormproof.suite.retest import close_earlier

    draft(run)
    close_earlier(run)


def _evidence(reports: Path, settings: EvidenceSettings) -> Callable[[RunDirectory], None]:
    def record(run: RunDirectory) -> None:
        from stormproof.evidence.recorder import record_runs

        record_runs([run.path], reports=reports, settings=settings, even_unfinished=False)

    return record
