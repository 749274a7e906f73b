"""What the checks of a run count in its samples: whole numbers that add up over parts, so no check needs all the rows.

Over the parts, or once over a frame in memory: the same counting, so the same checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from stormproof.analysis.fold import SumFold
from stormproof.record.samples import CONTROL
from stormproof.verdict.control import count_groups
from stormproof.verdict.effect import count_effect
from stormproof.verdict.integrity import impossible_rows, rows_per_second
from stormproof.verdict.sighting import Counts, Evidence

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.verdict.timeline import Timeline

LATE_S = 0.1  # sent later than this after its scheduled time: not delivered on time
COLUMNS = frozenset({"scheduled_at", "sent_at", "latency_ms", "service_ms", "status", "ok", "endpoint", "zone"})


@dataclass(frozen=True, slots=True, kw_only=True)
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
    groups: Counts = field(default_factory=Counter)  # of a run with a control group by header: `control.count_groups`

    def __add__(self, other: Recorded) -> Recorded:
        """What both have counted. Counters are added key by key; none of them is ever negative."""
        fault_ids = self.effects.keys() | other.effects.keys()
        return Recorded(
            rows=self.rows + other.rows,
            impossible=self.impossible + other.impossible,
            by_second={column: self.by_second[column] + other.by_second[column] for column in self.by_second},
            requests=self.requests + other.requests,
            succeeded=self.succeeded + other.succeeded,
            late=self.late + other.late,
            groups=self.groups + other.groups,
            effects={one: self.effects.get(one, Counter()) + other.effects.get(one, Counter()) for one in fault_ids},
        )


def count_recorded(samples: pd.DataFrame, timeline: Timeline) -> Recorded:
    """Count the rows of *samples*."""
    requests, succeeded, late, effects = Counter[str](), Counter[str](), Counter[str](), {}
    scheduled_at, sent_at = (samples[one].to_numpy(dtype=np.float64) for one in ("scheduled_at", "sent_at"))
    ok = (samples["ok"] == True).to_numpy(dtype=bool, na_value=False)  # noqa: E712  # NaN must become False
    is_late = sent_at - scheduled_at > LATE_S
    for phase, (start_s, end_s) in timeline.windows.items():
        inside = (scheduled_at >= start_s) & (scheduled_at < end_s)
        whole = (scheduled_at >= np.ceil(start_s)) & (scheduled_at < np.floor(end_s))
        requests[phase] = int(np.count_nonzero(inside))
        succeeded[phase] = int(np.count_nonzero(inside & ok))
        late[phase] = int(np.count_nonzero(is_late & whole))
    evidence = Evidence(samples=samples, arrivals=None, windows=timeline.windows, acted=timeline.acted)
    for confirmation in timeline.confirmations:
        effect = timeline.effects.get(confirmation.fault_id, {})
        effects[confirmation.fault_id] = count_effect(effect, confirmation, evidence)
    return Recorded(
        rows=len(samples),
        impossible=impossible_rows(samples),
        by_second={"sent_at": rows_per_second(sent_at), "scheduled_at": rows_per_second(scheduled_at)},
        requests=requests,
        succeeded=succeeded,
        late=late,
        effects=effects,
        groups=count_groups(samples, timeline.windows),
    )


def recorded_fold(timeline: Timeline, *, has_control: bool = False) -> SumFold:
    """`count_recorded` over parts; *has_control*, where their rows say who is in a control group."""
    columns = COLUMNS | {CONTROL} if has_control else COLUMNS
    return SumFold(count=partial(count_recorded, timeline=timeline), columns=columns, zero=Recorded())
