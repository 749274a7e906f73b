"""How much of an error budget was spent when: failures by slot of a claim's window, and all requests in it.

Bounded whatever the size of the run, and additive: what parts of the samples have spent adds up to that of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from stormproof.analysis.fold import SumFold
from stormproof.analysis.requests import requests_in

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.analysis.requests import Ints

SLOTS_MIN, SLOTS_MAX = 10, 300
SLOTS_A_SECOND = 10
COLUMNS = frozenset({"scheduled_at", "latency_ms", "ok", "endpoint", "zone"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a claim allows: this share of the requests of its *window* (Unix s), endpoint and zone may fail."""

    claim: str
    allowed_share: float
    window: tuple[float, float]
    endpoint: str | None = None
    zone: str | None = None

    @property
    def slots(self) -> int:
        """How many slots of equal width the window is cut into: tenths of a second, or as many as are drawn."""
        start_s, end_s = self.window
        return min(SLOTS_MAX, max(SLOTS_MIN, round((end_s - start_s) * SLOTS_A_SECOND)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a budget's window holds."""

    n: int  # requests
    failed: Ints  # in each slot

    def __add__(self, other: Spent) -> Spent:
        """What two parts of the samples hold of the same window."""
        return Spent(n=self.n + other.n, failed=self.failed + other.failed)


def spend(samples: pd.DataFrame, budget: Budget) -> Spent:
    """Count *samples* (columns of `record.samples`) for *budget*."""
    start_s, end_s = budget.window
    requests = requests_in(samples, budget.window, endpoint=budget.endpoint, zone=budget.zone)
    place = (requests.scheduled_at[~requests.ok] - start_s) / (end_s - start_s) * budget.slots
    slot = np.clip(place.astype(np.int64), 0, budget.slots - 1)
    return Spent(n=requests.n, failed=np.bincount(slot, minlength=budget.slots).astype(np.int64))


def budget_fold(budget: Budget) -> SumFold:
    """`spend` over parts."""
    zero = Spent(n=0, failed=np.zeros(budget.slots, dtype=np.int64))
    return SumFold(count=partial(spend, budget=budget), columns=COLUMNS, zero=zero)
