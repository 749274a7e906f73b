"""Amplification and synchrony of arrivals that cannot be put together to calls.

Amplification, by the first of these that the data allow:

1. `phases`: arrivals a second while calls fail, over arrivals a second before the first failure (at least two
healthy seconds);
2. `successes`: arrivals over successes; a call ends with one, unless it gives up, so this is the upper end;
3. `onset`: arrivals a second at the peak over those of the first moments: hardly more than an order of magnitude.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stormprobes.retries.traffic import synchrony_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["amplification", "synchrony"]

HEALTHY_MIN_S = 2.0
ONSET_SHARE = 0.03
SUCCESSES_MIN = 20


def amplification(frame: pd.DataFrame) -> tuple[float, float, str]:
    """Arrivals per logical call, how sure that is, and the method."""
    starts = frame["t_start_s"].to_numpy()
    failed = frame["failed"].to_numpy()
    if not failed.any():
        return 1.0, 0.5, "nothing failed"
    first, last = float(starts[failed][0]), float(starts[failed][-1])
    healthy = int(np.searchsorted(starts, first))
    if first - starts[0] >= HEALTHY_MIN_S and healthy >= SUCCESSES_MIN and last - first >= 1.0:
        usual_per_s = healthy / (first - starts[0])
        during_per_s = float(np.sum((starts >= first) & (starts <= last))) / (last - first)
        return max(1.0, during_per_s / usual_per_s), 0.7, "phases"
    successes = int(np.sum(~failed))
    if successes >= SUCCESSES_MIN:
        return len(starts) / successes, 0.5, "successes"
    span_s = float(starts[-1] - starts[0])
    onset_s = max(0.2, ONSET_SHARE * span_s)
    if span_s < 2 * onset_s:
        return 1.0, 0.0, "onset"
    begin_per_s = float(np.sum(starts - starts[0] < onset_s)) / onset_s
    reach = np.searchsorted(starts, starts + 1.0) - np.arange(len(starts))
    return max(1.0, float(reach.max()) / min(1.0, span_s) / begin_per_s), 0.1, "onset"


def synchrony(frame: pd.DataFrame) -> float:
    """Of all arrivals after the first failure: what comes later may be a retry."""
    starts = frame["t_start_s"].to_numpy()
    failed = frame["failed"].to_numpy()
    if not failed.any():
        return 0.0
    later = starts[starts > starts[failed][0]]
    return synchrony_of([later], float(starts[-1] - starts[0]))[0]
