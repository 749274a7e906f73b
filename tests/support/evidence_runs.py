"""Runs to make evidence of: copies of the committed one, changed, judged again and sealed; records by hand."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from stormproof.evidence.chain import ChainStore, append, store_of
from stormproof.evidence.record import build_record
from stormproof.evidence.settings import EvidenceSettings
from stormproof.evidence.source import RunSource, read_source
from stormproof.record.atomic import write_json
from stormproof.record.layout import RunDirectory
from stormproof.record.seal import seal
from stormproof.verdict.assess import assess
from stormproof.verdict.document import write_verdict
from support.command import ROOT

SAMPLE = next((ROOT / "reports" / "sample" / "az-loss").glob("2*"))
REAL = {"name": "staging", "simulated": False, "variant": None, "base_url": "https://shop.example.com"}


def copy_run(reports: Path, run_id: str, *, run: Mapping[str, Any] | None = None, real: bool = False) -> RunDirectory:
    """A copy of the committed run under *reports*, as *run_id*, with other values in run.json; judged and sealed.

    *real*: its documents say that it was in staging, not in the lab.
    """
    folder = RunDirectory(reports / "az-loss" / run_id)
    shutil.copytree(SAMPLE, folder.path)
    about = orjson.loads(folder.run_json.read_bytes()) | {"run_id": run_id}
    if real:
        about |= {"environment": "staging", "simulated": False, "variant": None}
        where = orjson.loads(folder.environment.read_bytes()) | REAL
        where["aws"] = where["aws"] | {"endpoint_url": None}
        write_json(folder.environment, where)
    write_json(folder.run_json, about | dict(run or {}))
    return rejudge(folder)


def rejudge(folder: RunDirectory) -> RunDirectory:
    """Judge *folder* as it is now, and seal it anew."""
    folder.sums.unlink(missing_ok=True)
    write_verdict(folder.verdict, assess(folder))
    seal(folder)
    return folder


def hand_record(
    run_id: str,
    *,
    at: str = "2026-11-20T03:00:00+00:00",
    verdict: str = "held",
    counts: bool = True,
    practices: Mapping[str, str],
    environment: str = "staging",
    simulated: bool = False,
    version: str = "v1",
    topology: str = "t1",
) -> dict[str, Any]:
    """What grading reads of a record; *practices*: choice id → strength."""
    return {
        "run_id": run_id,
        "simulated": simulated,
        "what": {"title": "A claim"},
        "when": {"started_at": at},
        "scope": {"environment": environment},
        "version": {"workload_version": version, "topology_digest": topology},
        "result": {"verdict": verdict},
        "potency": {"counts": counts, "reasons": [] if counts else ["fault felt: nobody felt it"]},
        "mapping": {"practices": [{"choice_id": one, "strength": how} for one, how in practices.items()]},
    }


def chain_of(reports: Path, runs: int = 4) -> ChainStore:
    """A chain of *runs* records of the committed run, each of another day, under *reports*."""
    source = read_source(SAMPLE)
    store = store_of(reports, "local")
    for day in range(1, runs + 1):
        run_id = f"202611{day:02d}T165507Z-az-loss-{day:04d}"
        when = {"started_at": f"2026-11-{day:02d}T16:55:07+00:00", "ended_at": f"2026-11-{day:02d}T16:56:00+00:00"}
        one = dataclasses.replace(source, run={**source.run, "run_id": run_id, **when})
        append(store, functools.partial(_numbered, one), name=run_id)
    return store


def _numbered(source: RunSource, sequence: int, previous: str | None) -> dict[str, Any]:
    return build_record(source, EvidenceSettings(), sequence=sequence, previous_sha256=previous)
