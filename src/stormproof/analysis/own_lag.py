"""Latencies less what the load worker itself may have added to each: rows in memory, or folds over parts.

A worker sends and reads on one event loop, in turn. By how much it sent an arrival late is in the row, exactly. By how
much it read an answer late is not, but the arrivals that it sent about then waited for the same loop: an answer waited
for no longer than they did, but for the 2 ms for which they may go first (docs/adr/0080). So nothing is assumed of the
arrivals' spacing, nor of what held the loop up.

It does not hold of a stall that no arrival fell due in (shorter than their spacing in one worker); where none was sent
for `NEAR_S` before and after, the longest lag of the loop's ticks in that second stands in. What a task computes after
its answer counts only where it delays another arrival. Of a task that computes before it sends, and of a loop with many
tasks waiting, whose answers are read before those begin, it is too much (docs/adr/0070 has the figures).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from stormproof.analysis.fold import Fold, FoldOver, Part

CELL_S = 0.01  # how finely a loop's lag is known: memory is 4 bytes a cell and worker, whatever the rows
NEAR_S = 0.1  # an arrival sent this near to an answer waited for the same loop: one tick of the worker's watch
COLUMNS = ("scheduled_at", "sent_at", "latency_ms", "service_ms", "worker")

Lags = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class LagFold:
    """A `fold.Fold`: by worker, how late the latest arrival sent in each cell of a span was, in ms; NaN: none."""

    start_s: float
    end_s: float

    @property
    def columns(self) -> frozenset[str]:
        """When rows were due and sent, by whom."""
        return frozenset({"scheduled_at", "sent_at", "worker"})

    def empty(self) -> dict[int, Lags]:
        """No worker yet."""
        return {}

    def add(self, state: dict[int, Lags], batch: pa.RecordBatch) -> None:
        """The arrivals in *batch*; a task's later requests are due when they are sent, and tell nothing."""
        due_s, sent_s, worker = (
            batch.column(name).to_numpy(zero_copy_only=False) for name in ("scheduled_at", "sent_at", "worker")
        )
        self.note(state, due_s, sent_s, worker)

    def note(self, state: dict[int, Lags], due_s: Any, sent_s: Any, worker: Any) -> None:
        """As `add`, of arrays."""
        cells = max(1, int(np.ceil((self.end_s - self.start_s) / CELL_S)))
        late_ms = (sent_s - due_s) * 1000
        inside = (late_ms > 0) & (sent_s >= self.start_s) & (sent_s < self.end_s)
        for number in np.unique(worker[inside]):
            mine = inside & (worker == number)
            cell = np.minimum(((sent_s[mine] - self.start_s) / CELL_S).astype(np.int64), cells - 1)
            lags = state.setdefault(int(number), np.full(cells, np.nan, dtype=np.float32))
            np.fmax.at(lags, cell, late_ms[mine].astype(np.float32))

    def merge(self, state: dict[int, Lags], other: dict[int, Lags]) -> None:
        """The later of both."""
        for number, lags in other.items():
            state[number] = np.fmax(state[number], lags) if number in state else lags


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLag:
    """What each worker's loop may have added to an answer, by the instant at which it was read."""

    start_s: float
    lags: Mapping[int, Lags] = field(repr=False)  # worker → ms a cell
    spared: tuple[float, float] | None = None  # rows due in this window are left as they are

    def most_ms(self, since_s: float) -> float:
        """The most that may have been added to a row that was due at *since_s* or later: sent late, and read late."""
        first = max(0, int((since_s - self.start_s) / CELL_S))
        return 2 * max((float(lags[first:].max(initial=0.0)) for lags in self.lags.values()), default=0.0)

    def less(self, rows: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The latencies of *rows* (`COLUMNS`), ms, less what the worker may have added; never below 0."""
        due_s, sent_s, worker = rows["scheduled_at"], rows["sent_at"], rows["worker"]
        latency_ms, service_ms = rows["latency_ms"].astype(np.float64), rows["service_ms"].astype(np.float64)
        read_s = sent_s + service_ms / 1000
        own_ms = latency_ms - service_ms  # how late it was sent
        for number, lags in self.lags.items():
            mine = np.flatnonzero((worker == number) & np.isfinite(read_s))
            cell = ((read_s[mine] - self.start_s) / CELL_S).astype(np.int64)
            own_ms[mine] += lags[np.clip(cell, 0, len(lags) - 1)]
        if self.spared is not None:
            own_ms[(due_s >= self.spared[0]) & (due_s < self.spared[1])] = 0.0
        return np.maximum(latency_ms - own_ms, 0.0).astype(np.float32)

    def less_of(self, samples: pd.DataFrame) -> pd.DataFrame:
        """*samples* with those latencies."""
        return samples.assign(latency_ms=self.less({name: samples[name].to_numpy() for name in COLUMNS}))


def own_lag(start_s: float, sent: Mapping[int, Lags], ticks: Mapping[int, Sequence[Sequence[float]]]) -> OwnLag:
    """From what `LagFold` found and each worker's ticks, ``[Unix second, ticks, late, longest lag ms, …]``."""
    return OwnLag(start_s=start_s, lags={one: _near(lags, start_s, ticks.get(one, ())) for one, lags in sent.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class LessOwnFold:
    """A `fold.Fold` that shows *fold* its rows with the latencies of *own*."""

    fold: Fold
    own: OwnLag

    @property
    def columns(self) -> frozenset[str]:
        """The fold's own, and what the delay is told from."""
        return self.fold.columns | set(COLUMNS)

    def empty(self) -> Any:
        """As the fold's own."""
        return self.fold.empty()

    def add(self, state: Any, batch: pa.RecordBatch) -> None:
        """All rows of *batch*."""
        import pyarrow as pa

        rows = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in COLUMNS}
        at = batch.schema.get_field_index("latency_ms")
        less = pa.array(self.own.less(rows)).cast(batch.schema.field(at).type)
        self.fold.add(state, batch.set_column(at, batch.schema.field(at), less))

    def merge(self, state: Any, other: Any) -> None:
        """As the fold's own."""
        self.fold.merge(state, other)


def over_less_own(fold_over: FoldOver, own: OwnLag) -> FoldOver:
    """*fold_over*, over rows with the latencies of *own*."""

    def fold_over_them(parts: Sequence[Part], folds: Sequence[Fold]) -> list[Any]:
        return fold_over(parts, [LessOwnFold(fold=one, own=own) for one in folds])

    return fold_over_them


def _near(sent: Lags, start_s: float, ticks: Sequence[Sequence[float]]) -> Lags:
    """For each cell the later of the nearest arrivals before and after; none near: the second's ticks, else 0."""
    near = np.fmax(_carried(sent), _carried(sent[::-1])[::-1])
    seconds = np.array([[row[0], row[3]] for row in ticks], dtype=np.float64).reshape(-1, 2)
    for cell_s, lag_ms in seconds:
        first, last = (max(0, round((at - start_s) / CELL_S)) for at in (cell_s, cell_s + 1))
        bare = near[first:last]
        bare[np.isnan(bare)] = lag_ms
    return np.nan_to_num(near, copy=False)


def _carried(values: Lags) -> Lags:
    """*values* with each NaN replaced by the last number before it, no more than `NEAR_S` back."""
    index = np.arange(len(values))
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, index))
    carried = values[np.maximum(last, 0)].copy()
    carried[(last < 0) | (index - last > round(NEAR_S / CELL_S))] = np.nan
    return carried
