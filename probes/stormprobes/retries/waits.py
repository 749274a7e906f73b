"""Calls → waits: the time from the end of a failed try to the start of the next one.

After a hang the server's end means nothing when the client has already gone on; then the wait is measured from start
to start, and the model fits the client's time-out together with it (`offset`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

    from stormprobes.retries.calls import Calls

__all__ = ["Waits", "measure"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CROWD_FAILED_S = 0.01
CROWD_BACK_S = 0.05
CROWD_MIN = 8  # so many at once are an ordinary coincidence
CROWD_DELAY_S = 0.0006  # a request that is served before mine, with its connection


@dataclass(frozen=True, kw_only=True)
class Waits:
    """Arrays of one length: *call*, *nth* (1: between the first and the second try), *wait_s*, *previous_s* (the wait
    before it in the same call, NaN for the first), *outcome* and *retry_after_s* of the try before the wait."""

    call: Ints
    nth: Ints
    wait_s: Floats
    previous_s: Floats
    outcome: npt.NDArray[np.object_]
    retry_after_s: Floats
    crowd_s: Floats  # how much a crowd may have delayed it
    is_offset: bool = False
    stalls: float = 0.0  # share of waits that a busy machine made longer, by an unknown time
    timeout_s: float = float("nan")  # how long the client waits for an answer, where tries hung

    def __len__(self) -> int:
        """Waits."""
        return len(self.wait_s)

    @cached_property
    def calls(self) -> int:
        """Calls that waited at least once."""
        return len(np.unique(self.call))

    @cached_property
    def deepest(self) -> int:
        """The largest number of a retry."""
        return int(self.nth.max())

    @cached_property
    def place(self) -> Ints:
        """*nth* from 0."""
        return np.asarray(self.nth - 1)

    def where(self, mask: npt.NDArray[np.bool_]) -> Waits:
        """Those waits only."""
        return replace(
            self,
            call=self.call[mask],
            nth=self.nth[mask],
            wait_s=self.wait_s[mask],
            previous_s=self.previous_s[mask],
            outcome=self.outcome[mask],
            retry_after_s=self.retry_after_s[mask],
            crowd_s=self.crowd_s[mask],
        )

    def thinned(self, calls_max: int) -> Waits:
        """At most *calls_max* calls, evenly over time: more do not change an answer, they only take longer."""
        known = np.unique(self.call)
        if len(known) <= calls_max:
            return self
        chosen = known[np.linspace(0, len(known) - 1, max(1, calls_max)).round().astype(int)]
        return self.where(np.isin(self.call, chosen))


def measure(calls: Calls) -> Waits:
    """The waits of *calls*; tries whose neighbour is missing from the data give none."""
    rows = calls.rows
    call = rows["call"].to_numpy()
    nth = rows["nth"].to_numpy()
    start, end = rows["t_start_s"].to_numpy(), rows["t_end_s"].to_numpy()
    follows = (call[1:] == call[:-1]) & (nth[1:] == nth[:-1] + 1) & rows["failed"].to_numpy()[:-1]
    at = np.flatnonzero(follows)
    outcome = rows["outcome"].to_numpy(dtype=object)[at]
    wait = start[at + 1] - end[at]
    hang = outcome == "hang"
    timeout_s = float("nan")
    is_offset = False
    if hang.any():
        hangs = rows.loc[rows["outcome"] == "hang"]
        timeout_s = float((hangs["t_end_s"] - hangs["t_start_s"]).quantile(0.02))
        is_offset = bool(hang.mean() > 0.5) and not _ends_are_the_clients(hangs)
        if is_offset or not _ends_are_the_clients(hangs):
            wait = np.where(hang, start[at + 1] - start[at], wait)
            keep = hang if is_offset else ~hang
            at, outcome, wait = at[keep], outcome[keep], wait[keep]
    previous = np.full(len(at), np.nan)
    chained = np.flatnonzero((np.diff(call[at]) == 0) & (np.diff(nth[at]) == 1)) + 1
    previous[chained] = wait[chained - 1]
    return Waits(
        call=call[at].astype(np.int64),
        nth=nth[at].astype(np.int64),
        wait_s=wait.astype(np.float64),
        previous_s=previous,
        outcome=outcome,
        retry_after_s=rows["retry_after_s"].to_numpy(dtype=np.float64)[at],
        crowd_s=_crowd_delay(end[at], start[at + 1], nth[at]),
        is_offset=is_offset,
        timeout_s=timeout_s,
    )


def _crowd_delay(end_s: Floats, next_s: Floats, nth: Ints) -> Floats:
    """Seconds by which those that failed in the same instant, and come back together, may delay each other, a wait.

    A fleet that is released at once is served one after the other, and opens its connections in the first wave: the
    later the wave, the smaller the effect.
    """
    near = np.minimum(_neighbours(end_s, CROWD_FAILED_S), _neighbours(next_s, CROWD_BACK_S))
    return np.asarray(CROWD_DELAY_S * np.maximum(0, near - CROWD_MIN) * np.exp2(1.0 - np.minimum(nth, 12)))


def _neighbours(instants: Floats, within_s: float) -> Ints:
    """How many of *instants* are at most *within_s* away, a row; itself included."""
    ordered = np.sort(instants)
    return np.asarray(np.searchsorted(ordered, instants + within_s) - np.searchsorted(ordered, instants - within_s))


def _ends_are_the_clients(hangs: pd.DataFrame) -> bool:
    """True if hangs end when the client gives up: then they are all about as long, whichever try it is."""
    length = (hangs["t_end_s"] - hangs["t_start_s"]).groupby(hangs["nth"]).median()
    return bool(length.max() - length.min() < max(0.02, 0.05 * length.min()))
