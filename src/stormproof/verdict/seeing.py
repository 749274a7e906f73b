"""What a run left in its samples, seen either way: rows in memory, or counters over the parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stormproof.analysis.fold import FoldOver, Part
from stormproof.analysis.measure import Observations
from stormproof.analysis.own_lag import LagFold, OwnLag, over_less_own, own_lag
from stormproof.analysis.population import PopulationFold, observed
from stormproof.analysis.stream import claims_fold, observations
from stormproof.analysis.tally import ExtentFold
from stormproof.model.hypothesis import Claim, Hypothesis
from stormproof.verdict.recorded import Recorded, count_recorded, recorded_fold
from stormproof.verdict.timeline import Timeline, read_timeline
from stormproof.verdict.validity import lost_zone

if TYPE_CHECKING:
    import pandas as pd

READ_WITHIN_S = 60.0  # answers are read up to a time-out after the last phase; a later one is taken for the last


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """What was seen, less what the load workers may have added to each row; each costs a pass over the rows."""

    own_lag: Callable[[], OwnLag]
    less: Callable[[OwnLag], Observations]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the other files of the run say."""

    events: Sequence[Mapping[str, Any]]
    steps: Mapping[str, Sequence[str]]
    readings: Sequence[Mapping[str, Any]]
    hypotheses: Sequence[Claim]
    has_control: bool = False  # whether samples say who is in a control group

    def timeline(self, last_scheduled_s: float | None) -> Timeline:
        """The run as its events tell it."""
        return read_timeline(self.events, last_scheduled_s=last_scheduled_s, steps=self.steps)

    def beside(self, timeline: Timeline) -> dict[str, Any]:
        """What `Observations` holds beside samples and windows."""
        return {
            "readings": self.readings,
            "lost_zone": lost_zone(timeline),
            "onset_slack_s": timeline.onset_slack_s,
        }


def from_rows(samples: pd.DataFrame, told: Told) -> tuple[Timeline, Observations, Recorded]:
    """From all rows at once: quantiles are exact."""
    last = float(samples["scheduled_at"].max()) if len(samples) else None
    timeline = told.timeline(last)
    windows = {**timeline.windows, **timeline.steps}
    seen = observed(samples, windows, **told.beside(timeline))
    return timeline, seen, count_recorded(samples, timeline)


def from_parts(parts: Sequence[Part], told: Told, fold_over: FoldOver) -> tuple[Timeline, Observations, Recorded]:
    """From counters, once over the rows; once more over their times where no event says when the load ended."""
    timeline = told.timeline(None)
    if timeline.load_stopped is None:
        (extent,) = fold_over(parts, [ExtentFold()])
        timeline = told.timeline(extent.last_s if math.isfinite(extent.last_s) else None)
    windows = {**timeline.windows, **timeline.steps}
    asked = [one for one in told.hypotheses if isinstance(one, Hypothesis)]
    claims, known = claims_fold(windows, asked), told.beside(timeline)
    if not told.has_control:
        tallies, (recorded,) = fold_over(parts, [claims, recorded_fold(timeline)])
        return timeline, observations(claims, tallies, windows, **known), recorded
    beside = claims_fold(windows, [one for one in asked if one.control_header is not None])
    folds = [PopulationFold(fold=claims, control=False), PopulationFold(fold=beside, control=True)]
    tallies, of_control, (recorded,) = fold_over(parts, [*folds, recorded_fold(timeline, has_control=True)])
    control = observations(beside, of_control, windows)
    return timeline, observations(claims, tallies, windows, control=control, **known), recorded


def relief_of_rows(samples: pd.DataFrame, told: Told, timeline: Timeline) -> Relief:
    """Of rows in memory."""

    def own() -> OwnLag:
        fold = _lag_fold(timeline)
        sent = fold.empty()
        fold.note(sent, *(samples[name].to_numpy() for name in ("scheduled_at", "sent_at", "worker")))
        return own_lag(fold.start_s, sent, _ticks(timeline))

    return Relief(own_lag=own, less=lambda own: from_rows(own.less_of(samples), told)[1])


def relief_of_parts(parts: Sequence[Part], told: Told, timeline: Timeline, fold_over: FoldOver) -> Relief:
    """Of parts."""

    def own() -> OwnLag:
        fold = _lag_fold(timeline)
        (sent,) = fold_over(parts, [fold])
        return own_lag(fold.start_s, sent, _ticks(timeline))

    return Relief(own_lag=own, less=lambda own: from_parts(parts, told, over_less_own(fold_over, own))[1])


def _lag_fold(timeline: Timeline) -> LagFold:
    ends = [at for window in timeline.windows.values() for at in window] or [0.0]
    return LagFold(start_s=min(ends), end_s=max(ends) + READ_WITHIN_S)


def _ticks(timeline: Timeline) -> dict[int, Any]:
    workers = (timeline.load_stopped or {}).get("workers") or []
    return {int(one.get("worker", 0)): one.get("loop_per_second") or () for one in workers}
