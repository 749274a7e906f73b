"""What a run directory says, read once and tolerantly: a report must come out of half a run, too."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from stormproof.errors import InputError
from stormproof.model.hypothesis import Phase
from stormproof.record import events as names
from stormproof.record.seal import broken

if TYPE_CHECKING:
    from pathlib import Path

    from stormproof.model.verdict import Verdict
    from stormproof.record.layout import RunDirectory
    from stormproof.report.sample_tables import SampleTables

# Files that a report is made into, not from: written again, they are none the less true.
MADE_FROM_THE_RECORD = ("report.html", "report.md", "junit.xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One run as it stands on disk; what is missing is empty, never made up."""

    folder: RunDirectory
    run: Mapping[str, Any]  # run.json
    verdict: Verdict
    events: tuple[Mapping[str, Any], ...]
    tables: SampleTables | None  # None: there are no samples
    samples_problem: str  # why there are none, when there should be some
    journal: Mapping[str, Any]  # chaoslib's, {} without
    probe_failures: int  # readings that are an error
    changed: tuple[str, ...] = ()  # what is not as it was sealed, beside reports made from it

    @property
    def is_foreign(self) -> bool:
        """A plain Chaos Toolkit experiment: no load, no windows of ours."""
        return self.run.get("kind") == "chaostoolkit"

    @property
    def windows(self) -> dict[str, tuple[float, float]]:
        """The phases that took place, in their order."""
        return phases_of(self.verdict)

    @property
    def zero_s(self) -> float | None:
        """The Unix instant that the report calls 0: when the load started, else the first thing that is known."""
        for row in self.events:
            if row.get("event") == names.LOAD_STARTED and (at := instant(row)) is not None:
                return at
        known = [start for start, _ in self.windows.values()]
        known += [at for row in self.events if (at := instant(row)) is not None]
        return min(known, default=None)

    def named(self, *wanted: str) -> list[Mapping[str, Any]]:
        """The events of these names, in the order written."""
        return [row for row in self.events if row.get("event") in wanted]


def read_facts(folder: RunDirectory) -> Facts:
    """Everything a report is made of. Raises `RunDirectoryError` without a run.json or a verdict.json."""
    from stormproof.verdict.document import read_verdict

    folder.require()
    verdict = read_verdict(folder.verdict)
    tables, problem = _tables(folder, verdict)
    return Facts(
        folder=folder,
        run=_document(folder.run_json),
        verdict=verdict,
        events=tuple(row for row in names.read_events(folder.events) if isinstance(row.get("event"), str)),
        tables=tables,
        samples_problem=problem,
        journal=_document(folder.journal),
        probe_failures=_probe_failures(folder.readings),
        changed=tuple(sentence for sentence in broken(folder) if not sentence.startswith(MADE_FROM_THE_RECORD)),
    )


def phases_of(verdict: Verdict) -> dict[str, tuple[float, float]]:
    """The phases that took place, in their order."""
    found = verdict.windows
    return {phase: found[phase] for phase in Phase if phase in found and found[phase][0] < found[phase][1]}


def instant(row: Mapping[str, Any]) -> float | None:
    """When an event happened: `at` where the event has one, else when it was written."""
    for key in ("at", "wall_s"):
        if (found := number(row.get(key))) is not None:
            return found
    return None


def number(value: Any) -> float | None:
    """*value* if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The mappings in *value* if it is a list, else none."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, Sequence) else []


def _document(path: Path) -> Mapping[str, Any]:
    """A JSON object, or an empty one: a file that a crash cut short must not cost the whole report."""
    try:
        found = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _probe_failures(path: Path) -> int:
    if not path.exists():
        return 0
    with path.open("rb") as lines:
        return sum(1 for line in lines if b'"error"' in line)


def _tables(folder: RunDirectory, verdict: Verdict) -> tuple[SampleTables | None, str]:
    """What the samples hold, and why that is not known when it should be."""
    if not folder.samples.is_dir():
        return None, ""
    from stormproof.analysis.population import exposed
    from stormproof.record.sample_part import fit_in_memory, parts_of
    from stormproof.record.samples import read_samples
    from stormproof.report.chart_budget import budgets_of
    from stormproof.report.sample_tables import RowTables, count_tables

    windows = phases_of(verdict)
    try:
        parts = parts_of(folder)
        if not fit_in_memory(parts):
            return count_tables(parts, windows, budgets_of(verdict.findings, {**windows, **verdict.steps})), ""
        samples = exposed(read_samples(folder))
    except InputError as error:
        # without the path, which differs from machine to machine: a report is the same wherever it is made
        got = (error.got or "nothing").replace(f"{folder.path}{os.sep}", "")
        return (
            None,
            f"The samples could not be read: expected {error.what} {error.expected}, got {got}".replace("  ", " "),
        )
    return (RowTables(samples=samples, windows=windows), "") if len(samples) else (None, "")
