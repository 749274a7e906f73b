"""Whole runs with a control group by header, made up: what either group went through is an argument."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stormproof.record.layout import RunDirectory
from stormproof.record.samples import CONTROL, samples_schema
from support.synthetic import START_S, SyntheticRun, typed

HEADER = "x-stormproof-control"
CLAIMS = ("availability during fault >= 0.98x control", "p50 latency during fault <= 1.5x control")


def marked_samples(
    *,
    failed: float = 0.0,
    slower: float = 1.0,
    control_failed: float = 0.0,
    control_slower: float = 1.0,
    control_slower_before: float = 1.0,
    share: float = 0.2,
    strayed: float = 0.0,
    later: int = 0,
    seed: int = 1,
) -> pd.DataFrame:
    """52 s at 150/s; the fault, from 17 to 37, does what the arguments say to either group.

    A share *strayed* of the control is answered by zone b. *later* further requests follow on each arrival of the
    control, as where a task goes on.
    """
    rng = np.random.default_rng(seed)
    n = 52 * 150
    at = START_S + 0.003 + np.arange(n) / 150  # not just on the edge of a block
    control = rng.random(n) < share
    during = (at >= START_S + 17) & (at < START_S + 37)
    chance = np.where(control, control_failed, failed) * during
    ok = rng.random(n) >= chance
    factor = np.where(control, control_slower, slower)
    factor = np.where(during, factor, np.where(control, control_slower_before, 1.0))
    others = np.where(during, "b", np.where(np.arange(n) % 2, "a", "b"))
    zone = np.where(control, np.where(rng.random(n) < strayed, "b", "c"), others)
    latency_ms = 20 * np.exp(rng.normal(0, 0.3, n)) * factor
    frame = pd.DataFrame(
        {
            "scheduled_at": at,
            "sent_at": at + 0.0002,
            "latency_ms": latency_ms,
            "service_ms": latency_ms - 0.2,
            "status": np.where(ok, 200, 0),
            "ok": ok,
            "endpoint": "/",
            "zone": np.where(ok, zone, ""),
            "error": np.where(ok, "", "timeout"),
            "worker": 0,
        }
    )
    more = [frame[control].assign(scheduled_at=lambda f: f["sent_at"] + 0.05, sent_at=lambda f: f["scheduled_at"])]
    frame = pd.concat([frame.assign(control=control), *(one.assign(control=True) for one in more * later)])
    frame = frame.sort_values("scheduled_at", kind="stable", ignore_index=True)
    return typed(frame).assign(**{CONTROL: frame["control"].to_numpy(dtype=bool)})


def control_run(
    path: Path,
    samples: pd.DataFrame,
    *,
    hypotheses: Sequence[str] = CLAIMS,
    told: bool = True,
) -> RunDirectory:
    """The run directory of *samples*, an az-loss of zone a; *told*: the load knew of its control group."""
    run = SyntheticRun(hypotheses=hypotheses, samples=samples, rate_per_s=150).write(path)
    spec = json.loads(run.spec.read_text())
    run.spec.write_text(json.dumps({**spec, "control": {"header": HEADER, "share": "20%"}}))
    events = [json.loads(line) for line in run.events.read_text().splitlines()]
    for row in events:
        if row["event"] == "load.started" and told:
            row["control"] = {"header": HEADER, "share": 0.2, "zone": "c"}
    run.events.write_text("".join(json.dumps(row) + "\n" for row in events))
    schema = samples_schema(has_control=True)
    table = pa.Table.from_pandas(samples, schema=schema, preserve_index=False).cast(schema)
    pq.write_table(table, run.samples / "part-000.parquet")
    return run
