"""The runs in the database, as they were put in; the order is ours, not the database's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Engine, Table, select

from stormproof.history.database import database_url, opened
from stormproof.history.entry import FindingEntry, RunEntry
from stormproof.history.measure import Measure
from stormproof.history.schema import findings, measures, runs
from stormproof.model.verdict import Outcome


def read_history(
    reports: Path, *, url: str | None = None, slug: str | None = None, environment: str | None = None
) -> list[RunEntry]:
    """The runs of the history, the oldest first; of one experiment or environment where it is named."""
    with opened(database_url(reports, url)) as engine:
        return read_runs(engine, slug=slug, environment=environment)


def read_runs(engine: Engine, *, slug: str | None = None, environment: str | None = None) -> list[RunEntry]:
    """`read_history` of a database that is open."""
    wanted = select(runs)
    if slug is not None:
        wanted = wanted.where(runs.c.slug == slug)
    if environment is not None:
        wanted = wanted.where(runs.c.environment == environment)
    with engine.connect() as connection:
        told, measured = (_by_run(connection, table, wanted.whereclause) for table in (findings, measures))
        rows = [dict(row) for row in connection.execute(wanted).mappings()]
    found = [_run(row, told[row["run_id"]], measured[row["run_id"]]) for row in rows]
    # Collations differ between databases, Python's order does not.
    return sorted(found, key=lambda one: (one.started_at, one.run_id))


def _by_run(connection: Connection, table: Table, where: ColumnElement[bool] | None) -> dict[str, list[dict[str, Any]]]:
    """The rows of *table* that belong to the runs that *where* chooses, by run."""
    chosen = select(table).join(runs, runs.c.run_id == table.c.run_id)
    if where is not None:
        chosen = chosen.where(where)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in connection.execute(chosen).mappings():
        found[row["run_id"]].append(dict(row))
    return found


def _run(fields: dict[str, Any], told: Sequence[Mapping[str, Any]], measured: Sequence[Mapping[str, Any]]) -> RunEntry:
    fields["verdict"] = Outcome(fields["verdict"])
    fields["reasons"] = tuple(str(one) for one in orjson.loads(fields["reasons"]))
    return RunEntry(
        **fields,
        findings=tuple(_finding(one) for one in sorted(told, key=lambda one: one["position"])),
        measures=tuple(_measure(one) for one in sorted(measured, key=lambda one: (one["kind"], one["name"]))),
    )


def _measure(row: Mapping[str, Any]) -> Measure:
    return Measure(**{name: value for name, value in row.items() if name != "run_id"})


def _finding(row: Mapping[str, Any]) -> FindingEntry:
    fields = {name: value for name, value in row.items() if name not in {"run_id", "position"}}
    fields["verdict"] = Outcome(fields["verdict"])
    return FindingEntry(**fields)
