"""Retry amplification: arrivals per logical call, with a 95 % interval that counts the noise between stretches of time.

Calls made in the same second meet the same trouble, so they are not independent draws: the logical calls of a phase
are put, whole, into at most ten blocks of one second or more by their first arrival, and the interval is that of the
linearised ratio estimator ``Σ arrivals / Σ calls`` over the blocks (Cochran, Sampling Techniques, 1977, 6.3), with
Student's t. It is never narrower than what a sample of n calls leaves open of a rare other one: where all n are alike,
up to ``-ln(0.025) / n`` of the calls may still have an attempt more or less (the exact interval for 0 of n).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["amplification", "calls_of"]

METHOD = "arrivals per logical call, ratio estimator over blocks of 1 s or more (at most 10), Student's t"
ALPHA_SIDE = 0.025
BLOCKS_MAX = 10
BLOCKS_MIN = 5  # below, Student's t is so wide that nothing could be decided
UNKNOWN_SHARE_MAX = 0.01  # of arrivals without a call's id


def calls_of(arrivals: pd.DataFrame, window: tuple[float, float]) -> pd.DataFrame:
    """All arrivals, whenever they came, of the logical calls whose first arrival lies in *window*.

    A row without an id of its call counts by its own time.
    """
    start_s, end_s = window
    known = arrivals["op"].astype(str) != ""
    first_s = arrivals["t_start_s"].where(~known, arrivals.groupby("op")["t_start_s"].transform("min"))
    return arrivals[(first_s >= start_s) & (first_s < end_s)]


def amplification(arrivals: pd.DataFrame, window: tuple[float, float]) -> dict[str, Any]:
    """``estimate, low, high, n_ops, n_arrivals, method, reason`` of the calls of *window*; null where unknown."""
    import pandas as pd

    rows = calls_of(arrivals, window)
    unknown = int((rows["op"].astype(str) == "").sum())
    if len(rows) == 0:
        return _none("nobody called it")
    if unknown > UNKNOWN_SHARE_MAX * len(rows):
        return _none(f"{unknown} of {len(rows)} arrivals carry no id of their call", arrivals=len(rows))
    calls = rows[rows["op"].astype(str) != ""].groupby("op").agg(at=("t_start_s", "min"), attempts=("op", "size"))
    blocks = min(BLOCKS_MAX, round(window[1] - window[0]))
    estimate = float(calls["attempts"].sum() / len(calls))
    if blocks < BLOCKS_MIN:
        reason = f"the phase of {window[1] - window[0]:.1f} s is too short for an interval: {BLOCKS_MIN} s are needed"
        return _none(reason, estimate=estimate, calls=len(calls), arrivals=len(rows))
    position = (calls["at"] - window[0]) / (window[1] - window[0]) * blocks
    block = pd.Series(np.clip(position.astype("int64"), 0, blocks - 1), index=calls.index)
    sums = calls.groupby(block)["attempts"].agg(["sum", "size"]).reindex(range(blocks), fill_value=0)
    half = _half_width(sums["sum"].to_numpy(dtype=np.float64), sums["size"].to_numpy(dtype=np.float64))
    return {
        "estimate": estimate,
        "low": max(1.0, estimate - half),
        "high": estimate + half,
        "n_ops": len(calls),
        "n_arrivals": len(rows),
        "method": METHOD,
        "reason": "",
    }


def _half_width(arrivals: np.ndarray[Any, np.dtype[np.float64]], calls: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Half of the 95 % interval; neighbouring blocks that are alike widen it, never narrow it."""
    from scipy import stats

    blocks, total = len(calls), float(calls.sum())
    residual = arrivals - arrivals.sum() / total * calls
    squares = float((residual**2).sum())
    neighbours = float((residual[1:] * residual[:-1]).sum())
    variance = blocks / (blocks - 1) * (squares + 2 * max(0.0, neighbours)) / total**2
    wide = float(stats.t.ppf(1 - ALPHA_SIDE, blocks - 1)) * math.sqrt(variance)
    return max(wide, -math.log(ALPHA_SIDE) / total)


def _none(reason: str, *, estimate: float | None = None, calls: int = 0, arrivals: int = 0) -> dict[str, Any]:
    return {
        "estimate": estimate,
        "low": None,
        "high": None,
        "n_ops": calls,
        "n_arrivals": arrivals,
        "method": METHOD,
        "reason": reason,
    }
