"""Finds the runs that have no record yet and writes one for each, in the order in which they began."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stormproof.evidence.chain import Link, append, environments, read_links, store_of
from stormproof.evidence.record import build_record
from stormproof.evidence.settings import EvidenceSettings
from stormproof.evidence.source import RunSource, read_source
from stormproof.record.layout import RunDirectory

ABANDONED_S = 3600.0  # nothing was written into it for so long: it will not be finished any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a call of `record_runs` did."""

    links: tuple[Link, ...]
    unfinished: tuple[Path, ...]  # runs that are still going on, or were cut off less than an hour ago


def find_runs(reports: Path) -> list[Path]:
    """The run directories under *reports*, `<slug>/<run-id>`, by run id: by time."""
    return sorted((path.parent for path in reports.glob("*/*/run.json")), key=lambda path: path.name)


def record_runs(
    runs: Sequence[Path],
    *,
    reports: Path,
    settings: EvidenceSettings,
    even_unfinished: bool = False,
    clock: Callable[[], float] = time.time,
) -> Recorded:
    """Write a record for each of *runs* that has none, into the chains under *reports*.

    A run that is neither sealed nor abandoned is left for later, unless *even_unfinished*. Raises `InputError` when a
    chain is not whole, or would mix simulated and real records.
    """
    known = {
        str(link.record.get("run_id")) for name in environments(reports) for link in read_links(store_of(reports, name))
    }
    links: list[Link] = []
    unfinished: list[Path] = []
    for path in runs:
        folder = RunDirectory(path).require()
        if not (even_unfinished or folder.sums.exists() or _is_abandoned(path, clock())):
            unfinished.append(path)
            continue
        source = read_source(path)
        if source.run_id not in known:
            known.add(source.run_id)
            links.append(_record(source, reports, settings))
    return Recorded(links=tuple(links), unfinished=tuple(unfinished))


def _record(source: RunSource, reports: Path, settings: EvidenceSettings) -> Link:
    store = store_of(reports, str(source.run.get("environment") or "none"))
    link, _ = append(
        store,
        lambda sequence, previous: build_record(source, settings, sequence=sequence, previous_sha256=previous),
        name=re.sub(r"[^A-Za-z0-9._-]+", "-", source.run_id)[:120],
    )
    return link


def _is_abandoned(path: Path, now_s: float) -> bool:
    newest = max((one.stat().st_mtime for one in path.rglob("*") if one.is_file()), default=0.0)
    return now_s - newest > ABANDONED_S
