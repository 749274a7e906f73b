"""What the looks for an effect are given, and what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.model.hypothesis import Phase

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.model.verdict import Confirmation

# What an effect counts in the samples: sums over rows, so that they may be counted part by part.
Counts = Counter[Any]
Count = Callable[[Mapping[str, Any], "Confirmation", "Evidence"], Counts]

CALLS = "calls"  # a column of arrivals that were summarised: how many a row stands for
SETTLE_S = 1.0  # after the fault was felt: requests already on their way may still be answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the workload left behind; without *samples*, what was counted in them."""

    samples: pd.DataFrame | None
    arrivals: pd.DataFrame | None  # each, or summarised (`verdict.calls`)
    windows: Mapping[str, tuple[float, float]]
    acted: Mapping[str, float] = field(default_factory=dict)  # fault_id → Unix s: the instant after the act
    counts: Mapping[str, Counts] = field(default_factory=dict)  # by fault_id

    def counted(self, count: Count, effect: Mapping[str, Any], confirmation: Confirmation) -> Counts:
        """What *count* says of the samples, now or when they were read."""
        if self.samples is None:
            return self.counts.get(confirmation.fault_id, Counter())
        return count(effect, confirmation, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Whether the effect was seen, and the numbers that say so."""

    seen: bool
    reason: str


def count_calls(arrivals: pd.DataFrame, which: Any = None) -> int:
    """How many calls *arrivals* are, or those where *which* (a mask) is true."""
    if CALLS not in arrivals:
        return len(arrivals) if which is None else int(np.count_nonzero(which))
    calls = arrivals[CALLS].to_numpy(dtype=np.int64)
    return int(calls.sum() if which is None else calls[np.asarray(which, dtype=bool)].sum())


def in_force(confirmation: Confirmation, evidence: Evidence) -> tuple[float, float]:
    """From when the fault had settled to its undo, within the fault window; Unix s."""
    _, window_end = evidence.windows.get(Phase.FAULT.value, (0.0, 0.0))
    undone_s = confirmation.undone_at if confirmation.undone_at is not None else window_end
    return (confirmation.felt_at or 0.0) + SETTLE_S, min(window_end, undone_s)
