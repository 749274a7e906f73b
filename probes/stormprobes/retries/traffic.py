"""What retries do to the dependency: amplification and synchrony.

**Amplification**: arrivals per logical call, over all; and at the peak, arrivals in the second in which most came, over
calls that begin in a second on average (from the first call to the last, at least one second).

**Synchrony**, 0 … 1: how much of the retry traffic falls into the same instants, beyond what independent clients would
show. A wave is the k-th retries of all calls; S_k is the share of wave k in its densest 100 ms; E_k is the same
share expected of n_k retries that are spread evenly over the time in which calls were under way (mean of seeded
draws). With N = Σ n_k

    synchrony = Σ n_k · max(0, (S_k − E_k) / (1 − E_k)) / N

so 0 is a fleet without a common clock and 1 one that comes back in one instant. Waves of fewer than 3 retries tell
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from stormprobes.retries.calls import Calls

__all__ = ["Traffic", "densest_share", "expected_densest_share", "read_traffic", "synchrony_of"]

Floats = npt.NDArray[np.float64]

WINDOW_S = 0.1
WAVE_MIN = 3
DRAWS = 64
EXPECTED_MAX = 4000  # beyond so many the expectation is the mean density, and needs no draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """See the module."""

    amplification: float
    amplification_peak: float
    arrivals_peak_per_s: int
    synchrony: float
    wave_share_max: float  # the largest S_k
    retries: int


def read_traffic(calls: Calls) -> Traffic:
    """Of the calls as they are grouped."""
    rows = calls.rows
    starts = rows["t_start_s"].to_numpy()
    ordered = np.sort(starts)
    reach = np.searchsorted(ordered, ordered + 1.0, side="left") - np.arange(len(ordered))
    peak = int(reach.max())
    begun = calls.table["start_s"]
    calls_per_s = calls.count / max(1.0, float(begun.max() - begun.min()))
    waves = [group["t_start_s"].to_numpy() for _, group in rows[rows["nth"] > 1].groupby("nth", sort=True)]
    span_s = max(WINDOW_S, float(ordered[-1] - ordered[0]))
    synchrony, share_max = synchrony_of(waves, span_s)
    return Traffic(
        amplification=len(rows) / max(1, calls.count),
        amplification_peak=peak / calls_per_s,
        arrivals_peak_per_s=peak,
        synchrony=synchrony,
        wave_share_max=share_max,
        retries=int(np.sum(rows["nth"] > 1)),
    )


def synchrony_of(waves: list[Floats], span_s: float) -> tuple[float, float]:
    """Synchrony of *waves* (times of the first retries, of the second, …) in *span_s*, and the largest S_k."""
    total, weight, largest = 0.0, 0, 0.0
    for times in waves:
        if len(times) < WAVE_MIN:
            continue
        share = densest_share(times)
        expected = expected_densest_share(len(times), span_s)
        total += len(times) * max(0.0, (share - expected) / (1.0 - expected)) if expected < 1.0 else 0.0
        weight += len(times)
        largest = max(largest, share)
    return (total / weight if weight else 0.0), largest


def densest_share(times: Floats) -> float:
    """Share of *times* in the 100 ms that hold most of them."""
    ordered = np.sort(times)
    within = np.searchsorted(ordered, ordered + WINDOW_S, side="right") - np.arange(len(ordered))
    return float(within.max() / len(ordered))


def expected_densest_share(count: int, span_s: float) -> float:
    """The same share for *count* independent instants, spread evenly over *span_s*."""
    if span_s <= WINDOW_S:
        return 1.0
    if count > EXPECTED_MAX:
        return WINDOW_S / span_s
    rng = np.random.default_rng(count)
    draws = max(4, min(DRAWS, 20_000 // count))
    return float(np.mean([densest_share(rng.random(count) * span_s) for _ in range(draws)]))
