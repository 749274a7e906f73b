"""When the requests felt a fault: change points of the share of bad requests against that of steady.

Bad is what failed, or took longer than 99 % of steady's requests. With p0 the share of bad requests in steady, a
stretch of slots with n requests, b of them bad, and the share p = b / n > p0 has the log likelihood ratio

    b ln(p / p0) + (n - b) ln((1 - p) / (1 - p0)).

The stretch with the largest one is taken, then the same is done on both sides of it: the scan statistic of Kulldorff
(Communications in Statistics 26, 1997) on a line, with the baseline known; its ends are the maximum-likelihood change
points (Siegmund and Venkatraman, Annals of Statistics 23, 1995). It counts when it exceeds
ln(number of stretches / 0.01), after division by how much more the seconds of steady scatter than a binomial would.
Counts need no normal approximation: a second in which two of three requests failed tells as well as one of hundreds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormproof.analysis.grid import BINS, FAILED, OK, Grid, edges_ms
from stormproof.model.hypothesis import Phase

if TYPE_CHECKING:
    from stormproof.analysis.requests import Floats

FALSE_ALARM = 0.01  # the chance that a run without any effect shows a stretch, at most
STEADY_SHARE_SLOW = 0.99
STEADY_N_MIN = 50
STRETCHES_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Felt:
    """The stretches in which requests were worse than steady, in order of time; none where nothing was felt."""

    stretches: tuple[tuple[float, float], ...]  # Unix s
    slot_s: float  # what their ends are known to
    slow_ms: float  # what is slower is bad
    steady_bad_share: float


def felt(grid: Grid) -> Felt | None:
    """The stretches of *grid* that steady does not explain; None where steady has too few requests to say."""
    steady = grid.phases.get(Phase.STEADY.value)
    if steady is None or steady.sum() < STEADY_N_MIN:
        return None
    slow_bin = int(np.searchsorted(np.cumsum(steady[OK]), STEADY_SHARE_SLOW * steady[OK].sum()))
    slow_bin = min(slow_bin, BINS - 1)
    n = grid.slots.sum(axis=(1, 2)).astype(np.float64)
    bad = _bad(grid.slots, slow_bin)
    steady_bad = float(_bad(steady[np.newaxis], slow_bin)[0])
    share = (steady_bad + 1.0) / (float(steady.sum()) + 2.0)
    scatter = _scatter(n, bad, grid, share)
    k = len(n)
    least = (math.log(k * (k + 1) / 2) - math.log(FALSE_ALARM)) * scatter
    found = _search(n, bad, share, least)
    edges_s = grid.edges_s
    return Felt(
        stretches=tuple((float(edges_s[first]), float(edges_s[last])) for first, last in sorted(found)),
        slot_s=grid.slot_s,
        slow_ms=float(edges_ms()[slow_bin + 1]),
        steady_bad_share=steady_bad / float(steady.sum()),
    )


def _bad(counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]], slow_bin: int) -> Floats:
    found: Floats = (counts[:, FAILED].sum(axis=1) + counts[:, OK, slow_bin + 1 :].sum(axis=1)).astype(np.float64)
    return found


def _scatter(n: Floats, bad: Floats, grid: Grid, share: float) -> float:
    """Pearson's dispersion of steady's bad requests by the second, at least 1: bursts are no change of their own."""
    first_s = grid.start_s
    # Steady is the first phase, so its slots are the first ones; a second is several of them.
    steady_n = float(grid.phases[Phase.STEADY.value].sum())
    last = int(np.searchsorted(np.cumsum(n), steady_n))
    second = ((grid.edges_s[:last] - first_s) // max(1.0, grid.slot_s)).astype(np.int64)
    counts, hits = np.bincount(second, weights=n[:last]), np.bincount(second, weights=bad[:last])
    counts, hits = counts[counts > 0], hits[counts > 0]
    if len(counts) < 3:
        return 1.0
    mean = hits.sum() / counts.sum() if hits.sum() else share
    squares = (hits - counts * mean) ** 2 / (counts * mean * (1.0 - mean))
    return max(1.0, float(squares.sum() / (len(counts) - 1)))


def _search(n: Floats, bad: Floats, share: float, least: float) -> list[tuple[int, int]]:
    """Slots [first, last) of the stretches, the most unlikely first."""
    queue, found = [(0, len(n))], list[tuple[int, int]]()
    while queue and len(found) < STRETCHES_MAX:
        low, high = queue.pop(0)
        best = _best(n[low:high], bad[low:high], share)
        if best is None or best[0] <= least:
            continue
        first, last = low + best[1], low + best[2]
        found.append((first, last))
        queue += [(low, first), (last, high)]
    return found


def _best(n: Floats, bad: Floats, share: float) -> tuple[float, int, int] | None:
    """The largest log likelihood ratio of any stretch, and its slots; None where none has more than *share*."""
    sums_n, sums_bad = np.concatenate([[0.0], np.cumsum(n)]), np.concatenate([[0.0], np.cumsum(bad)])
    best: tuple[float, int, int] | None = None
    for first in np.flatnonzero(bad):  # a stretch that begins with a slot without bad requests is never the best
        total, hits = sums_n[first + 1 :] - sums_n[first], sums_bad[first + 1 :] - sums_bad[first]
        inside = hits / total
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = hits * np.log(inside / share) + np.where(
                total > hits, (total - hits) * np.log((1.0 - inside) / (1.0 - share)), 0.0
            )
        ratio[inside <= share] = 0.0
        last = int(np.argmax(ratio))
        if ratio[last] > 0 and (best is None or ratio[last] > best[0]):
            best = float(ratio[last]), int(first), int(first) + last + 1
    return best
