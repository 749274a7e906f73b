"""What the checks of a run count in its samples: whole numbers that add up over parts, so no check needs all the rows.

`fold.Fold` over the parts, or once over a frame in memory: the same counting, so the same checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from stormproof.verdict.effect import count_effect
from stormproof.verdict.integrity import impossible_rows, rows_per_second
from stormproof.verdict.sighting import Counts, Evidence

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from stormproof.verdict.timeline import Timeline

LATE_S = 0.1  # sent later than this after its scheduled time: not delivered on time
COLUMNS = frozenset({"scheduled_at", "sent_at", "latency_ms", "service_ms", "status", "ok", "endpoint", "zone"})


@dataclass(slots=True, kw_only=True)
class Recorded:
    """Counts of the samples; a key that is missing counts nothing."""

    rows: int = 0
    impossible: int = 0  # that no load generator can have written
    by_second: Mapping[str, Counter[int]] = field(  # column → Unix second → rows
        default_factory=lambda: {"sent_at": Counter(), "scheduled_at": Counter()}
    )
    requests: Counter[str] = field(default_factory=Counter)  # a phase
    succeeded: Counter[str] = field(default_factory=Counter)  # a phase
    late: Counter[str] = field(default_factory=Counter)  # sent late, in the whole seconds of a phase
    effects: dict[str, Counts] = field(default_factory=dict)  # by fault_id

    def add(self, other: Recorded) -> None:
        """What *other* counted, too."""
        self.rows += other.rows
        self.impossible += other.impossible
        for column, seconds in other.by_second.items():
            self.by_second[column].update(seconds)
        self.requests.update(other.requests)
        self.succeeded.update(other.succeeded)
        self.late.update(other.late)
        for fault_id, counts in other.effects.items():
            self.effects.setdefault(fault_id, Counter()).update(counts)


def count_recorded(samples: pd.DataFrame, timeline: Timeline) -> Recorded:
    """Count the rows of *samples*."""
    found = Recorded(rows=len(samples), impossible=impossible_rows(samples))
    scheduled_at, sent_at = (samples[one].to_numpy(dtype=np.float64) for one in ("scheduled_at", "sent_at"))
    ok = samples["ok"].to_numpy(dtype=bool, na_value=False)
    is_late = sent_at - scheduled_at > LATE_S
    for column, at in (("sent_at", sent_at), ("scheduled_at", scheduled_at)):
        found.by_second[column].update(rows_per_second(at))
    for phase, (start_s, end_s) in timeline.windows.items():
        inside = (scheduled_at >= start_s) & (scheduled_at < end_s)
        whole = (scheduled_at >= np.ceil(start_s)) & (scheduled_at < np.floor(end_s))
        found.requests[phase] = int(np.count_nonzero(inside))
        found.succeeded[phase] = int(np.count_nonzero(inside & ok))
        found.late[phase] = int(np.count_nonzero(is_late & whole))
    evidence = Evidence(samples=samples, arrivals=None, windows=timeline.windows, acted=timeline.acted)
    for confirmation in timeline.confirmations:
        effect = timeline.effects.get(confirmation.fault_id, {})
        found.effects[confirmation.fault_id] = count_effect(effect, confirmation, evidence)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFold:
    """`count_recorded` over parts."""

    timeline: Timeline

    @property
    def columns(self) -> frozenset[str]:
        """Most of them."""
        return COLUMNS

    def empty(self) -> Recorded:
        """No rows yet."""
        return Recorded()

    def add(self, state: Recorded, batch: pa.RecordBatch) -> None:
        """Count *batch*."""
        state.add(count_recorded(batch.select(sorted(COLUMNS)).to_pandas(), self.timeline))

    def merge(self, state: Recorded, other: Recorded) -> None:
        """By addition."""
        state.add(other)
