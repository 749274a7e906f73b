"""The requests of a run as counts, time by latency: what the plots and the felt window are made from.

Bounded whatever the size of the run, and additive: grids of parts of the samples add up to that of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from stormproof.analysis.fold import SumFold
from stormproof.analysis.requests import is_window
from stormproof.record.samples import samples_schema

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.analysis.requests import Floats, Ints

SLOTS_MAX = 600
WIDTHS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
BINS_PER_OCTAVE = 16  # edges 4.4 % apart
SHORTEST_MS, LONGEST_MS = 2.0**-4, 2.0**18  # 62 µs … 4 minutes; the first and the last bin take what is beyond
BINS = round(math.log2(LONGEST_MS / SHORTEST_MS)) * BINS_PER_OCTAVE
FAILED, OK = 0, 1
COLUMNS = frozenset({"scheduled_at", "latency_ms", "ok"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Counts of requests; latencies in `BINS` bins. A latency that is not known is in the last bin."""

    start_s: float  # Unix s, the left edge of the first slot
    slot_s: float
    slots: Ints  # [slot, FAILED or OK, bin]
    phases: Mapping[str, Ints]  # [FAILED or OK, bin], exactly of the phase's window

    def __add__(self, other: Grid) -> Grid:
        """The grid of two parts of the samples, counted over the same span and windows."""
        return Grid(
            start_s=self.start_s,
            slot_s=self.slot_s,
            slots=self.slots + other.slots,
            phases={phase: counts + other.phases[phase] for phase, counts in self.phases.items()},
        )

    @property
    def edges_s(self) -> Floats:
        """Unix s: the left edge of each slot, and the right one of the last."""
        edges: Floats = self.start_s + self.slot_s * np.arange(len(self.slots) + 1, dtype=np.float64)
        return edges


def edges_ms() -> Floats:
    """The edges of the bins, `BINS` + 1 of them."""
    edges: Floats = SHORTEST_MS * np.exp2(np.arange(BINS + 1, dtype=np.float64) / BINS_PER_OCTAVE)
    return edges


def bins_of(latency_ms: Floats) -> Ints:
    """The bin of each latency."""
    with np.errstate(invalid="ignore", divide="ignore"):
        number = np.floor(np.log2(latency_ms / SHORTEST_MS) * BINS_PER_OCTAVE)
    known = np.isfinite(latency_ms) & (latency_ms >= 0)
    return np.where(known, np.clip(number, 0, BINS - 1), BINS - 1).astype(np.int64)


def grid_of(samples: pd.DataFrame, windows: Mapping[str, tuple[float, float]]) -> Grid | None:
    """*samples* counted from the first window's start to the last one's end; None without a window."""
    known = {phase: window for phase, window in windows.items() if is_window(window)}
    if not known:
        return None
    start_s, end_s = min(start for start, _ in known.values()), max(end for _, end in known.values())
    slot_s = slot_width_s(end_s - start_s)
    size = max(1, math.ceil((end_s - start_s) / slot_s - 1e-9))
    at = samples["scheduled_at"].to_numpy(dtype=np.float64, na_value=np.nan)
    inside = (at >= start_s) & (at < end_s)
    at = at[inside]
    ok = (samples["ok"] == True).to_numpy(dtype=bool, na_value=False)[inside]  # noqa: E712  # NaN must become False
    latency = bins_of(samples["latency_ms"].to_numpy(dtype=np.float64, na_value=np.nan)[inside])
    slot = np.clip(((at - start_s) / slot_s).astype(np.int64), 0, size - 1)
    cell = ok * BINS + latency
    return Grid(
        start_s=start_s,
        slot_s=slot_s,
        slots=np.bincount(slot * 2 * BINS + cell, minlength=size * 2 * BINS).reshape(size, 2, BINS),
        phases={
            phase: np.bincount(cell[(at >= first) & (at < last)], minlength=2 * BINS).reshape(2, BINS)
            for phase, (first, last) in known.items()
        },
    )


def grid_fold(windows: Mapping[str, tuple[float, float]]) -> SumFold | None:
    """`grid_of` over parts; None without a window."""
    zero = grid_of(samples_schema().empty_table().to_pandas(), windows)
    return None if zero is None else SumFold(count=partial(grid_of, windows=windows), columns=COLUMNS, zero=zero)


def slot_width_s(span_s: float) -> float:
    """The least width that keeps *span_s* within `SLOTS_MAX` slots."""
    return next((width for width in WIDTHS_S if span_s <= width * SLOTS_MAX), math.ceil(span_s / SLOTS_MAX))
