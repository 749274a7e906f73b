"""What is counted of each batch so that the measures can answer: latencies in buckets, by block of time and success.

All counters are whole numbers, sums of latencies too (in ns), so states merge exactly, in any order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.analysis.block import block_count
from stormproof.analysis.counters import UNKNOWN, WIDTH, Counted, bucket_of

if TYPE_CHECKING:
    import pyarrow as pa

    from stormproof.analysis.requests import Bools, Floats, Ints

ALWAYS = ("scheduled_at", "latency_ms", "ok")
NS_PER_MS = 1e6

WindowKey = tuple[tuple[float, float], str | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is counted of one endpoint and zone: block edges, ascending, and whole seconds of one window."""

    endpoint: str | None
    zone: str | None
    windows: tuple[tuple[float, float], ...]  # one after the other, not overlapping
    seconds_of: tuple[float, float] | None = None
    sums: bool = False  # latencies are added up only where a mean is claimed
    shares: bool = False  # whether a share of traffic is claimed

    def edges(self) -> Floats:
        """The starts of all blocks, and the end of each window."""
        return np.unique(np.concatenate([_block_edges(window) for window in self.windows] or [np.zeros(0)]))


@dataclass(slots=True)
class Tally:
    """The counters of one plan."""

    edges: Floats
    histogram: Ints  # [slot between edges, failed or ok, bucket], flat
    sums_ns: Ints  # of the known latencies, a slot
    nowhere: Ints  # [slot, failed or ok], flat: no zone answered
    seconds: Ints  # [second, failed or ok], flat
    traffic: Ints  # [slot, of everybody | answered | the plan's own answered], flat
    unscheduled: int = 0

    def merge(self, other: Tally) -> None:
        """Merge by addition."""
        self.histogram += other.histogram
        self.sums_ns += other.sums_ns
        self.nowhere += other.nowhere
        self.seconds += other.seconds
        self.traffic += other.traffic
        self.unscheduled += other.unscheduled


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyFold:
    """A `fold.Fold`: a tally a plan."""

    plans: tuple[Plan, ...]

    @property
    def columns(self) -> frozenset[str]:
        """Those that some plan needs."""
        named = {
            "endpoint": any(plan.endpoint is not None for plan in self.plans),
            "zone": any(plan.zone is not None for plan in self.plans),
            "status": any(plan.shares and plan.zone is None for plan in self.plans),
        }
        return frozenset({*ALWAYS, *(name for name, needed in named.items() if needed)})

    def empty(self) -> list[Tally]:
        """No rows yet."""
        return [_empty(plan) for plan in self.plans]

    def add(self, state: list[Tally], batch: pa.RecordBatch) -> None:
        """Count *batch*."""
        times = columns_of(batch)
        for plan, tally in zip(self.plans, state, strict=True):
            _add_batch(batch, times, plan, tally)

    def merge(self, state: list[Tally], other: list[Tally]) -> None:
        """Plan by plan."""
        for tally, more in zip(state, other, strict=True):
            tally.merge(more)

    def counted(self, state: Sequence[Tally]) -> dict[WindowKey, Counted]:
        """The windows of all plans."""
        found: dict[WindowKey, Counted] = {}
        for plan, tally in zip(self.plans, state, strict=True):
            found |= _counted(plan, tally)
        return found

    def traffic(self, state: Sequence[Tally]) -> Mapping[WindowKey, Ints]:
        """[block, of everybody | answered | the plan's own answered] of each window that a share is claimed of."""
        return {
            (window, plan.endpoint, plan.zone): tally.traffic.reshape(-1, 3)[slice(*_slots(tally.edges, window))]
            for plan, tally in zip(self.plans, state, strict=True)
            if plan.shares
            for window in plan.windows
        }


@dataclass(slots=True)
class Extent:
    """From when to when requests were due, Unix s."""

    first_s: float = math.inf
    last_s: float = -math.inf


@dataclass(frozen=True, slots=True)
class ExtentFold:
    """A `fold.Fold`: the first and the last instant at which a request was due."""

    @property
    def columns(self) -> frozenset[str]:
        """The time alone."""
        return frozenset({"scheduled_at"})

    def empty(self) -> Extent:
        """No rows yet."""
        return Extent()

    def add(self, state: Extent, batch: pa.RecordBatch) -> None:
        """Look at *batch*."""
        at = batch.column("scheduled_at").to_numpy(zero_copy_only=False)
        at = at[np.isfinite(at)]
        if len(at):
            self.merge(state, Extent(float(at.min()), float(at.max())))

    def merge(self, state: Extent, other: Extent) -> None:
        """The wider of the two."""
        state.first_s, state.last_s = min(state.first_s, other.first_s), max(state.last_s, other.last_s)


def columns_of(batch: pa.RecordBatch) -> tuple[Floats, Any, Bools]:
    """Times, latencies as float32, successes; what is missing is NaN, and a failure."""
    import pyarrow.compute as pc

    scheduled_at, latency_ms, ok = (batch.column(name) for name in ALWAYS)
    if ok.null_count:
        ok = pc.fill_null(ok, False)
    times = scheduled_at.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    taken = latency_ms.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return times, taken, ok.to_numpy(zero_copy_only=False).astype(bool, copy=False)


def is_text(column: pa.Array, text: str) -> Bools:
    """Which entries are *text*; nothing is the empty text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        texts = column.dictionary.cast("string")
        equal = pc.take(pc.equal(texts, text), column.indices)
    else:
        equal = pc.equal(column.cast("string"), text)
    found: Bools = pc.fill_null(equal, text == "").to_numpy(zero_copy_only=False)
    return found


def _block_edges(window: tuple[float, float]) -> Floats:
    edges = np.linspace(window[0], window[1], max(1, block_count(window[1] - window[0])) + 1)
    edges[0], edges[-1] = window
    return edges


def _empty(plan: Plan) -> Tally:
    edges = plan.edges()
    slots = len(edges) + 1
    seconds = math.ceil(plan.seconds_of[1] - plan.seconds_of[0]) + 2 if plan.seconds_of else 0
    return Tally(
        edges=edges,
        histogram=np.zeros(slots * 2 * WIDTH, dtype=np.int64),
        sums_ns=np.zeros(slots, dtype=np.int64),
        nowhere=np.zeros(slots * 2, dtype=np.int64),
        seconds=np.zeros(seconds * 2, dtype=np.int64),
        traffic=np.zeros(slots * 3, dtype=np.int64),
    )


def _add_batch(batch: pa.RecordBatch, columns: tuple[Floats, Any, Bools], plan: Plan, tally: Tally) -> None:
    scheduled_at, latency_ms, ok = columns
    tally.unscheduled += int(np.count_nonzero(~np.isfinite(scheduled_at)))
    all_slots = np.searchsorted(tally.edges, scheduled_at, side="right")
    chosen = _chosen(batch, plan, all_slots, ok, tally)
    slot = all_slots
    if chosen is not None:
        scheduled_at, latency_ms, ok, slot = scheduled_at[chosen], latency_ms[chosen], ok[chosen], slot[chosen]
    bucket = bucket_of(latency_ms)
    if plan.sums:
        known = np.where(bucket < UNKNOWN, latency_ms, np.float32(0)).astype(np.float64)
        sums = np.bincount(slot, weights=np.rint(known * NS_PER_MS), minlength=len(tally.sums_ns))
        tally.sums_ns += sums.astype(np.int64)
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


def _chosen(batch: pa.RecordBatch, plan: Plan, slots: Ints, ok: Bools, tally: Tally) -> Bools | None:
    """Which rows the plan is about, None for all; what is counted of the others is added to *tally*."""
    chosen = is_text(batch.column("endpoint"), plan.endpoint) if plan.endpoint is not None else None
    if plan.zone is None:
        if plan.shares:
            answered = batch.column("status").to_numpy(zero_copy_only=False) > 0
            own = answered if chosen is None else answered & chosen
            _add_traffic(tally, slots, np.ones(len(slots), dtype=bool), answered, own)
        return chosen
    nowhere, own = is_text(batch.column("zone"), ""), is_text(batch.column("zone"), plan.zone)
    answered = ~nowhere
    if chosen is not None:
        nowhere, own, answered = nowhere & chosen, own & chosen, answered & chosen
    if nowhere.any():
        tally.nowhere += np.bincount(slots[nowhere] * 2 + ok[nowhere], minlength=len(tally.nowhere))
    if plan.shares:
        _add_traffic(tally, slots, answered, answered, own)
    return own


def _add_traffic(tally: Tally, slots: Ints, *kinds: Bools) -> None:
    for number, mask in enumerate(kinds):
        tally.traffic += np.bincount(slots[mask] * 3 + number, minlength=len(tally.traffic))


def _slots(edges: Floats, window: tuple[float, float]) -> tuple[int, int]:
    """The first slot of *window* and the one after its last: rows at or after an edge lie in that of the next index."""
    first, last = (int(np.searchsorted(edges, one)) + 1 for one in window)
    return first, last


def _counted(plan: Plan, tally: Tally) -> dict[WindowKey, Counted]:
    slots = len(tally.edges) + 1
    histogram = tally.histogram.reshape(slots, 2, WIDTH)
    nowhere = tally.nowhere.reshape(slots, 2)
    found: dict[WindowKey, Counted] = {}
    for window in plan.windows:
        first, last = _slots(tally.edges, window)
        found[(window, plan.endpoint, plan.zone)] = Counted(
            start_s=window[0],
            end_s=window[1],
            histogram=histogram[first:last],
            sums_ms=tally.sums_ns[first:last] / NS_PER_MS,
            unattributed_failed=int(nowhere[first:last, 0].sum()),
            unattributed_ok=int(nowhere[first:last, 1].sum()),
        )
    if plan.seconds_of is not None:
        failed, ok = tally.seconds.reshape(-1, 2).T
        blank = np.zeros((1, 2, WIDTH), dtype=np.int64)
        blank[0, 0, 0], blank[0, 1, 0] = failed.sum(), ok.sum()
        start_s, end_s = plan.seconds_of
        key = plan.seconds_of, plan.endpoint, plan.zone
        # Without a recovery these are the seconds of the fault phase, which has counters of its own.
        known = found.get(key) or Counted(start_s=start_s, end_s=end_s, histogram=blank, sums_ms=np.zeros(1))
        found[key] = replace(known, per_second=(failed + ok, failed))
    return found
