"""Samples that need not fit in memory: Parquet parts, a record batch at a time, into counters.

Counts are exact; latencies are known to a thousandth (`counters.ERROR_MAX`), and intervals take the outer edges of
their buckets, so what they cover does not suffer. Memory is that of the counters and of one batch a thread, however
many rows there are. The measures are the same functions that judge a frame in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.analysis.block import block_count
from stormproof.analysis.counters import UNKNOWN, WIDTH, Counted, bucket_of
from stormproof.analysis.measure import Observations
from stormproof.analysis.requests import REQUIRED_COLUMNS, is_window
from stormproof.errors import InputError
from stormproof.model.hypothesis import Hypothesis, Metric, Phase

if TYPE_CHECKING:
    import pyarrow as pa

    from stormproof.analysis.requests import Floats, Ints

BATCH_ROWS = 1 << 19
ALWAYS = ("scheduled_at", "latency_ms", "ok")
SECONDS_MAX = 1_000_000

WindowKey = tuple[tuple[float, float], str | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is counted of one endpoint and zone: block edges, ascending, and whole seconds of one window."""

    endpoint: str | None
    zone: str | None
    windows: tuple[tuple[float, float], ...]  # one after the other, not overlapping
    seconds_of: tuple[float, float] | None = None
    sums: bool = False  # latencies are added up only where a mean is claimed

    def edges(self) -> Floats:
        """The starts of all blocks, and the end of each window."""
        return np.unique(np.concatenate([_block_edges(window) for window in self.windows] or [np.zeros(0)]))


@dataclass(slots=True)
class Tally:
    """The counters of one plan, of one thread."""

    histogram: Ints  # [slot between edges, failed or ok, bucket], flat
    sums_ms: Floats
    nowhere: Ints  # [slot, failed or ok]: no zone answered
    seconds: Ints  # [second, failed or ok], flat
    unscheduled: int = 0

    def add(self, other: Tally) -> None:
        """Merge by addition."""
        self.histogram += other.histogram
        self.sums_ms += other.sums_ms
        self.nowhere += other.nowhere
        self.seconds += other.seconds
        self.unscheduled += other.unscheduled


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedObservations(Observations):
    """`Observations` from counters; *samples* has the columns and no rows."""

    counted: Mapping[WindowKey, Counted]
    lost: int  # rows without a scheduled time

    def requests(self, window: tuple[float, float], *, endpoint: str | None = None, zone: str | None = None) -> Counted:
        """The counters of *window*. Raises `InputError` when these rows were not counted."""
        found = self.counted.get((window, endpoint, zone))
        if found is None:
            raise InputError(where="samples", what="", expected="a claim that was counted", got=f"{window}")
        return found

    @property
    def unscheduled(self) -> int:
        """How many rows have no scheduled time."""
        return self.lost


def observe(
    parts: Sequence[Path],
    windows: Mapping[str, tuple[float, float]],
    hypotheses: Sequence[Hypothesis],
    *,
    threads: int = 2,
) -> StreamedObservations:
    """Count what *hypotheses* are about in the Parquet files *parts*, each read once.

    Raises `InputError` for a part without the columns, and for a claim about a share of traffic: that one needs rows.
    """
    import pandas as pd

    if any(one.metric is Metric.TRAFFIC_SHARE for one in hypotheses):
        expected = "claims that counters can answer"
        raise InputError(
            where="samples", what="", expected=expected, got="a share of traffic", hint="judge a data frame instead"
        )
    plans = _plans(windows, hypotheses)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        done = list(pool.map(lambda mine: _count(mine, plans), [parts[i::threads] for i in range(threads)]))
    tallies = done[0]
    for others in done[1:]:
        for tally, other in zip(tallies, others, strict=True):
            tally.add(other)
    counted: dict[WindowKey, Counted] = {}
    for plan, tally in zip(plans, tallies, strict=True):
        counted |= _counted(plan, tally)
    lost = max((tally.unscheduled for tally in tallies), default=0)
    return StreamedObservations(
        samples=pd.DataFrame(columns=list(REQUIRED_COLUMNS)), windows=windows, counted=counted, lost=lost
    )


def _plans(windows: Mapping[str, tuple[float, float]], hypotheses: Sequence[Hypothesis]) -> list[Plan]:
    """One plan an endpoint and zone; phases that overlap are counted in plans of their own."""
    wanted: dict[tuple[str | None, str | None], list[Hypothesis]] = {}
    for hypothesis in hypotheses:
        wanted.setdefault((hypothesis.endpoint, hypothesis.zone), []).append(hypothesis)
    plans = []
    for (endpoint, zone), claims in wanted.items():
        phases = {claim.phase or Phase.FAULT for claim in claims} | {Phase.STEADY}
        chosen = sorted({windows[one] for one in phases if one in windows and is_window(windows[one])})
        recovers = any(claim.metric is Metric.TIME_TO_RECOVER for claim in claims)
        sums = any(claim.metric is Metric.LATENCY_MEAN for claim in claims)
        seconds_of = _recovery_window(windows) if recovers else None
        for group in _apart(chosen) or [()]:
            plans.append(Plan(endpoint=endpoint, zone=zone, windows=group, seconds_of=seconds_of, sums=sums))
            seconds_of = None
    return plans


def _apart(chosen: Iterable[tuple[float, float]]) -> list[tuple[tuple[float, float], ...]]:
    """*chosen* in groups of windows that do not overlap."""
    groups: list[list[tuple[float, float]]] = []
    for window in chosen:
        group = next((one for one in groups if one[-1][1] <= window[0]), None)
        if group is None:
            groups.append([window])
        else:
            group.append(window)
    return [tuple(group) for group in groups]


def _recovery_window(windows: Mapping[str, tuple[float, float]]) -> tuple[float, float] | None:
    fault, recovery = windows.get(Phase.FAULT.value), windows.get(Phase.RECOVERY.value)
    if fault is None or not is_window(fault):
        return None
    end_s = recovery[1] if recovery is not None and is_window(recovery) else fault[1]
    window = (fault[0], max(end_s, fault[1]))
    return window if window[1] - window[0] <= SECONDS_MAX else None


def _block_edges(window: tuple[float, float]) -> Floats:
    edges = np.linspace(window[0], window[1], max(1, block_count(window[1] - window[0])) + 1)
    edges[0], edges[-1] = window
    return edges


def _count(parts: Sequence[Path], plans: Sequence[Plan]) -> list[Tally]:
    import pyarrow.parquet as pq

    edges = [plan.edges() for plan in plans]
    tallies = [_empty(plan, one) for plan, one in zip(plans, edges, strict=True)]
    columns = [*ALWAYS, *(["endpoint"] if any(plan.endpoint is not None for plan in plans) else [])]
    columns += ["zone"] if any(plan.zone is not None for plan in plans) else []
    for path in parts:
        with pq.ParquetFile(path) as file:
            if missing := [name for name in columns if name not in file.schema_arrow.names]:
                got = f"none named {', '.join(missing)}"
                raise InputError(where=str(path), what="columns", expected=", ".join(columns), got=got)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
                for plan, one, tally in zip(plans, edges, tallies, strict=True):
                    _add_batch(batch, plan, one, tally)
    return tallies


def _empty(plan: Plan, edges: Floats) -> Tally:
    slots = len(edges) + 1
    seconds = math.ceil(plan.seconds_of[1] - plan.seconds_of[0]) + 2 if plan.seconds_of else 0
    return Tally(
        histogram=np.zeros(slots * 2 * WIDTH, dtype=np.int64),
        sums_ms=np.zeros(slots),
        nowhere=np.zeros(slots * 2, dtype=np.int64),
        seconds=np.zeros(seconds * 2, dtype=np.int64),
    )


def _add_batch(batch: pa.RecordBatch, plan: Plan, edges: Floats, tally: Tally) -> None:
    scheduled_at, latency_ms, ok = _columns(batch)
    tally.unscheduled += int(np.count_nonzero(~np.isfinite(scheduled_at)))
    chosen, nowhere = _chosen(batch, plan)
    if nowhere is not None and nowhere.any():
        lost = np.searchsorted(edges, scheduled_at[nowhere], side="right") * 2 + ok[nowhere]
        tally.nowhere += np.bincount(lost, minlength=len(tally.nowhere))
    if chosen is not None:
        scheduled_at, latency_ms, ok = scheduled_at[chosen], latency_ms[chosen], ok[chosen]
    slot = np.searchsorted(edges, scheduled_at, side="right")
    bucket = bucket_of(latency_ms)
    if plan.sums:
        known = np.where(bucket < UNKNOWN, latency_ms, np.float32(0))
        tally.sums_ms += np.bincount(slot, weights=known, minlength=len(tally.sums_ms))
    # In place: each of these is as long as the batch.
    code = slot * 2
    code += ok
    code *= WIDTH
    code += bucket
    tally.histogram += np.bincount(code, minlength=len(tally.histogram))
    if plan.seconds_of is not None:
        start_s, end_s = plan.seconds_of
        inside = (scheduled_at >= start_s) & (scheduled_at < end_s)
        second = (scheduled_at[inside] - start_s).astype(np.int64) * 2 + ok[inside]
        tally.seconds += np.bincount(second, minlength=len(tally.seconds))


def _columns(batch: pa.RecordBatch) -> tuple[Floats, Any, Any]:
    """Times, latencies as float32, successes; what is missing is NaN, and a failure."""
    import pyarrow.compute as pc

    scheduled_at, latency_ms, ok = (batch.column(name) for name in ALWAYS)
    if ok.null_count:
        ok = pc.fill_null(ok, False)
    times = scheduled_at.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    taken = latency_ms.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return times, taken, ok.to_numpy(zero_copy_only=False).astype(bool, copy=False)


def _chosen(batch: pa.RecordBatch, plan: Plan) -> tuple[Any, Any]:
    """Which rows the plan is about, and which no zone answered; None for all, and where no zone is asked for."""
    import pyarrow.compute as pc

    chosen = None
    if plan.endpoint is not None:
        equal = pc.fill_null(pc.equal(batch.column("endpoint").cast("string"), plan.endpoint), False)
        chosen = equal.to_numpy(zero_copy_only=False)
    if plan.zone is None:
        return chosen, None
    zone = pc.fill_null(batch.column("zone").cast("string"), "")
    nowhere = pc.equal(zone, "").to_numpy(zero_copy_only=False)
    in_zone = pc.equal(zone, plan.zone).to_numpy(zero_copy_only=False)
    if chosen is not None:
        return chosen & in_zone, chosen & nowhere
    return in_zone, nowhere


def _counted(plan: Plan, tally: Tally) -> dict[WindowKey, Counted]:
    edges = plan.edges()
    histogram = tally.histogram.reshape(len(edges) + 1, 2, WIDTH)
    nowhere = tally.nowhere.reshape(len(edges) + 1, 2)
    found: dict[WindowKey, Counted] = {}
    for window in plan.windows:
        # Rows at or after an edge lie in the slot of the next index.
        first, last = (int(np.searchsorted(edges, one)) + 1 for one in window)
        found[(window, plan.endpoint, plan.zone)] = Counted(
            start_s=window[0],
            end_s=window[1],
            histogram=histogram[first:last],
            sums_ms=tally.sums_ms[first:last],
            unattributed_failed=int(nowhere[first:last, 0].sum()),
            unattributed_ok=int(nowhere[first:last, 1].sum()),
        )
    if plan.seconds_of is not None:
        failed, ok = tally.seconds.reshape(-1, 2).T
        blank = np.zeros((1, 2, WIDTH), dtype=np.int64)
        blank[0, 0, 0], blank[0, 1, 0] = failed.sum(), ok.sum()
        found[(plan.seconds_of, plan.endpoint, plan.zone)] = Counted(
            start_s=plan.seconds_of[0],
            end_s=plan.seconds_of[1],
            histogram=blank,
            sums_ms=np.zeros(1),
            per_second=(failed + ok, failed),
        )
    return found
