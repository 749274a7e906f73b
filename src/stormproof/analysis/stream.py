"""Samples that need not fit in memory: Parquet parts, a record batch at a time, into counters.

Counts are exact; latencies are known to a thousandth (`counters.ERROR_MAX`), and intervals take the outer edges of
their buckets, so what they cover does not suffer. Memory is that of the counters and of one batch a thread, however
many rows there are. The measures are the same functions that judge a frame in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.analysis.counters import WIDTH, Counted
from stormproof.analysis.fold import THREADS, fold_here
from stormproof.analysis.measure import Observations, Traffic
from stormproof.analysis.requests import REQUIRED_COLUMNS, is_window
from stormproof.analysis.tally import Plan, Tally, TallyFold, WindowKey
from stormproof.errors import InputError
from stormproof.model.hypothesis import Hypothesis, Metric, Phase
from stormproof.record.sample_part import SamplePart

if TYPE_CHECKING:
    from stormproof.analysis.requests import Ints

SECONDS_MAX = 1_000_000

Windows = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedObservations(Observations):
    """`Observations` from counters; *samples* has the columns and no rows."""

    counted: Mapping[WindowKey, Counted]
    shares: Mapping[WindowKey, Ints]
    lost: int  # rows without a scheduled time

    def requests(self, window: tuple[float, float], *, endpoint: str | None = None, zone: str | None = None) -> Counted:
        """The counters of *window*. Raises `InputError` when these rows were not counted."""
        found = self.counted.get((window, endpoint, zone))
        if found is None:
            raise InputError(where="samples", what="", expected="a claim that was counted", got=f"{window}")
        return found

    def traffic(self, window: tuple[float, float], *, endpoint: str | None, zone: str | None) -> Traffic:
        """As of rows. Raises `InputError` when these rows were not counted."""
        own = self.requests(window, endpoint=endpoint, zone=zone)
        of_everybody, answered, hits = self.shares[window, endpoint, zone].T
        blank = np.zeros((len(hits), 2, WIDTH), dtype=np.int64)
        blank[:, 1, 0] = of_everybody
        everything = Counted(start_s=window[0], end_s=window[1], histogram=blank, sums_ms=np.zeros(len(hits)))
        return Traffic(
            everything=everything,
            hits=hits.astype(np.float64),
            answered=int(answered.sum()),
            unknown=own.unattributed_failed + own.unattributed_ok,
        )

    @property
    def unscheduled(self) -> int:
        """How many rows have no scheduled time."""
        return self.lost


def observe(
    parts: Sequence[Path], windows: Windows, hypotheses: Sequence[Hypothesis], *, threads: int = THREADS
) -> StreamedObservations:
    """Count what *hypotheses* are about in the Parquet files *parts*, each read once.

    Raises `InputError` for a part without the columns.
    """
    fold = claims_fold(windows, hypotheses)
    found = [SamplePart(path=str(path), is_ours=False) for path in parts]
    return observations(fold, fold_here(found, [fold], threads=threads)[0], windows)


def claims_fold(windows: Windows, hypotheses: Sequence[Hypothesis]) -> TallyFold:
    """What has to be counted so that *hypotheses* can be judged."""
    return TallyFold(plans=tuple(_plans(windows, hypotheses)))


def observations(fold: TallyFold, tallies: Sequence[Tally], windows: Windows, **known: Any) -> StreamedObservations:
    """What was counted, to be judged; *known* are further fields of `Observations`."""
    import pandas as pd

    return StreamedObservations(
        samples=pd.DataFrame(columns=list(REQUIRED_COLUMNS)),
        windows=windows,
        counted=fold.counted(tallies),
        shares=fold.traffic(tallies),
        lost=max((tally.unscheduled for tally in tallies), default=0),
        **known,
    )


def _plans(windows: Windows, hypotheses: Sequence[Hypothesis]) -> list[Plan]:
    """One plan an endpoint and zone; phases that overlap are counted in plans of their own."""
    wanted: dict[tuple[str | None, str | None], list[Hypothesis]] = {}
    for hypothesis in hypotheses:
        wanted.setdefault((hypothesis.endpoint, hypothesis.zone), []).append(hypothesis)
        if hypothesis.metric is Metric.TIME_TO_RECOVER and hypothesis.zone is not None:
            wanted.setdefault((hypothesis.endpoint, None), []).append(hypothesis)  # it is not told by zone
        if hypothesis.control_zone is not None:
            wanted.setdefault((hypothesis.endpoint, hypothesis.control_zone), []).append(hypothesis)
    plans = []
    for (endpoint, zone), claims in wanted.items():
        names = {claim.window for claim in claims} | {Phase.STEADY.value}
        chosen = sorted({windows[one] for one in names if one in windows and is_window(windows[one])})
        metrics = {claim.metric for claim in claims}
        seconds_of = _recovery_window(windows) if Metric.TIME_TO_RECOVER in metrics and zone is None else None
        for group in _apart(chosen) or [()]:
            plans.append(
                Plan(
                    endpoint=endpoint,
                    zone=zone,
                    windows=group,
                    seconds_of=seconds_of,
                    sums=Metric.LATENCY_MEAN in metrics,
                    shares=Metric.TRAFFIC_SHARE in metrics,
                )
            )
            seconds_of = None
    return plans


def _apart(chosen: Iterable[tuple[float, float]]) -> list[tuple[tuple[float, float], ...]]:
    """*chosen* in groups of windows that do not overlap."""
    groups: list[list[tuple[float, float]]] = []
    for window in chosen:
        group = next((one for one in groups if one[-1][1] <= window[0]), None)
        if group is None:
            groups.append([window])
        else:
            group.append(window)
    return [tuple(group) for group in groups]


def _recovery_window(windows: Windows) -> tuple[float, float] | None:
    fault, recovery = windows.get(Phase.FAULT.value), windows.get(Phase.RECOVERY.value)
    if fault is None or not is_window(fault):
        return None
    end_s = recovery[1] if recovery is not None and is_window(recovery) else fault[1]
    window = (fault[0], max(end_s, fault[1]))
    return window if window[1] - window[0] <= SECONDS_MAX else None
