"""Arrivals as they come (a frame of any source) → clean rows: checked, typed, sorted, counted.

A frame that cannot be read is refused with a `ValueError` that names the column, what was expected and what was found.
Rows that cannot be placed in time are left out and counted in `dropped`: they are named in the reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Arrivals", "clean"]

REQUIRED = ("t_start_s",)
# Answers after which no client retries; everything else is a failure that a client may retry.
SUCCESS_BELOW = 400
_NO_FAILURE = frozenset({"ok", "success", "0", "OK", "true"})  # gRPC and wire protocols that count from 0
TIME_S_MAX = 1e11  # beyond year 5000 in Unix seconds: milliseconds were given


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Rows sorted by t_start_s; *frame* has client, op, attempt, t_start_s, t_end_s, outcome, retry_after_s, failed.

    `op` is "" and `attempt` 0 where unknown; times start at 0, so that a shift of the clock cannot matter.
    """

    frame: pd.DataFrame
    has_op: bool
    has_attempt: bool
    has_end: bool
    dropped: dict[str, int]


def clean(arrivals: pd.DataFrame) -> Arrivals:
    """Check and sort *arrivals*; raises ValueError for a frame that has no rows, or no usable times."""
    import pandas as pd

    if not isinstance(arrivals, pd.DataFrame):
        raise ValueError(f"arrivals: expected a pandas DataFrame, got {type(arrivals).__name__}")  # noqa: TRY004
    missing = [name for name in REQUIRED if name not in arrivals.columns]
    if missing:
        found = ", ".join(map(str, arrivals.columns)) or "none"
        raise ValueError(f"arrivals: expected a column {missing[0]!r}, got the columns: {found}")
    if arrivals.empty:
        raise ValueError("arrivals: expected at least one row, got none: nobody called, or nobody looked")
    frame = pd.DataFrame(
        {
            "client": _text(arrivals, "client"),
            "op": _text(arrivals, "op"),
            "attempt": _number(arrivals, "attempt").fillna(0).clip(0, 1_000_000).astype("int64"),
            "t_start_s": _number(arrivals, "t_start_s"),
            "t_end_s": _number(arrivals, "t_end_s"),
            "outcome": _outcome(arrivals),
            "retry_after_s": _number(arrivals, "retry_after_s"),
        }
    ).reset_index(drop=True)
    return _checked(frame)


def _checked(frame: pd.DataFrame) -> Arrivals:
    import numpy as np

    start = frame["t_start_s"]
    unplaced = ~np.isfinite(start)
    if unplaced.all():
        raise ValueError("arrivals: t_start_s: expected seconds, got no number in any row")
    if (start[~unplaced] < 0).any():
        raise ValueError(f"arrivals: t_start_s: expected seconds from 0 on, got {start[~unplaced].min():g}")
    if start[~unplaced].max() > TIME_S_MAX:
        raise ValueError(f"arrivals: t_start_s: expected seconds, got {start[~unplaced].max():g} (milliseconds?)")
    frame = frame[~unplaced]
    # Without an id two equal lines may be two requests of one millisecond, of which an access log has many.
    copies = frame.duplicated() & (frame["op"] != "")
    frame = frame[~copies]
    backwards = frame["t_end_s"] < frame["t_start_s"] - 1e-9
    has_end = bool(frame["t_end_s"].notna().mean() > 0.5)
    no_end = frame["t_end_s"].isna() | backwards
    frame = frame.assign(t_end_s=frame["t_end_s"].where(~no_end, frame["t_start_s"]))
    frame.loc[~(frame["retry_after_s"] >= 0), "retry_after_s"] = np.nan
    frame = frame.assign(failed=_failed(frame["outcome"]))
    order = ["t_start_s", "t_end_s", "attempt", "outcome", "op", "client"]
    frame = frame.sort_values(order, kind="stable", ignore_index=True)
    origin_s = frame["t_start_s"].iloc[0]
    # To the microsecond: the clock's own resolution in Unix seconds, so that a shift changes nothing afterwards.
    frame["t_start_s"] = (frame["t_start_s"] - origin_s).round(6)
    frame["t_end_s"] = (frame["t_end_s"] - origin_s).round(6)
    dropped = {
        "without a start": int(unplaced.sum()),
        "exact copies": int(copies.sum()),
        "ends before its start (end ignored)": int(backwards.sum()),
    }
    return Arrivals(
        frame=frame,
        has_op=bool((frame["op"] != "").mean() > 0.5),
        has_attempt=bool((frame["attempt"] > 0).mean() > 0.5),
        has_end=has_end,
        dropped={reason: count for reason, count in dropped.items() if count},
    )


def _number(frame: pd.DataFrame, name: str) -> pd.Series[float]:
    import numpy as np
    import pandas as pd

    if name not in frame.columns:
        return pd.Series(np.nan, index=frame.index, dtype="float64")
    return pd.to_numeric(frame[name], errors="coerce").astype("float64")


def _text(frame: pd.DataFrame, name: str) -> pd.Series[str]:
    import pandas as pd

    if name not in frame.columns:
        return pd.Series("", index=frame.index, dtype="object")
    column = frame[name]
    text = column.astype("object").where(column.notna(), "").map(str)
    return text.where(~text.isin(["nan", "None", "-"]), "")


def _outcome(frame: pd.DataFrame) -> pd.Series[str]:
    """The outcome as text; from `status` where there is no outcome; 503.0 and 503 are the same."""
    name = "outcome" if "outcome" in frame.columns else "status"
    return _text(frame, name).str.replace(r"\.0$", "", regex=True)


def _failed(outcome: pd.Series[str]) -> pd.Series[bool]:
    """True for what a client may retry: a status from 400 on, another protocol's code, or no answer at all."""
    import pandas as pd

    code = pd.to_numeric(outcome, errors="coerce")
    # 100 to 399 is an HTTP answer that is fine; smaller numbers are codes of errors (wire protocols), 0 is none.
    fine = code.between(100, SUCCESS_BELOW - 1) | outcome.isin(_NO_FAILURE)
    return ~fine
