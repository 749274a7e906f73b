"""Histories by hand: run entries of many nights, and run directories that differ in what a test cares about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from stormproof.history.entry import FindingEntry, RunEntry
from stormproof.model.verdict import Outcome

FIRST = dt.datetime(2026, 9, 1, 2, 0, tzinfo=dt.UTC)
P99 = "p99 latency during fault <= 300ms"
AVAILABILITY = "availability during fault >= 99.5%"


def finding(claim: str = P99, verdict: Outcome = Outcome.HELD, **fields: Any) -> FindingEntry:
    """A finding; a latency of 100 ms unless said otherwise."""
    unit, op, bound = ("share", ">=", 0.995) if claim == AVAILABILITY else ("ms", "<=", 300.0)
    estimate = fields.pop("estimate", 1.0 if unit == "share" else 100.0)
    low, high = (0.9988, 1.0) if unit == "share" else ((estimate or 0.0) * 0.97, (estimate or 0.0) * 1.03)
    known: dict[str, Any] = {"low": low, "high": high, "steady": None, "n": 3000, "unit": unit, "op": op,
                             "bound": bound, "method": "by hand", "reason": "", "found": None}  # fmt: skip
    return FindingEntry(claim=claim, verdict=verdict, estimate=estimate, **(known | fields))


def run(night: int, findings: Sequence[FindingEntry] = (), *, hour: int = 0, **fields: Any) -> RunEntry:
    """The run of *night* (from 0), *hour* hours after it usually begins."""
    at = FIRST + dt.timedelta(days=night, hours=hour)
    slug = fields.get("slug", "az-loss")
    run_id = f"{at:%Y%m%dT%H%M%SZ}-{slug}-{night:04d}"
    known: dict[str, Any] = {
        "run_id": run_id, "slug": slug, "title": "The shop keeps selling", "environment": "local",
        "variant": "hardened", "simulated": True, "conditions": "c0ffee", "started_at": at.timestamp(),
        "ended_at": at.timestamp() + 60, "verdict": Outcome.HELD, "reasons": ("All claims held.",),
        "workload_version": "v1", "topology_digest": "t1", "experiment_commit": "", "verdict_sha256": f"{night:064d}",
        "directory": f"{slug}/{run_id}",
    }  # fmt: skip
    return RunEntry(**(known | fields), findings=tuple(findings))


def hostile(mark: str) -> Mapping[str, str]:
    """Texts of a run that somebody wrote to break a page."""
    return dict.fromkeys(("slug", "title", "variant", "environment"), f"</style><script>{mark}</script>\u202e'\"&")
