"""Arrivals as the looks for an effect need them: one row for all calls that none of the looks can tell apart.

A look counts calls of a dependency by a client, with flags, a status and an attempt, within windows that are known
before any row is read, and slower than delays that are known as well. So an instant may stand for all from one edge of
a window to the next, and a duration likewise, and nothing that is counted changes: `at >= edge` and `at < edge` say the
same of both. What is left are as many rows as there are such kinds, however many calls there were.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.verdict.effect_arrivals import DELAYED, delay_ms_met
from stormproof.verdict.sighting import CALLS, Evidence, in_force

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from stormproof.verdict.timeline import Timeline

COLUMNS = ("dependency", "client", "flags", "status", "attempt", "canary", "t_start_s", "duration_ms")
_KEYS = list(COLUMNS)
ATTEMPT_MAX = 2  # asked is only whether it was the first
_UNKNOWN = -1  # of an instant or a duration that is no number: it is in no window, and met no delay


def summarise_calls(batches: Iterable[pa.RecordBatch], timeline: Timeline) -> pd.DataFrame:
    """The kinds of calls in *batches* (with `COLUMNS`), and under `CALLS` how many there were of each.

    `t_start_s` and `duration_ms` are the edges at or below those of the calls, minus infinity below all.
    """
    import pyarrow as pa

    at_edges, ms_edges = _instants(timeline), _delays(timeline)
    summary: pa.Table | None = None
    for batch in batches:
        counted = _group(_coarse(batch, at_edges, ms_edges))
        summary = counted if summary is None else _group(pa.concat_tables([summary, counted]))
    if summary is None:
        empty = pa.RecordBatch.from_pydict({name: [] for name in COLUMNS})
        summary = _coarse(empty, at_edges, ms_edges)
    frame: pd.DataFrame = summary.to_pandas()
    for column, edges in (("t_start_s", at_edges), ("duration_ms", ms_edges)):
        values = np.array([-np.inf, *edges, np.nan], dtype=edges.dtype)
        frame[column] = values[frame[column].to_numpy(dtype=np.int64)]
    return frame


def _instants(timeline: Timeline) -> NDArray[np.float64]:
    """Every edge that a look compares with: of the phases, and of the time in which each fault was in force."""
    bare = Evidence(samples=None, arrivals=None, windows=timeline.windows)
    windows = [*timeline.windows.values(), *(in_force(one, bare) for one in timeline.confirmations)]
    return np.unique(np.array([edge for window in windows for edge in window], dtype=np.float64))


def _delays(timeline: Timeline) -> NDArray[np.float32]:
    delayed = [one for one in timeline.effects.values() if one.get("kind") == DELAYED]
    return np.unique(np.array([delay_ms_met(one) for one in delayed], dtype=np.float32))


def _coarse(batch: pa.RecordBatch, at_edges: NDArray[np.float64], ms_edges: NDArray[np.float32]) -> pa.Table:
    """*batch* with the numbers of its edges, each row counting one call."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns: dict[str, Any] = {name: batch.column(name) for name in COLUMNS}
    for name, edges in (("t_start_s", at_edges), ("duration_ms", ms_edges)):
        columns[name] = pa.array(_edge_below(columns[name], edges))
    columns["attempt"] = pc.min_element_wise(columns["attempt"].cast(pa.int64()), ATTEMPT_MAX, skip_nulls=False)
    return pa.table({**columns, CALLS: pa.array(np.ones(len(batch), dtype=np.int64))})


def _edge_below(values: pa.Array, edges: NDArray[Any]) -> NDArray[np.int64]:
    """0 below all edges, n at or above the n-th; `_UNKNOWN` where there is no number."""
    numbers = values.to_numpy(zero_copy_only=False).astype(edges.dtype)
    return np.where(np.isnan(numbers), _UNKNOWN, np.searchsorted(edges, numbers, side="right"))


def _group(table: pa.Table) -> pa.Table:
    summed = table.group_by(_KEYS, use_threads=False).aggregate([(CALLS, "sum")])
    return summed.rename_columns([CALLS if name == f"{CALLS}_sum" else name for name in summed.column_names])
