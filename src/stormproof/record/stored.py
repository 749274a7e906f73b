"""The runs under a reports folder: which there are, since when, how large. Everything else in it is not looked at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stormproof.record.layout import RunDirectory, is_run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """One run on disk."""

    run: RunDirectory
    begun_at: dt.datetime  # aware, by its id: what was written later does not make a run younger
    size_bytes: int
    written_at_s: float  # Unix s: when something in it was written last

    @property
    def run_id(self) -> str:
        """The name of its directory."""
        return self.run.path.name


def stored_runs(reports: Path) -> list[StoredRun]:
    """The runs of *reports*, ``<slug>/<run-id>``, oldest first; a link is nobody's run."""
    found = [
        _stored(path)
        for path in reports.glob("*/*")
        if is_run_id(path.name, path.parent.name) and path.is_dir() and not path.is_symlink()
    ]
    return sorted(found, key=lambda one: (one.begun_at, one.run_id))


def total_bytes(runs: Iterable[StoredRun]) -> int:
    """What *runs* take together."""
    return sum(one.size_bytes for one in runs)


def _stored(path: Path) -> StoredRun:
    files = [one.lstat() for one in path.rglob("*") if one.is_file() and not one.is_symlink()]
    return StoredRun(
        run=RunDirectory(path),
        begun_at=dt.datetime.strptime(path.name.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC),
        size_bytes=sum(one.st_size for one in files),
        written_at_s=max((one.st_mtime for one in files), default=path.stat().st_mtime),
    )
