"""Where the bad requests of a window are: by endpoint, zone, kind of error and second, against the steady phase.

Everything is counted into an `Evidence` of bounded size, which parts of the samples can be added up to. A value of a
column is *named* when it has most of the excess over steady, is worse than the rest, and chance does not explain it;
a column whose bad requests are spread over its values names nothing. Nothing here is a test of a hypothesis: the claim
was refuted before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stormproof.analysis.distribution import binomial_tail
from stormproof.analysis.fold import FoldOver, Part, SumFold
from stormproof.analysis.requests import is_window
from stormproof.analysis.table_counts import RankFold
from stormproof.record.samples import samples_schema

if TYPE_CHECKING:
    from stormproof.analysis.requests import Floats, Ints

MOST = 0.7  # of what is worse than in steady: the rest may be chance, or a consequence (bench/causes.py)
MOST_SECONDS = 0.8  # of the bad requests, those in the stretch of seconds that is told
WORSE_FACTOR = 3.0  # a value's share of bad requests, over that of all other values
# The chance, for all values of a column together, that bad requests which fall anywhere alike fall so, or that one of
# two kinds of error is so common: of few bad requests nearly all are somewhere (bench/causes.py).
CHANCE_MAX = 0.01
SILENT_SHARE = 0.4  # a zone whose share of the answers is less than this of steady's has gone silent (docs/adr/0076)
WORST = 5
SECONDS_MAX = 100_000
KEY = ["endpoint", "zone", "error"]
COUNTS = ["n", "bad", "steady_n", "steady_bad"]
COLUMNS = frozenset({"scheduled_at", "latency_ms", "status", "ok", *KEY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """What counts as bad: what failed, and with *slow_ms* also what took longer."""

    slow_ms: float | None = None
    endpoint: str | None = None
    zone: str | None = None  # that zone's, and what no zone answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the samples: where in *window* are those that are *bad*? Windows are in Unix s."""

    window: tuple[float, float]
    steady: tuple[float, float] | None
    bad: Bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Counts of one window and of steady; memory is that of the distinct texts and of the window's seconds."""

    start_s: float
    end_s: float
    steady_s: float  # how long steady is; 0: no request in it
    cells: pd.DataFrame  # a row for each KEY that occurs, with COUNTS; error "" for what succeeded
    seconds: Ints  # bad requests in each second from the window's start
    worst: pd.DataFrame  # `WORST` rows at most, by their row number

    def __add__(self, other: Evidence) -> Evidence:
        """The evidence of two parts of the samples."""
        cells = pd.concat([self.cells, other.cells]).groupby(KEY, as_index=False, sort=True)[COUNTS].sum()
        return Evidence(
            start_s=self.start_s,
            end_s=self.end_s,
            steady_s=max(self.steady_s, other.steady_s),  # a part may have no request of steady
            cells=cells,
            seconds=self.seconds + other.seconds,
            worst=_worst(pd.concat([self.worst, other.worst])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What `find` found; None where a column names nothing."""

    endpoint: str | None
    endpoint_share: float  # of the excess over steady
    zone: str | None
    zone_share: float  # of the excess over steady
    is_silent: bool  # the zone is named for what it no longer answered
    error: str | None
    seconds: tuple[float, float] | None  # Unix s
    seconds_share: float  # of the bad requests, those in *seconds*


def gather(
    samples: pd.DataFrame, window: tuple[float, float], steady: tuple[float, float] | None, bad: Bad
) -> Evidence:
    """Count *samples* (columns of `record.samples`; the index is the row number) for one claim."""
    at = samples["scheduled_at"].to_numpy(dtype=np.float64, na_value=np.nan)
    inside = (at >= window[0]) & (at < window[1])
    before = np.zeros(len(at), dtype=bool)
    if steady is not None and is_window(steady):
        before = (at >= steady[0]) & (at < steady[1])
    chosen = inside | before
    if bad.endpoint is not None:
        chosen &= (samples["endpoint"] == bad.endpoint).to_numpy(dtype=bool, na_value=False)
    if bad.zone is not None:
        chosen &= samples["zone"].astype("object").fillna("").isin([bad.zone, ""]).to_numpy(dtype=bool)
    rows = samples[chosen]
    inside, before, at = inside[chosen], before[chosen], at[chosen]
    ok = (rows["ok"] == True).to_numpy(dtype=bool, na_value=False)  # noqa: E712  # NaN must become False
    is_bad = ~ok
    if bad.slow_ms is not None:
        latency_ms = rows["latency_ms"].to_numpy(dtype=np.float64, na_value=np.nan)
        is_bad |= ~(latency_ms <= bad.slow_ms)  # not `>`: what has no latency is bad
    second = np.clip((at[inside & is_bad] - window[0]).astype(np.int64), 0, _seconds(window) - 1)
    return Evidence(
        start_s=window[0],
        end_s=window[1],
        steady_s=steady[1] - steady[0] if before.any() and steady is not None else 0.0,
        cells=_cells(rows, ok=ok, is_bad=is_bad, inside=inside, before=before),
        seconds=np.bincount(second, minlength=_seconds(window)).astype(np.int64),
        worst=_worst(rows[inside & is_bad]),
    )


def gather_rows(samples: pd.DataFrame, questions: Sequence[Question]) -> list[Evidence]:
    """The evidence for each of *questions*, from all rows at once."""
    return [gather(samples, one.window, one.steady, one.bad) for one in questions]


def gather_parts(
    parts: Sequence[Part], questions: Sequence[Question], fold_over: FoldOver, rank_over: FoldOver | None = None
) -> list[Evidence]:
    """As `gather_rows`, once over the rows of *parts* and once more over their times: where the worst stand in them.

    *rank_over* is who counts the latter, where *fold_over* leaves rows out.
    """
    if not questions:
        return []
    states = fold_over(parts, [evidence_fold(one) for one in questions])
    found: list[Evidence] = [evidence for (evidence,) in states]
    instants = tuple(sorted({float(at) for one in found for at in one.worst["scheduled_at"]}))
    if not instants:
        return found
    (ranks,) = (rank_over or fold_over)(parts, [RankFold(instants=instants)])
    rows = {at: int(rank) for at, rank in zip(instants, ranks, strict=True)}
    return [
        replace(one, worst=one.worst.set_axis([rows[float(at)] for at in one.worst["scheduled_at"]], axis="index"))
        for one in found
    ]


def evidence_fold(question: Question) -> SumFold:
    """`gather` over parts. The index of the worst is then that of a batch, and means nothing."""
    count = partial(gather, window=question.window, steady=question.steady, bad=question.bad)
    return SumFold(count=count, columns=COLUMNS, zero=count(samples_schema().empty_table().to_pandas()))


def find(evidence: Evidence) -> Named:
    """What the bad requests of *evidence* have in common."""
    cells = evidence.cells
    endpoint, endpoint_share = _concentrated(cells, "endpoint")
    zone, zone_share = _concentrated(cells, "zone")
    silent = silent_zone(evidence) if zone in {None, ""} else None
    failed = cells[cells["error"] != ""].groupby("error")[["bad", "steady_bad"]].sum()
    seconds, seconds_share = _stretch(evidence)
    return Named(
        endpoint=endpoint,
        endpoint_share=endpoint_share,
        zone=silent or zone or None,
        zone_share=zone_share,
        is_silent=silent is not None,
        error=_commonest(failed, int(cells["bad"].sum())),
        seconds=seconds,
        seconds_share=seconds_share,
    )


def breakdown(evidence: Evidence) -> pd.DataFrame:
    """One row for each endpoint, zone and error with a bad request, those with the most first; COUNTS beside.

    *n* and *steady_n* are all requests of the endpoint and zone, whatever became of them.
    """
    cells = evidence.cells
    totals = cells.groupby(["endpoint", "zone"])[["n", "steady_n"]].sum()
    rows = cells.drop(columns=["n", "steady_n"]).join(totals, on=["endpoint", "zone"])
    rows = rows[(rows["bad"] > 0) | (rows["steady_bad"] > 0)]
    return rows.sort_values(["bad", *KEY], ascending=[False, True, True, True], kind="stable")[[*KEY, *COUNTS]]


def _cells(rows: pd.DataFrame, *, ok: Any, is_bad: Any, inside: Any, before: Any) -> pd.DataFrame:
    counts = pd.DataFrame(
        {
            "n": inside.astype(np.int64),
            "bad": (inside & is_bad).astype(np.int64),
            "steady_n": before.astype(np.int64),
            "steady_bad": (before & is_bad).astype(np.int64),
        },
        index=rows.index,
    )
    counts = pd.concat([rows[["endpoint", "zone"]], counts], axis=1)
    # What succeeded, nearly all of a run, is grouped by its categories as they are; errors are read of what failed.
    well = counts[ok].groupby(["endpoint", "zone"], observed=True, dropna=False)[COUNTS].sum().reset_index()
    failed = rows[~ok]
    text = failed["error"].astype("object").fillna("").astype(str)
    by_status = "status " + failed["status"].fillna(0).astype(int).astype(str)
    parts = [well.assign(error=""), counts[~ok].assign(error=text.where(text != "", by_status))]
    together = pd.concat([part.astype(dict.fromkeys(KEY, "object")) for part in parts])
    together[KEY] = together[KEY].fillna("").astype(str)
    summed: pd.DataFrame = together.groupby(KEY, as_index=False, sort=True)[COUNTS].sum()
    return summed


def _worst(rows: pd.DataFrame) -> pd.DataFrame:
    """Failed before slow, the longest first."""
    latency_ms = np.nan_to_num(rows["latency_ms"].to_numpy(dtype=np.float64, na_value=np.nan), nan=math.inf)
    ok = (rows["ok"] == True).to_numpy(dtype=bool, na_value=False)  # noqa: E712
    order = np.lexsort((rows["scheduled_at"].to_numpy(dtype=np.float64), -latency_ms, ok))[:WORST]
    return rows.iloc[order]


def _concentrated(cells: pd.DataFrame, column: str) -> tuple[str | None, float]:
    """The one value of *column* that has most of the excess and is worse than the others, and its share of it."""
    by = cells.groupby(column)[COUNTS].sum()
    n, bad, steady_n, steady_bad = by.to_numpy(dtype=np.float64).T
    if np.count_nonzero(n) < 2:
        return None, 0.0  # with a single value there is nothing that it could differ from
    excess = np.maximum(bad - n * steady_bad / np.maximum(steady_n, 1.0), 0.0)
    top = int(np.argmax(excess))
    inside, outside = bad[top] / max(n[top], 1.0), (bad.sum() - bad[top]) / max(n.sum() - n[top], 1.0)
    if not excess[top] or excess[top] < MOST * excess.sum() or inside < WORSE_FACTOR * outside:
        return None, 0.0
    if len(by) * binomial_tail(int(bad[top]), int(bad.sum()), n[top] / n.sum()) > CHANCE_MAX:
        return None, 0.0
    return str(by.index[top]), float(excess[top] / excess.sum())


def silent_zone(evidence: Evidence) -> str | None:
    """The one zone whose share of the answers fell below `SILENT_SHARE` of steady's, not by chance; None for several.

    Of the answers, not of the seconds: a whole load that falls silences nobody. By chance: of a zone's answers in both
    windows, steady's number is binomial where its share did not change.
    """
    by = evidence.cells.groupby("zone")[["n", "steady_n"]].sum()
    by = by[(by.index != "") & (by["steady_n"] > 0)]
    if len(by) < 2 or not evidence.steady_s:
        return None
    total, steady_total = (int(by[one].sum()) for one in ("n", "steady_n"))
    silent = by[by["n"] * steady_total < SILENT_SHARE * by["steady_n"] * total]
    if len(silent) != 1:
        return None
    n, steady_n = (int(one) for one in silent.iloc[0])
    if len(by) * binomial_tail(steady_n, n + steady_n, steady_total / (total + steady_total)) > CHANCE_MAX:
        return None
    return str(silent.index[0])


def _commonest(failed: pd.DataFrame, bad: int) -> str | None:
    if not len(failed) or failed["bad"].sum() < MOST * bad:
        return None
    top, count, kinds = str(failed["bad"].idxmax()), int(failed["bad"].max()), int((failed["bad"] > 0).sum())
    # With a single kind there is nothing that chance could have chosen from.
    by_chance = kinds > 1 and kinds * binomial_tail(count, bad, 0.5) > CHANCE_MAX
    return top if count >= MOST * bad and not by_chance else None


def _stretch(evidence: Evidence) -> tuple[tuple[float, float] | None, float]:
    """The shortest run of seconds that has nearly all bad requests, where it is at most half of the window."""
    sums: Floats = np.concatenate([[0], np.cumsum(evidence.seconds)]).astype(np.float64)
    total = sums[-1]
    if not total:
        return None, 0.0
    ends = np.searchsorted(sums, sums[:-1] + MOST_SECONDS * total)
    lengths = np.where(ends < len(sums), ends - np.arange(len(ends)), len(sums))
    first = int(np.argmin(lengths))
    last = first + int(lengths[first])
    if 2 * (last - first) > len(evidence.seconds):
        return None, 0.0
    share = float((sums[last] - sums[first]) / total)
    return (evidence.start_s + first, min(evidence.start_s + last, evidence.end_s)), share


def _seconds(window: tuple[float, float]) -> int:
    return min(max(1, math.ceil(window[1] - window[0])), SECONDS_MAX)
