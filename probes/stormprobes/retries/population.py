"""One kind of client, or several? A reading describes one; of a mixture it can only say that it is one.

Signs: calls give up after two distinct numbers of tries, side by side in time (not one after the other, which a
budget does); clients differ in the number of tries, each for itself; call ids are used twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormprobes.retries.attempts import retried_outcomes

if TYPE_CHECKING:
    from stormprobes.retries.calls import Calls
    from stormprobes.retries.waits import Waits

__all__ = ["Population", "population_of"]

SECOND_SHARE_MIN = 0.08
BOTH_SHARE_MIN = 0.7
CLASH_SHARE_MAX = 0.02
GAVE_UP_MIN = 8
CLIENTS_COMPARED = 8
CLIENT_WAITS_MIN = 10
DISTANCE_MIN = 0.3
P_MAX = 1e-5
# Not the late ones: of processes that share a machine one stalls more than the others, by the same rule.
LEVELS = (0.1, 0.5)
APART_S = 0.015  # and a tenth of the wait: hosts differ in their overhead without being another client


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """*is_mixed* when no one client explains the calls; *notes* says why, for people."""

    is_mixed: bool
    notes: tuple[str, ...]


def population_of(calls: Calls, waits: Waits, *, changes: bool, obeys: bool = True) -> Population:
    """Look for signs of several kinds of client; *changes*: a budget or a breaker explains calls with fewer tries.

    *obeys*: waits after a Retry-After may be the server's, and say nothing of the client.
    """
    notes = []
    clashes = float(calls.rows["clash"].mean())
    if clashes > CLASH_SHARE_MAX:
        notes.append(
            f"{clashes:.0%} of the arrivals repeat a try of their own call: ids are used twice, or sources are merged"
        )
    if _clients_wait_differently(calls, waits.where(~(waits.retry_after_s > 0)) if obeys else waits):
        notes.append("clients wait differently, each in its own way: two kinds of client?")
    retried = retried_outcomes(calls)
    table = calls.table[calls.table["last_failed"]]
    table = table[table["last_outcome"].isin([name for name, again in retried.items() if again])]
    tries = table["tries"].to_numpy()
    if not changes and len(tries) >= GAVE_UP_MIN:
        values, counts = np.unique(tries, return_counts=True)
        shares = np.sort(counts / counts.sum())[::-1]
        if len(values) > 1 and shares[1] >= SECOND_SHARE_MIN and shares[0] + shares[1] >= BOTH_SHARE_MIN:
            first, second = (int(v) for v in values[np.argsort(-counts, kind="stable")[:2]])
            if abs(first - second) >= 1:
                notes.append(
                    f"calls give up after {min(first, second)} and after {max(first, second)} tries: two clients?"
                )
    return Population(is_mixed=bool(notes), notes=tuple(notes))


def _clients_wait_differently(calls: Calls, waits: Waits) -> bool:
    """True if the waits of one client, before the same retry, are not those of the others."""
    import pandas as pd
    from scipy.stats import ks_2samp

    if not len(waits):
        return False
    # Numbered in the order in which they came: which ones are compared must not depend on what they are called.
    client = pd.factorize(calls.table["client"])[0][waits.call]
    numbers, counts = np.unique(client, return_counts=True)
    numbers = numbers[np.argsort(-counts, kind="stable")][:CLIENTS_COMPARED]
    if len(numbers) < 2:
        return False
    for number in numbers:
        own = client == number
        for nth in range(1, waits.deepest + 1):
            here = waits.nth == nth
            a, b = waits.wait_s[own & here], waits.wait_s[~own & here]
            if len(a) < CLIENT_WAITS_MIN or len(b) < CLIENT_WAITS_MIN:
                continue
            apart = np.abs(np.quantile(a, LEVELS) - np.quantile(b, LEVELS)) - 0.1 * np.quantile(b, LEVELS)
            found = ks_2samp(a, b)
            if float(apart.max()) > APART_S and found.statistic > DISTANCE_MIN and found.pvalue < P_MAX:
                return True
    return False
