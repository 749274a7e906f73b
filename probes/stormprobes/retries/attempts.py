"""At most how many tries a call gets, and what ended the calls that gave up: a count, a deadline, a budget.

A maximum is known only from calls that failed to the end. If calls that failed A times never went on, and calls that
failed A−1 times did, A is it: the chance of that without a maximum is (1 − q)ⁿ, where q is the share that went on
after A−1 and n the calls that stopped at A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormprobes.retries.confidence import ceiling

if TYPE_CHECKING:
    import pandas as pd

    from stormprobes.retries.calls import Calls

__all__ = ["Attempts", "read_attempts", "retried_outcomes"]

ROUND_DEADLINES_S = (5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
RETRIED_SHARE_MIN = 0.03  # an outcome that is followed by another try less often than this is not retried


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """*most*: tries of the calls that had most; *is_lower_bound*: nothing says that more would not have been made.

    *deadline_s*: calls that gave up did so after about this long, however many tries they had (None: no sign of that).
    *cut*: calls that ended for another reason than the maximum; their last waits may be cut or chosen.
    """

    most: int
    confidence: float
    is_lower_bound: bool
    deadline_s: float | None
    gave_up: int


def retried_outcomes(calls: Calls) -> dict[str, bool]:
    """For each failure that was seen: does the client try again after it?"""
    rows = calls.rows
    failed = rows[rows["failed"]]
    goes_on = rows["call"].eq(rows["call"].shift(-1))[rows["failed"]]
    share = goes_on.groupby(failed["outcome"]).mean()
    return {str(outcome): bool(value > RETRIED_SHARE_MIN) for outcome, value in share.items()}


def read_attempts(calls: Calls, *, until_s: float | None, waits_are_exact: bool) -> Attempts:
    """Read the maximum off calls that began before *until_s* (None: all; later ones had no budget left)."""
    table = calls.table
    retried = retried_outcomes(calls)
    most = int(table["tries"].max()) if len(table) else 0
    gave_up = table[
        table["last_failed"] & table["last_outcome"].isin([name for name, again in retried.items() if again])
    ]
    if not any(retried.values()):
        gave_up = table[table["last_failed"]]
    if until_s is not None:  # the last calls before may have had some of the budget, and not all they wanted
        gave_up = gave_up[gave_up["start_s"] <= until_s]
        gave_up = gave_up[gave_up["start_s"] <= gave_up["start_s"].quantile(0.5)]
    tries = gave_up["tries"].to_numpy()
    n_most = int(np.sum(tries == most))
    deadline_s = _deadline(gave_up, tries)
    if n_most == 0:  # nobody failed that often: recovery ended it, or success
        return Attempts(
            most=most,
            confidence=0.2 if most > 1 else 0.0,
            is_lower_bound=True,
            deadline_s=deadline_s,
            gave_up=len(tries),
        )
    went_on = _share_that_went_on(calls, most - 1)
    confidence = ceiling(n_most) * (1.0 - (1.0 - went_on) ** n_most)
    fewer = float(np.mean(tries < most))
    if fewer > 0.08:
        confidence *= 0.4  # a deadline, or more than one kind of client
    if waits_are_exact and most > 1 and _looks_like_a_deadline(gave_up[gave_up["tries"] == most]):
        confidence = min(confidence, 0.85)
    if not bool(table["whole"].mean() > 0.9):
        confidence *= 0.6  # tries are missing from the data
    bound = fewer > 0.08 or deadline_s is not None
    return Attempts(
        most=most,
        confidence=confidence * calls.trust,
        is_lower_bound=bound,
        deadline_s=deadline_s,
        gave_up=len(tries),
    )


def _share_that_went_on(calls: Calls, nth: int) -> float:
    """Of the tries number *nth* that failed, the share that was followed by another, shrunk towards a half."""
    if nth < 1:
        return 0.5
    rows = calls.rows
    here = rows["failed"] & (rows["nth"] == nth)
    goes_on = rows["call"].eq(rows["call"].shift(-1))
    return float((goes_on[here].sum() + 1) / (here.sum() + 2))


def _deadline(gave_up: pd.DataFrame, tries: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float | None:
    """About how long calls lasted that gave up after different numbers of tries, if that length is nearly the same."""
    if len(tries) < 8 or np.ptp(tries) < 2 or np.mean(tries == 1) > 0.1:
        return None
    lasted = (gave_up["end_s"] - gave_up["start_s"]).to_numpy()
    low, middle, high = np.quantile(lasted, [0.1, 0.5, 0.9])
    few, usual, many = np.quantile(tries, [0.1, 0.5, 0.9])
    if middle > 0 and (high - low) / middle < 0.6 * max(0.2, (many - few) / max(1.0, usual)):
        return float(round(middle, 2))
    return None


def _looks_like_a_deadline(ended: pd.DataFrame) -> bool:
    """With exact waits a deadline gives every call the same number of tries; a round length is the only sign."""
    middle = float((ended["end_s"] - ended["start_s"]).median())
    return any(0.0 <= middle - deadline_s < 0.03 * deadline_s for deadline_s in ROUND_DEADLINES_S)
