"""Blocks of time: how the noise from one stretch to the next enters an interval.

Requests close in time share their fate, so they are not independent draws; counting them as such made a nominal 95 %
interval cover 85 % (docs/reference/estimands.md has the table). A window is cut into at most thirty equal blocks of
half a second or more; the variance between blocks counts, and what neighbouring blocks have in common.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stormproof.analysis.requests import Floats
    from stormproof.analysis.window import Window

BLOCKS_MAX = 30
BLOCK_S = 0.5
WINDOW_MIN_S = 5.0  # ten blocks; below, hardly anything could be decided
ALIKE_MAX = 0.85  # a larger correlation of neighbours cannot be told from a drift over the whole window


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockVariance:
    """The variance of a ratio of sums over blocks, and how well it is known."""

    variance: float
    degrees: float  # of freedom


def block_count(duration_s: float) -> int:
    """How many blocks a window of *duration_s* seconds is cut into (rounded: 4.98 s are ten blocks)."""
    return int(min(BLOCKS_MAX, round(duration_s / BLOCK_S)))


def ratio_variance(sums: Floats, counts: Floats, *, doubt: float = 0.0) -> BlockVariance:
    """The variance of ``sum(sums) / sum(counts)`` from its B blocks.

    The linearised ratio estimator, ``Σ r_b² / (Σ count_b)²`` with ``r_b = sum_b - R * count_b`` (Cochran, Sampling
    Techniques, 1977, 6.3), times ``I = (1 + r) / (1 - r)``, where r is the correlation of neighbouring blocks: noise
    that outlasts a block, taken as a first-order autoregression. r is corrected for its bias ``-(1 + 4 r) / B``
    (Marriott and Pope, Biometrika 1954) and never negative: a few blocks cannot show that. *doubt* is how many of its
    standard errors under independence are taken off it first. As the mean is that of the same blocks, the squares are
    short of ``I / B`` of themselves. Degrees of freedom: those of a variance with the same relative error.
    """
    blocks, total = len(sums), float(counts.sum())
    residual = sums - sums.sum() / total * counts
    squares = float((residual**2).sum())
    if squares == 0:
        return BlockVariance(variance=0.0, degrees=blocks - 1)
    alike = float((residual[1:] * residual[:-1]).sum()) / squares
    alike = min(ALIKE_MAX, max(0.0, alike + (1 + 4 * alike) / blocks - doubt / math.sqrt(blocks)))
    inflation = (1 + alike) / (1 - alike)
    apart = 1 - alike**2
    return BlockVariance(
        variance=inflation * squares / (1 - min(inflation / blocks, 0.5)) / total**2,
        degrees=blocks * apart / (apart + 2) if alike > 0 else blocks - 1,
    )


def too_short(requests: Window) -> str:
    """Why the window is too short to see the noise between stretches of time; "" when it is long enough."""
    if block_count(requests.duration_s) >= block_count(WINDOW_MIN_S):
        return ""
    return (
        f"the window of {requests.duration_s:.1f} s is too short: the noise between stretches of time needs at least "
        f"{WINDOW_MIN_S:.0f} s"
    )
