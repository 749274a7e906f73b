"""Rows → logical calls: which arrivals are tries of the same call, and what became of each.

With `op` ids that is a grouping. Without, `linking` rebuilds what can be rebuilt, and says how much to trust it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from stormprobes.retries.arrivals import Arrivals

__all__ = ["Calls", "by_op"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """*rows*: the arrivals, sorted by call and try, with `call` (0…n-1) and `nth` (1…); *table*: one row a call.

    table: client, start_s (of the first try), end_s (of the last), tries, last_failed, last_outcome, whole (False
    when a try of it is missing from the data). *trust* is 1 where the data says which try belongs to which call.
    """

    rows: pd.DataFrame
    table: pd.DataFrame
    trust: float
    method: str

    @property
    def count(self) -> int:
        """Logical calls."""
        return len(self.table)


def by_op(arrivals: Arrivals) -> Calls:
    """Group by client and op. A row without an op is a call of its own."""
    frame = arrivals.frame
    alone = frame["op"] == ""
    key = frame["client"] + "\x1f" + frame["op"]
    key = key.where(~alone, "\x1e" + frame.index.astype(str))
    return from_labels(frame, key, trust=1.0, method="op")


def from_labels(frame: pd.DataFrame, key: pd.Series[Any], *, trust: float, method: str) -> Calls:
    """Calls from a label a row. Labels are renumbered in the order of the calls' first arrivals."""
    import pandas as pd

    call = pd.factorize(key)[0]  # rows are sorted by time: codes are in the order of first arrival
    rows = frame.assign(call=call)
    rows = rows.sort_values(["call", "t_start_s", "attempt"], kind="stable", ignore_index=True)
    position = rows.groupby("call", sort=False).cumcount() + 1
    known = rows["attempt"] > 0
    rows["nth"] = np.where(known, rows["attempt"], position)
    before = rows["call"].eq(rows["call"].shift())
    # Two rows with one number of one call cannot both be right: ids are reused, or two sources were merged.
    rows["clash"] = before & (rows["nth"] <= rows["nth"].shift())
    first = rows.groupby("call", sort=False).first()
    last = rows.groupby("call", sort=False).last()
    size = rows.groupby("call", sort=False).size()
    table = pd.DataFrame(
        {
            "client": first["client"],
            "start_s": first["t_start_s"],
            "end_s": last["t_end_s"],
            "tries": last["nth"],
            "last_failed": last["failed"],
            "first_failed": first["failed"],
            "last_outcome": last["outcome"],
            "whole": (last["nth"] == size) & (first["nth"] == 1),
        }
    )
    return Calls(rows=rows, table=table, trust=trust, method=method)
