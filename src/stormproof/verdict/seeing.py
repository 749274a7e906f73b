"""What a run left in its samples, seen either way: rows in memory, or counters over the parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stormproof.analysis.fold import FoldOver, Part
from stormproof.analysis.measure import Observations
from stormproof.analysis.population import PopulationFold, observed
from stormproof.analysis.stream import claims_fold, observations
from stormproof.analysis.tally import ExtentFold
from stormproof.model.hypothesis import Claim, Hypothesis
from stormproof.verdict.recorded import Recorded, count_recorded, recorded_fold
from stormproof.verdict.timeline import Timeline, read_timeline
from stormproof.verdict.validity import lost_zone

if TYPE_CHECKING:
    import pandas as pd


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
