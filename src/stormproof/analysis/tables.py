"""The tables of the report, as DataFrames: what happened, by phase, endpoint, zone and second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stormproof.analysis.estimate import Estimate
from stormproof.analysis.latency import quantile, quantile_n_min
from stormproof.analysis.proportion import share
from stormproof.analysis.requests import is_window, requests_in, require_columns, zoneless
from stormproof.analysis.window import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

QUANTILES = (0.5, 0.95, 0.99)
PHASES = ("steady", "fault", "recovery")
ALL = "(all)"
NO_ZONE = "(none)"
SECOND_COLUMNS = ("second", "n", "ok", "failed", "latency_ms_p50", "latency_ms_p99", "latency_ms_max")


def phase_table(samples: pd.DataFrame, windows: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """One row a phase and endpoint, `ALL` endpoints first.

    Columns: phase, endpoint, n, failed, rate_per_s, ok_share, ok_low, ok_high, and for p50, p95, p99
    latency_ms_pNN, _low, _high: NaN below the minimum n, infinite where failed requests leave no upper end.
    """
    require_columns(samples)
    endpoints = sorted(str(endpoint) for endpoint in samples["endpoint"].dropna().unique())
    rows = [
        {"phase": phase, "endpoint": ALL if endpoint is None else endpoint}
        | summary(requests_in(samples, windows[phase], endpoint=endpoint))
        for phase in _phases(windows)
        for endpoint in (None, *endpoints)
    ]
    return pd.DataFrame(rows, columns=["phase", "endpoint", *SUMMARY_COLUMNS])


def zone_table(samples: pd.DataFrame, windows: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """One row a phase and zone, `NO_ZONE` for what no zone answered; columns as `phase_table`, plus share.

    *share* is the zone's part of all the phase's requests. A failure without a zone is in nobody's row but its own.
    """
    require_columns(samples)
    nowhere = zoneless(samples)
    zones = sorted(str(zone) for zone in samples.loc[~nowhere, "zone"].unique())
    rows = []
    for phase in _phases(windows):
        total = requests_in(samples, windows[phase]).n
        for zone in (*zones, NO_ZONE):
            chosen = samples[nowhere] if zone == NO_ZONE else samples[(samples["zone"] == zone).to_numpy(dtype=bool)]
            found = summary(requests_in(chosen, windows[phase]))
            rows.append({"phase": phase, "zone": zone, "share": found["n"] / total if total else math.nan} | found)
    return pd.DataFrame(rows, columns=["phase", "zone", "share", *SUMMARY_COLUMNS])


def second_table(samples: pd.DataFrame, start_s: float, end_s: float) -> pd.DataFrame:
    """One row a second from *start_s* on: second (Unix s), n, ok, failed, latency_ms_p50, latency_ms_p99, _max.

    Quantiles are those of the second's own requests (the smallest value with that share at or below it), drawn, not
    judged: a second has no interval. p99 of fewer than 100 requests is their largest. NaN where there were none.
    """
    require_columns(samples)
    requests = requests_in(samples, (start_s, end_s))
    seconds = max(0, math.ceil(end_s - start_s))
    number = (requests.scheduled_at - start_s).astype(np.int64)
    rows = []
    order = np.argsort(number, kind="stable")
    edges = np.searchsorted(number[order], np.arange(seconds + 1))
    for second in range(seconds):
        chosen = order[edges[second] : edges[second + 1]]
        latency_ms = np.sort(requests.latency_ms[chosen])  # NaN sorts last
        latency_ms = latency_ms[np.isfinite(latency_ms)]
        n_ok = int(np.count_nonzero(requests.ok[chosen]))
        rows.append(
            {
                "second": start_s + second,
                "n": len(chosen),
                "ok": n_ok,
                "failed": len(chosen) - n_ok,
                "latency_ms_p50": _plain_quantile(latency_ms, 0.5),
                "latency_ms_p99": _plain_quantile(latency_ms, 0.99),
                "latency_ms_max": float(latency_ms[-1]) if len(latency_ms) else math.nan,
            }
        )
    return pd.DataFrame(rows, columns=list(SECOND_COLUMNS))


def worst_requests(samples: pd.DataFrame, window: tuple[float, float], *, count: int = 5) -> pd.DataFrame:
    """The *count* worst rows scheduled in *window*: failed before slow, the longest first; all sample columns."""
    require_columns(samples)
    requests = requests_in(samples, window)
    chosen = samples.iloc[requests.rows]
    latency_ms = np.nan_to_num(requests.latency_ms, nan=math.inf)
    worst = np.lexsort((requests.scheduled_at, -latency_ms, requests.ok))[:count]
    return chosen.iloc[worst]


def quantile_minimum_n() -> dict[str, int]:
    """The minimum n of each quantile of the tables, by column name."""
    return {f"latency_ms_{_label(p)}": quantile_n_min(p) for p in QUANTILES}


def _phases(windows: Mapping[str, tuple[float, float]]) -> list[str]:
    return [phase for phase in PHASES if phase in windows and is_window(windows[phase])]


def _label(p: float) -> str:
    return f"p{p * 100:g}"


SUMMARY_COLUMNS = (
    "n",
    "failed",
    "rate_per_s",
    "ok_share",
    "ok_low",
    "ok_high",
    *(f"latency_ms_{_label(p)}{end}" for p in QUANTILES for end in ("", "_low", "_high")),
)


def summary(requests: Window) -> dict[str, float]:
    """The columns `SUMMARY_COLUMNS` of one group in one phase."""
    ok = share(requests.n_ok, requests.n)
    row: dict[str, float] = {
        "n": requests.n,
        "failed": requests.n - requests.n_ok,
        "rate_per_s": requests.rate_per_s,
        "ok_share": _number(ok.value),
        "ok_low": _number(ok.low),
        "ok_high": _number(ok.high),
    }
    for p in QUANTILES:
        estimate = quantile(requests, p)
        for end, value in _ends(estimate).items():
            row[f"latency_ms_{_label(p)}{end}"] = value
    return row


def _ends(estimate: Estimate) -> dict[str, float]:
    return {"": _number(estimate.value), "_low": _number(estimate.low), "_high": _number(estimate.high)}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _plain_quantile(ordered: np.ndarray[tuple[int, ...], np.dtype[np.float64]], p: float) -> float:
    if not len(ordered):
        return math.nan
    return float(ordered[math.ceil(len(ordered) * p) - 1])
