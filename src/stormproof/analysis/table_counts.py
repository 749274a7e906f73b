"""The tables of a run from counters over its parts: as those of `tables`, latencies known to a thousandth.

What is kept are the distinct (phase, endpoint or zone, success, latency bucket) and (second, success, latency bucket)
that occurred, and how often: memory grows with the endpoints and with the seconds of the run, not with its rows.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from stormproof.analysis.counters import BUCKETS, UNKNOWN, WIDTH, Counted, bucket_of, edges_ms
from stormproof.analysis.tables import ALL, NO_ZONE, SECOND_COLUMNS, SUMMARY_COLUMNS, summary, worst_requests
from stormproof.analysis.tally import columns_of
from stormproof.record.samples import samples_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from stormproof.analysis.requests import Floats, Ints

Windows = Mapping[str, tuple[float, float]]

SETTLE_AT = 1 << 18
CELL = 2 * WIDTH  # codes of one phase or second: failed or ok, bucket
WORST = 5


@dataclass(slots=True)
class Sparse:
    """How often each of a few whole numbers occurred."""

    codes: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # ascending
    counts: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    waiting: list[tuple[Ints, Ints]] = field(default_factory=list)  # not sorted in yet
    waiting_rows: int = 0

    def add(self, codes: Ints, counts: Ints) -> None:
        """Add what occurred; sorted in when enough has come together, so that each code is moved a few times only."""
        self.waiting.append((codes, counts))
        self.waiting_rows += len(codes)
        if self.waiting_rows > max(SETTLE_AT, len(self.codes)):
            self.settle()

    def settle(self) -> Sparse:
        """Sort in what waits."""
        if self.waiting:
            codes = np.concatenate([self.codes, *(one for one, _ in self.waiting)])
            counts = np.concatenate([self.counts, *(many for _, many in self.waiting)])
            order = np.argsort(codes, kind="stable")
            self.codes, starts = np.unique(codes[order], return_index=True)
            self.counts = np.add.reduceat(counts[order], starts) if len(starts) else counts
            self.waiting, self.waiting_rows = [], 0
        return self


@dataclass(slots=True)
class TableCounts:
    """The state of `TableFold`."""

    endpoints: dict[str, Sparse] = field(default_factory=dict)  # [phase, failed or ok, bucket]
    zones: dict[str, Sparse] = field(default_factory=dict)
    seconds: Sparse = field(default_factory=Sparse)  # [Unix second, failed or ok, bucket]
    answered: Counter[int] = field(default_factory=Counter)  # a Unix second
    kinds: Counter[tuple[str, int]] = field(default_factory=Counter)  # failures by kind and Unix second
    kinds_by_phase: Counter[tuple[str, int]] = field(default_factory=Counter)
    worst: pd.DataFrame | None = None
    rows: int = 0
    first_s: float = math.inf  # Unix s
    last_s: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFold:
    """A `fold.Fold`: what the tables need. *windows* are the phases, one after the other."""

    windows: Mapping[str, tuple[float, float]]
    worst_in: tuple[float, float] | None = None

    @property
    def columns(self) -> frozenset[str]:
        """All: the worst requests are shown whole."""
        return frozenset(samples_schema().names)

    def empty(self) -> TableCounts:
        """No rows yet."""
        return TableCounts()

    def add(self, state: TableCounts, batch: pa.RecordBatch) -> None:
        """Count *batch*."""
        scheduled_at, latency_ms, ok = columns_of(batch)
        cell = ok * WIDTH + bucket_of(latency_ms).astype(np.int64)
        state.rows += len(batch)
        phase = np.full(len(batch), -1, dtype=np.int64)
        for number, (start_s, end_s) in enumerate(self.windows.values()):
            phase[(scheduled_at >= start_s) & (scheduled_at < end_s)] = number
        inside = phase >= 0
        for column, sparse in (("endpoint", state.endpoints), ("zone", state.zones)):
            _add_names(sparse, batch.column(column), inside, phase * CELL + cell)
        known = np.isfinite(scheduled_at)
        if known.any():
            state.first_s = min(state.first_s, float(scheduled_at[known].min()))
            state.last_s = max(state.last_s, float(scheduled_at[known].max()))
        second = np.floor(np.where(known, scheduled_at, 0.0)).astype(np.int64)
        state.seconds.add(*np.unique((second * CELL + cell)[known], return_counts=True))
        status = batch.column("status").to_numpy(zero_copy_only=False)
        state.answered.update(_counts(second[known & (status != 0)]))
        if not ok.all():
            self._add_failures(state, batch, ~ok, second, phase)
        if self.worst_in is not None:
            self._add_worst(state, batch.to_pandas())

    def merge(self, state: TableCounts, other: TableCounts) -> None:
        """By addition; of the worst, the worst."""
        state.rows += other.rows
        state.first_s, state.last_s = min(state.first_s, other.first_s), max(state.last_s, other.last_s)
        for mine, theirs in ((state.endpoints, other.endpoints), (state.zones, other.zones)):
            for name, sparse in theirs.items():
                sparse.settle()
                mine.setdefault(name, Sparse()).add(sparse.codes, sparse.counts)
        other.seconds.settle()
        state.seconds.add(other.seconds.codes, other.seconds.counts)
        state.answered.update(other.answered)
        state.kinds.update(other.kinds)
        state.kinds_by_phase.update(other.kinds_by_phase)
        if other.worst is not None:
            self._add_worst(state, other.worst)

    @staticmethod
    def _add_failures(state: TableCounts, batch: pa.RecordBatch, failed: Any, second: Ints, phase: Ints) -> None:
        chosen = np.flatnonzero(failed)
        frame = batch.select(["error", "status"]).take(chosen).to_pandas()
        kinds = error_kind(frame)
        for key, count in pd.DataFrame({"kind": kinds, "at": second[chosen]}).value_counts().items():
            state.kinds[cast("tuple[str, int]", key)] += int(count)
        for key, count in pd.DataFrame({"kind": kinds, "at": phase[chosen]}).value_counts().items():
            state.kinds_by_phase[cast("tuple[str, int]", key)] += int(count)

    def _add_worst(self, state: TableCounts, frame: pd.DataFrame) -> None:
        assert self.worst_in is not None
        texts = {"endpoint": str, "zone": str, "error": str}
        worst = worst_requests(frame, self.worst_in, count=WORST).astype(texts)
        both = worst if state.worst is None else pd.concat([state.worst, worst], ignore_index=True)
        state.worst = worst_requests(both, self.worst_in, count=WORST)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankFold:
    """A `fold.Fold`: how many rows were due before each of *instants*: their row numbers in the order of time."""

    instants: tuple[float, ...]

    @property
    def columns(self) -> frozenset[str]:
        """The time alone."""
        return frozenset({"scheduled_at"})

    def empty(self) -> Ints:
        """None yet."""
        return np.zeros(len(self.instants), dtype=np.int64)

    def add(self, state: Ints, batch: pa.RecordBatch) -> None:
        """Count *batch*."""
        at = batch.column("scheduled_at").to_numpy(zero_copy_only=False)
        state += np.array([np.count_nonzero(at < instant) for instant in self.instants], dtype=np.int64)

    def merge(self, state: Ints, other: Ints) -> None:
        """By addition."""
        state += other


def error_kind(failed: pd.DataFrame) -> pd.Series:
    """Per failed request (columns error, status) the word for what went wrong: the recorded error, else the status."""
    kinds = failed["error"].astype("object").fillna("").astype(str)
    by_status = "status " + failed["status"].astype(int).astype(str)
    return kinds.where(kinds != "", by_status)


def counted_phase_table(counts: TableCounts, windows: Windows) -> pd.DataFrame:
    """As `tables.phase_table`."""
    endpoints = {name: [sparse] for name, sparse in sorted(counts.endpoints.items())}
    rows = [
        {"phase": phase, "endpoint": name} | summary(_window(sparse, number, windows[phase]))
        for number, phase in enumerate(windows)
        for name, sparse in ({ALL: list(counts.endpoints.values())} | endpoints).items()
    ]
    return pd.DataFrame(rows, columns=["phase", "endpoint", *SUMMARY_COLUMNS])


def counted_zone_table(counts: TableCounts, windows: Windows) -> pd.DataFrame:
    """As `tables.zone_table`."""
    rows = []
    for number, phase in enumerate(windows):
        total = _window(counts.zones.values(), number, windows[phase]).n
        for zone in (*sorted(counts.zones.keys() - {""}), ""):
            sparse = [counts.zones[zone]] if zone in counts.zones else []
            found = summary(_window(sparse, number, windows[phase]))
            share = found["n"] / total if total else math.nan
            rows.append({"phase": phase, "zone": zone or NO_ZONE, "share": share, **found})
    return pd.DataFrame(rows, columns=["phase", "zone", "share", *SUMMARY_COLUMNS])


def counted_second_table(counts: TableCounts) -> pd.DataFrame:
    """As `tables.second_table`, from the first whole Unix second on."""
    if not math.isfinite(counts.first_s):
        return pd.DataFrame(columns=list(SECOND_COLUMNS))
    start_s = math.floor(counts.first_s)
    size = math.floor(counts.last_s) + 1 - start_s
    rows = [
        (float(start_s + number), n, ok, n - ok, quantile_of(many, 0.5), quantile_of(many, 0.99), longest(many))
        for number, n, ok, many in stretches(counts.seconds, start_s, 1, size)
    ]
    return pd.DataFrame(rows, columns=list(SECOND_COLUMNS))


def _window(sparse: Iterable[Sparse], phase: int, window: tuple[float, float]) -> Counted:
    """The requests of one phase, of all names in *sparse* together, as one block."""
    histogram = np.zeros(CELL, dtype=np.int64)
    for one in sparse:
        one.settle()
        first, last = np.searchsorted(one.codes, [phase * CELL, (phase + 1) * CELL])
        histogram[one.codes[first:last] - phase * CELL] += one.counts[first:last]
    return Counted(start_s=window[0], end_s=window[1], histogram=histogram.reshape(1, 2, WIDTH), sums_ms=np.zeros(1))


def quantile_of(counts: Ints, p: float) -> float:
    """The smallest latency with the share *p* of *counts* (a bucket) at or below it; NaN of none."""
    total = int(counts.sum())
    if not total:
        return math.nan
    bucket = int(np.searchsorted(np.cumsum(counts), math.ceil(total * p)))
    low, high = edges_ms()[bucket : bucket + 2]
    return float((low + high) / 2)


def stretches(sparse: Sparse, start_s: int, width_s: int, size: int) -> Iterable[tuple[int, int, int, Ints]]:
    """For each of *size* stretches of *width_s* seconds: number, requests, successes, known latencies a bucket."""
    sparse.settle()
    edges = np.searchsorted(sparse.codes, (start_s + width_s * np.arange(size + 1)) * CELL)
    for number, (first, last) in enumerate(itertools.pairwise(edges)):
        codes, counts = sparse.codes[first:last] % CELL, sparse.counts[first:last]
        bucket = codes % WIDTH
        known = bucket != UNKNOWN
        latencies = np.bincount(bucket[known], weights=counts[known], minlength=BUCKETS).astype(np.int64)
        yield number, int(counts.sum()), int(counts[codes >= WIDTH].sum()), latencies


def _add_names(into: dict[str, Sparse], column: pa.Array, inside: Any, code: Ints) -> None:
    import pyarrow as pa

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    names = [name or "" for name in encoded.dictionary.to_pylist()]
    number = encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int64)
    names.append("")  # what has none
    span = int(code[inside].max(initial=0)) + 1
    found, counts = np.unique((number * span + code)[inside], return_counts=True)
    edges = np.searchsorted(found, span * np.arange(len(names) + 1))
    for name, first, last in zip(names, edges[:-1], edges[1:], strict=True):
        if last > first:
            into.setdefault(name, Sparse()).add(found[first:last] % span, counts[first:last])


def _counts(seconds: Ints) -> dict[int, int]:
    found, counts = np.unique(seconds, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def longest(counts: Ints) -> float:
    """The longest of *counts* (a bucket), as its bucket's middle; NaN of none."""
    edges: Floats = edges_ms()
    return float((edges[:-1] + edges[1:])[np.flatnonzero(counts)[-1]] / 2) if counts.any() else math.nan
