"""Blocks of time: how the noise from one stretch to the next enters an interval.

Requests close in time share their fate, so they are not independent draws; counting them as such made a nominal 95 %
interval cover 85 % (docs/reference/estimands.md has the table). A window is cut into at most ten equal blocks of one
second or more, and the variance between blocks counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stormproof.analysis.requests import Floats, Ints, Requests

BLOCKS_MAX = 10  # more and shorter blocks would again be correlated with each other
BLOCKS_MIN = 5  # below, Student's t is so wide that nothing could be decided
BLOCK_S = 1.0


def block_count(duration_s: float) -> int:
    """How many blocks a window of *duration_s* seconds is cut into (rounded: 4.98 s are five blocks)."""
    return int(min(BLOCKS_MAX, round(duration_s / BLOCK_S)))


def block_of(requests: Requests, blocks: int) -> Ints:
    """The block number, 0 … *blocks* - 1, of each request."""
    position = (requests.scheduled_at - requests.start_s) / requests.duration_s * blocks
    return np.clip(position.astype(np.int64), 0, blocks - 1)


def ratio_variance(sums: Floats, counts: Floats) -> float:
    """The variance of ``sum(sums) / sum(counts)`` from its blocks: the linearised ratio estimator.

    ``B / (B - 1) * Σ r_b² / (Σ count_b)²`` with ``r_b = sum_b - R * count_b`` (Cochran, Sampling Techniques, 1977,
    6.3). Noise that outlasts a block makes neighbours alike and this too small, so twice the correlation of
    neighbouring blocks is added where it is positive; never taken away, as a few blocks cannot show that it should be.
    """
    blocks, total = len(sums), float(counts.sum())
    residual = sums - sums.sum() / total * counts
    squares = float((residual**2).sum())
    neighbours = float((residual[1:] * residual[:-1]).sum())
    return blocks / (blocks - 1) * (squares + 2 * max(0.0, neighbours)) / total**2


def too_few_blocks(requests: Requests) -> str:
    """Why the window is too short to see the noise between stretches of time; "" when it is long enough."""
    if block_count(requests.duration_s) >= BLOCKS_MIN:
        return ""
    return (
        f"the window of {requests.duration_s:.1f} s is too short: the noise between stretches of time needs at least "
        f"{BLOCKS_MIN * BLOCK_S:.0f} s"
    )
