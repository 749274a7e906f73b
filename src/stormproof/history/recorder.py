"""Runs into the database: each once, whole, whoever else is writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from stormproof.errors import RunDirectoryError
from stormproof.history.database import database_url, opened
from stormproof.history.entry import RunEntry, entry_of
from stormproof.history.schema import findings, measures, runs

ADDED, KNOWN, CHANGED = "added", "known", "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of each run directory."""

    done: tuple[tuple[str, str], ...]  # run id, and added | known | changed
    left_out: tuple[tuple[Path, str], ...]  # what is no finished run, and why


def record(paths: Sequence[Path], *, reports: Path, url: str | None = None, skip_unfinished: bool = False) -> Recorded:
    """Put the runs in *paths* into the history; a run that is there already, with the same verdict, is left alone.

    What cannot be read is a `RunDirectoryError`, or with *skip_unfinished* is named in the answer.
    """
    entries: list[RunEntry] = []
    left_out: list[tuple[Path, str]] = []
    for path in paths:
        try:
            entries.append(entry_of(path))
        except RunDirectoryError as error:
            if not skip_unfinished:
                raise
            left_out.append((path, error.message))
    with opened(database_url(reports, url)) as engine:
        done = tuple((entry.run_id, keep(engine, entry)) for entry in entries)
    return Recorded(done=done, left_out=tuple(left_out))


def run_directories(folder: Path) -> list[Path]:
    """Every run directory in or below *folder*, by run id: by time. Revisions and bundles are no runs of their own."""
    if (folder / "run.json").is_file():
        return [folder]
    return sorted({path.parent for path in folder.rglob("run.json")}, key=lambda path: (path.name, str(path)))


def keep(engine: Engine, entry: RunEntry) -> str:
    """Write *entry* in one transaction, and say what that did."""
    try:
        with engine.begin() as connection:
            return _keep(connection, entry)
    except IntegrityError:  # another process has just written the same run
        with engine.begin() as connection:
            return _keep(connection, entry)


def _keep(connection: Connection, entry: RunEntry) -> str:
    known = connection.execute(select(runs.c.verdict_sha256).where(runs.c.run_id == entry.run_id)).scalar_one_or_none()
    if known == entry.verdict_sha256:
        return KNOWN
    if known is not None:
        for table in (findings, measures, runs):
            connection.execute(delete(table).where(table.c.run_id == entry.run_id))
    row: dict[str, Any] = asdict(entry)
    told, measured = row.pop("findings"), row.pop("measures")
    row |= {"verdict": str(entry.verdict), "reasons": orjson.dumps(list(entry.reasons)).decode()}
    connection.execute(insert(runs).values(row))
    numbered = [
        one | {"verdict": str(one["verdict"]), "run_id": entry.run_id, "position": position}
        for position, one in enumerate(told)
    ]
    if numbered:
        connection.execute(insert(findings), numbered)
    if measured:
        connection.execute(insert(measures), [one | {"run_id": entry.run_id} for one in measured])
    return ADDED if known is None else CHANGED
