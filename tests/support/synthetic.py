"""Synthetic samples, arrivals, readings and whole run directories, seeded: what a run would have left behind.

A run directory built here is complete enough for `stormproof analyse` and `stormproof report`. Every part that a
test cares about is an argument; nothing here knows the verdict that should come out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stormproof.record.arrivals import arrivals_schema
from stormproof.record.layout import RunDirectory
from stormproof.record.samples import samples_schema

START_S = 1_800_000_000.0  # an arbitrary Unix second; a whole one, so that expected values stay readable
ENDPOINTS = ("/", "/product", "/cart")
ZONES = ("a", "b", "c")
SAMPLE_COLUMNS = (
    "scheduled_at",
    "sent_at",
    "latency_ms",
    "service_ms",
    "status",
    "ok",
    "endpoint",
    "zone",
    "error",
    "worker",
)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """One stretch of load with one behaviour; times in seconds from the start of load."""

    start_s: float
    end_s: float
    rate_per_s: float = 100.0
    failed_share: float = 0.0
    latency_ms: float = 20.0  # median
    latency_sigma: float = 0.3  # of the logarithm; 0: constant
    level_sd: float = 0.0  # AR(1) noise of the log latency's level, rho 0.9 per 100 ms
    zones: Sequence[str] = ZONES
    failed_latency_ms: float | None = None  # None: as the others
    late_ms: float = 0.0  # how much later than scheduled each request was sent


def samples_of(stretches: Sequence[Stretch], *, seed: int = 1, origin_s: float = START_S) -> pd.DataFrame:
    """One row a request, evenly spaced, in the columns of DESIGN section 5."""
    rng = np.random.default_rng(seed)
    return typed(pd.concat([_stretch_rows(stretch, rng, origin_s) for stretch in stretches], ignore_index=True))


def rows(
    *,
    scheduled_at: Sequence[float],
    latency_ms: Sequence[float] | float = 10.0,
    ok: Sequence[bool] | bool = True,
    endpoint: Sequence[str] | str = "/",
    zone: Sequence[str] | str = "a",
) -> pd.DataFrame:
    """A hand-written history: a few rows, every value given."""
    frame = pd.DataFrame({"scheduled_at": np.asarray(scheduled_at, dtype=float)})
    frame["sent_at"] = frame["scheduled_at"]
    frame["latency_ms"] = latency_ms
    frame["service_ms"] = frame["latency_ms"]
    frame["ok"] = ok
    frame["status"] = np.where(frame["ok"], 200, 503)
    frame["endpoint"] = endpoint
    frame["zone"] = zone
    frame["error"] = np.where(frame["ok"], "", "503")
    frame["worker"] = 0
    return typed(frame)


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """*frame* with the column order and types of the sample schema."""
    types = {
        "latency_ms": "float32",
        "service_ms": "float32",
        "status": "int16",
        "ok": "bool",
        "endpoint": "category",
        "zone": "category",
        "error": "category",
        "worker": "int16",
    }
    return frame[list(SAMPLE_COLUMNS)].astype(types)


def ar1_level(rng: np.random.Generator, *, seconds: float, sd: float, rho: float = 0.9) -> np.ndarray:
    """A stationary AR(1) series, one value every 100 ms, of standard deviation *sd*."""
    n = max(1, int(np.ceil(seconds * 10)))
    level = np.empty(n)
    level[0] = rng.normal(0, sd)
    shocks = rng.normal(0, sd * np.sqrt(1 - rho**2), n)
    for i in range(1, n):
        level[i] = rho * level[i - 1] + shocks[i]
    return level


def _stretch_rows(stretch: Stretch, rng: np.random.Generator, origin_s: float) -> pd.DataFrame:
    n = round((stretch.end_s - stretch.start_s) * stretch.rate_per_s)
    offset_s = np.arange(n) / stretch.rate_per_s
    log_latency = np.log(stretch.latency_ms) + rng.normal(0, 1, n) * stretch.latency_sigma
    if stretch.level_sd:
        level = ar1_level(rng, seconds=stretch.end_s - stretch.start_s, sd=stretch.level_sd)
        log_latency += level[np.minimum((offset_s * 10).astype(int), len(level) - 1)]
    latency_ms = np.exp(log_latency)
    ok = rng.random(n) >= stretch.failed_share
    if stretch.failed_latency_ms is not None:
        latency_ms = np.where(ok, latency_ms, stretch.failed_latency_ms)
    zone = np.asarray(stretch.zones, dtype=object)[np.arange(n) % len(stretch.zones)]
    scheduled_at = origin_s + stretch.start_s + offset_s
    return pd.DataFrame(
        {
            "scheduled_at": scheduled_at,
            "sent_at": scheduled_at + stretch.late_ms / 1000,
            "latency_ms": latency_ms + stretch.late_ms,
            "service_ms": latency_ms,
            "status": np.where(ok, 200, 0),
            "ok": ok,
            "endpoint": np.asarray(ENDPOINTS, dtype=object)[np.arange(n) % len(ENDPOINTS)],
            "zone": np.where(ok, zone, ""),
            "error": np.where(ok, "", "ConnectionRefusedError"),
            "worker": 0,
        }
    )


DEFAULT_HYPOTHESES = (
    "availability during fault >= 99%",
    "p99 latency during fault <= 3x steady",
    "time to recover <= 10s",
)


@dataclass(frozen=True, kw_only=True)
class SyntheticRun:
    """A whole run: an az-loss of zone a, by default one that the workload survives.

    Times in seconds from the start of load: warm-up to 2, steady to 17, fault to 37, recovery to 52.
    """

    hypotheses: Sequence[str] = DEFAULT_HYPOTHESES
    warmup_s: float = 2.0
    onset_s: float = 17.0
    felt_s: float = 17.3
    undo_s: float = 36.5
    gone_s: float = 37.0
    end_s: float = 52.0
    rate_per_s: float = 100.0
    stretches: Sequence[Stretch] | None = None  # None: healthy, with zone a silent
    samples: pd.DataFrame | None = None  # instead of *stretches*
    felt: bool | None = True  # False: fault.not_felt; None: neither was seen
    gone: bool | None = True
    injected: bool = True
    fault_id: str = "1-az-loss"
    kind: str = "az-loss"
    effect: Mapping[str, Any] = field(default_factory=lambda: {"kind": "zone-silent", "zone": "a"})
    fault_span: str | Mapping[str, str] = "20s"  # as the spec says it
    stop_when: Sequence[str] = ()
    decided_s: float | None = None  # when the conductor let the fault end
    abort: Mapping[str, Any] | None = None  # {"at_s": 20.0, "by": "person", "reason": "Ctrl-C"}
    delivered: float = 1.0  # sent / offered
    late_share: float = 0.0
    model: str = "open"  # or "closed": then what was offered is what ended
    worker: Mapping[str, Any] = field(default_factory=dict)  # further fields of the worker's account
    arrivals: Sequence[Mapping[str, Any]] = ()
    detect_after_s: float | None = 0.85  # when the balancer sees zone a unhealthy; None: never
    readings: bool = True
    simulated: bool = True
    run_id: str = "20270115T080000Z-az-loss-0a1b"
    title: str = "The shop keeps selling while one Availability Zone is gone"
    seed: int = 1

    def healthy_stretches(self) -> tuple[Stretch, ...]:
        """Load with no failures; zone a answers nothing between onset and gone."""
        rate = self.rate_per_s
        return (
            Stretch(start_s=0, end_s=self.onset_s, rate_per_s=rate),
            Stretch(start_s=self.onset_s, end_s=self.gone_s, rate_per_s=rate, zones=("b", "c")),
            Stretch(start_s=self.gone_s, end_s=self.end_s, rate_per_s=rate),
        )

    def frame(self) -> pd.DataFrame:
        """The samples, cut where an abort ended the load."""
        frame = self.samples
        if frame is None:
            frame = samples_of(self.stretches or self.healthy_stretches(), seed=self.seed)
        return frame[frame["scheduled_at"] < START_S + self.stopped_s].reset_index(drop=True)

    @property
    def stopped_s(self) -> float:
        """When the load ended, seconds from its start."""
        return float(self.abort["at_s"]) if self.abort else self.end_s

    def write(self, path: Path) -> RunDirectory:
        """Write the run directory at *path*, which must not exist."""
        run = RunDirectory(path).create()
        frame = self.frame()
        run.run_json.write_text(json.dumps(self._run_json(), indent=2) + "\n")
        run.spec.write_text(json.dumps(self._spec(), indent=2) + "\n")  # JSON is YAML
        run.plan.write_text("{}\n")
        run.events.write_text("".join(json.dumps(row) + "\n" for row in self._events(frame)))
        _write_part(run.samples / "part-000.parquet", frame, samples_schema())
        if self.arrivals:
            _write_part(run.arrivals / "arrivals.parquet", arrivals_frame(self.arrivals), arrivals_schema())
        if self.readings:
            run.readings.write_text("".join(json.dumps(row) + "\n" for row in self._readings()))
        return run

    def with_(self, **changes: Any) -> SyntheticRun:
        """This run with *changes*."""
        return replace(self, **changes)

    def _run_json(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "run_id": self.run_id,
            "slug": "az-loss",
            "title": self.title,
            "why": "Static stability.",
            "command": "stormproof run experiments/az-loss --env local --set lab.variant=hardened",
            "started_at": "2027-01-15T08:00:00Z",
            "ended_at": "2027-01-15T08:00:55Z",
            "seed": self.seed,
            "git": {"commit": "0" * 40, "dirty": False},
            "versions": {"stormproof": "0.1.0", "python": "3.11.7"},
            "environment": "local",
            "simulated": self.simulated,
            "variant": "hardened",
            "operator": "nightly",
            "host": "[redacted]",
            "workload_version": "1",
            "topology_digest": "0" * 16,
            "overrides": {"lab.variant": "hardened"},
            "reliability": ["rel_fault_isolation_multiaz_region_system"],
        }

    def _spec(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "why": "Static stability.",
            "load": {"locustfile": "load.py", "arrivals": f"{self.rate_per_s:g}/s"},
            "timeline": {"steady": "15s", "fault": self.fault_span, "recovery": "15s"},
            "faults": [{"az-loss": {"zone": "a"}}],
            "hypotheses": list(self.hypotheses),
            "stop_when": list(self.stop_when),
            "limits": {"duration": "3m", "targets": 2},
        }

    def _events(self, frame: pd.DataFrame) -> list[dict[str, Any]]:
        events = [
            _event("run.started", 0.0),
            _event("load.started", 0.0, model=self.model, offered_per_s=self.rate_per_s, users=None, workers=1)
            | {"timeout_s": 10.0, "delivered_share_min": 0.95, "warmup_s": self.warmup_s},
            _event("phase", 0.0, phase="warmup", planned_s=self.warmup_s),
            _event("phase", self.warmup_s, phase="steady", planned_s=self.onset_s - self.warmup_s),
            *self._fault_events(),
        ]
        if self.decided_s is not None:
            events.append(_event("decided", self.decided_s, reason="every claim is decided", claims=[]))
        if self.abort:
            events.append(_event("abort", self.stopped_s, by=self.abort["by"], reason=self.abort["reason"]))
        events += [
            _event("phase", self.stopped_s, phase="ended", planned_s=0.0),
            _event("load.stopped", self.stopped_s + 0.2, workers=[self._worker(frame)]),
            _event("run.ended", self.stopped_s + 0.5, undone=True),
        ]
        return events

    def _fault_events(self) -> list[dict[str, Any]]:
        fault = {"fault_id": self.fault_id, "kind": self.kind}
        effect = dict(self.effect)
        events: list[dict[str, Any]] = []
        if self.injected and self.onset_s < self.stopped_s:
            what = "stop 2 instances in zone a"
            events.append(_event("fault.injecting", self.onset_s, what=what, effect=effect, **fault))
            events.append(_event("fault.injected", self.onset_s + 0.1, **fault))
            evidence = {"probe": "GET past the balancer", "answers": 0, "refused": 2}
            if self.felt:
                felt = {"last_ok_at": START_S + self.onset_s, "evidence": evidence, "effect": effect}
                events.append(_event("fault.felt", self.felt_s, **fault, **felt))
            elif self.felt is False:
                reason = "after 5 s every instance of zone a still answered"
                events.append(_event("fault.not_felt", self.felt_s, reason=reason, evidence={}, **fault))
            events.append(_event("fault.undoing", min(self.undo_s, self.stopped_s), **fault))
            events.append(_event("fault.undone", min(self.undo_s, self.stopped_s) + 0.1, **fault))
            if self.gone:
                at_s = min(self.gone_s, self.stopped_s + 0.4)
                events.append(_event("fault.gone", at_s, evidence={"answers": 2}, **fault))
            elif self.gone is False:
                events.append(_event("fault.not_gone", self.gone_s, reason="i-1 does not answer", **fault))
        return events

    def _worker(self, frame: pd.DataFrame) -> dict[str, Any]:
        second = np.floor(frame["scheduled_at"].to_numpy())
        per_second = [
            [float(s), int(n), round(int(n) * self.delivered)]
            for s, n in zip(*np.unique(second, return_counts=True), strict=True)
        ]
        offered = sum(n for _, n, _ in per_second)
        return {
            "worker": 0,
            "offered": offered,
            "sent": sum(n for *_, n in per_second),
            "completed": len(frame),
            "late_share": self.late_share,
            "lateness_ms_p50": 0.2,
            "lateness_ms_p99": 1.5,
            "lateness_ms_max": 4.0,
            "cpu_share": 0.3,
            "per_second": per_second,
            **self.worker,
        }

    def _readings(self) -> list[dict[str, Any]]:
        readings = []
        for i in range(int(self.stopped_s * 10)):
            at_s = i / 10
            seen = self.detect_after_s is not None and self.injected
            lost = seen and self.onset_s + (self.detect_after_s or 0) <= at_s < self.gone_s
            targets = {
                f"i-{zone}{k}": {"zone": zone, "healthy": not (lost and zone == "a")} for zone in ZONES for k in (1, 2)
            }
            readings.append(
                {"probe": "target_health", "wall_s": START_S + at_s, "mono_s": at_s, "reading": {"targets": targets}}
            )
        return readings


def split(run: RunDirectory, parts: int) -> None:
    """The samples of *run* in so many parts, dealt out like rows to workers."""
    whole = run.samples / "part-000.parquet"
    table = pq.read_table(whole, partitioning=None)
    whole.unlink()
    for number in range(parts):
        rows = np.arange(number, len(table), parts)
        pq.write_table(table.take(rows), run.samples / f"part-{number:03d}.parquet", row_group_size=300)


def arrivals_frame(rows_: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Arrivals, one a mapping; what a mapping leaves out gets a plain value. ``at_s`` counts from load start."""
    full = []
    for row in rows_:
        start = START_S + float(row["at_s"])
        duration_ms = float(row.get("duration_ms", 5.0))
        full.append(
            {
                "dependency": row["dependency"],
                "arrived_at": start,
                "t_start_s": start,
                "t_end_s": start + duration_ms / 1000,
                "duration_ms": duration_ms,
                "status": int(row.get("status", 200)),
                "outcome": str(row.get("status", 200)),
                "retry_after_s": float("nan"),
                "client": "shop-a-1",
                "op": "",
                "attempt": 0,
                "flags": row.get("flags", ""),
                "canary": bool(row.get("canary", False)),
            }
        )
    types = {"duration_ms": "float32", "status": "int16", "retry_after_s": "float32", "attempt": "int16"}
    return pd.DataFrame(full).astype(types)


def _event(event: str, at_s: float, **fields: Any) -> dict[str, Any]:
    return {
        "event": event,
        "who": "conductor",
        "wall_s": START_S + at_s,
        "mono_s": at_s,
        "at": START_S + at_s,
        **fields,
    }


def _write_part(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    pq.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False).cast(schema), path)
