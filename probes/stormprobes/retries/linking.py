"""Calls rebuilt where the log has no call ids, and how much to trust them.

With try numbers (an SDK's header) the n+1st try is the earliest one that can follow an n-th: exact for waits
without jitter, right on average for others. Without, the arrivals of one client are a chain that ends with a
success, which is only so if the client makes one call at a time; many clients with few arrivals each are taken to
do that, at a price in confidence. Anything else is not linked: every arrival stands alone and the back-off is not
read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stormprobes.retries.arrivals import Arrivals
from stormprobes.retries.calls import Calls, by_op, from_labels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["link"]

TRUST_ATTEMPT = 0.8
TRUST_SEQUENCE = 0.6
CHAIN_CLIENTS_MIN = 5
CHAIN_ROWS_MAX = 40  # arrivals of one client, in the median
OVERLAP_MAX = 0.02
ENDED_WELL_MIN = 0.5


def link(arrivals: Arrivals) -> Calls:
    """Calls by the best evidence there is; `method` says which: op, attempt, sequence or none."""
    if arrivals.has_op:
        return by_op(arrivals)
    if arrivals.has_attempt:
        return _by_attempt(arrivals)
    if _is_sequential(arrivals.frame):
        return _by_sequence(arrivals.frame)
    frame = arrivals.frame.assign(attempt=1)
    labels = frame.index.to_series().map(str)
    return from_labels(frame, labels, trust=0.0, method="none")


def _by_attempt(arrivals: Arrivals) -> Calls:
    """First in, first out, within a client."""
    frame = arrivals.frame
    labels = np.empty(len(frame), dtype=object)
    waiting: dict[tuple[str, int], list[int]] = {}  # call numbers whose try n failed, oldest first
    heads: dict[tuple[str, int], int] = {}
    latest, unmatched = 0, 0
    columns = zip(frame["client"], frame["attempt"], frame["failed"], strict=True)
    for row, (client, attempt, failed) in enumerate(columns):
        queue, head = waiting.get((client, attempt - 1), []), heads.get((client, attempt - 1), 0)
        if attempt > 1 and head < len(queue):
            label = queue[head]
            heads[client, attempt - 1] = head + 1
        else:
            unmatched += attempt > 1
            label, latest = latest, latest + 1
        labels[row] = str(label)
        if failed:
            waiting.setdefault((client, attempt), []).append(label)
    import pandas as pd

    alone = arrivals.frame["client"].nunique() > CHAIN_CLIENTS_MIN and _overlap(frame) < OVERLAP_MAX
    trust = (0.9 if alone else TRUST_ATTEMPT) * (1.0 - unmatched / max(1, len(frame)))
    return from_labels(frame, pd.Series(labels, index=frame.index), trust=trust, method="attempt")


def _is_sequential(frame: pd.DataFrame) -> bool:
    """Many clients, few arrivals each, none before the last one of its client has ended, and most chains end well."""
    named = frame[frame["client"] != ""]
    if len(named) < len(frame) or named["client"].nunique() < CHAIN_CLIENTS_MIN:
        return False
    sizes = named.groupby("client").size()
    if float(sizes.median()) > CHAIN_ROWS_MAX or _overlap(named) > OVERLAP_MAX:
        return False
    last = named.groupby("client")["failed"].last()
    return float((~last).mean()) >= ENDED_WELL_MIN


def _overlap(frame: pd.DataFrame) -> float:
    """Share of arrivals that come before the one before them, of the same client, has ended."""
    ordered = frame.sort_values(["client", "t_start_s"], kind="stable")
    before = ordered["client"].eq(ordered["client"].shift())
    early = ordered["t_start_s"] < ordered["t_end_s"].shift() - 1e-6
    return float((before & early).sum() / max(1, before.sum()))


def _by_sequence(frame: pd.DataFrame) -> Calls:
    """A call of a client ends with its first success; the next arrival begins another."""
    ordered = frame.sort_values(["client", "t_start_s"], kind="stable")
    begins = ~ordered["client"].eq(ordered["client"].shift()) | ~ordered["failed"].shift(fill_value=False).astype(bool)
    number = begins.cumsum().astype(str)
    unnumbered = frame.assign(attempt=0)
    return from_labels(unnumbered, number.reindex(frame.index), trust=TRUST_SEQUENCE, method="sequence")
