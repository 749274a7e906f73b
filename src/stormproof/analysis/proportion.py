"""Shares of requests: Clopper–Pearson, exact within the window or with the noise between blocks of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stormproof.analysis.block import block_count, block_of, ratio_variance, too_few_blocks
from stormproof.analysis.distribution import beta_quantile, normal_quantile, student_t_quantile
from stormproof.analysis.estimate import ALPHA_SIDE, Estimate, no_estimate

if TYPE_CHECKING:
    from stormproof.analysis.requests import Bools, Requests

EXACT = "Clopper–Pearson"
BLOCKED = "Clopper–Pearson on the effective n between blocks (Korn–Graubard)"


def clopper_pearson(k: float, n: float, *, tail: float = ALPHA_SIDE) -> tuple[float, float]:
    """The exact two-sided interval of a share, *k* of *n* (Clopper and Pearson, Biometrika 1934): 95 % by default.

    *tail* is the chance left on each side.
    *k* and *n* need not be whole: an effective sample size is not. ``n == 0`` knows nothing: (0, 1).
    """
    if n <= 0:
        return 0.0, 1.0
    low = 0.0 if k <= 0 else beta_quantile(tail, k, n - k + 1)
    high = 1.0 if k >= n else beta_quantile(1 - tail, k + 1, n - k)
    return low, high


def share(k: int, n: int, *, unknown_out: int = 0, unknown_in: int = 0, tail: float = ALPHA_SIDE) -> Estimate:
    """The share *k* of *n*, and its exact interval.

    Of rows that may or may not belong to the *n*, *unknown_out* would not count and *unknown_in* would: the lower
    end takes all of the first in, the upper end all of the second.
    """
    if n == 0:
        return no_estimate("no requests", method=EXACT)
    low, _ = clopper_pearson(k, n + unknown_out, tail=tail)
    _, high = clopper_pearson(k + unknown_in, n + unknown_in, tail=tail)
    return Estimate(
        value=k / n, low=low, high=high, n=n, method=EXACT, bounded_by_unknowns=bool(unknown_out or unknown_in)
    )


def share_between_blocks(
    requests: Requests, hit: Bools, *, unknown_out: int = 0, unknown_in: int = 0, tail: float = ALPHA_SIDE
) -> Estimate:
    """The share of *requests* that are *hit*, its interval widened by the noise between blocks of time.

    The design effect is the variance between blocks over the binomial one, never below 1; the effective n is
    ``n / deff * (z / t)²`` with Student's t at blocks - 1; then Clopper–Pearson (Korn and Graubard, Survey
    Methodology 1998).
    """
    n, k = requests.n, int(np.count_nonzero(hit))
    if n == 0:
        return no_estimate("no requests", method=BLOCKED)
    short = too_few_blocks(requests)
    if short:
        return no_estimate(short, n=n, method=BLOCKED)
    shrink = effective_n(requests, hit, tail=tail) / n
    low, _ = clopper_pearson(k * shrink, (n + unknown_out) * shrink, tail=tail)
    _, high = clopper_pearson((k + unknown_in) * shrink, (n + unknown_in) * shrink, tail=tail)
    return Estimate(
        value=k / n, low=low, high=high, n=n, method=BLOCKED, bounded_by_unknowns=bool(unknown_out or unknown_in)
    )


def effective_n(requests: Requests, hit: Bools, *, p: float | None = None, tail: float = ALPHA_SIDE) -> float:
    """How many independent requests the *hit* share is worth; *p* where the share is known beforehand."""
    n, blocks = requests.n, block_count(requests.duration_s)
    number = block_of(requests, blocks)
    counts = np.bincount(number, minlength=blocks).astype(np.float64)
    hits = np.bincount(number, weights=hit, minlength=blocks).astype(np.float64)
    seen = float(np.count_nonzero(hit)) / n
    binomial = (p if p is not None else seen) * (1 - (p if p is not None else seen)) / n
    between = ratio_variance(hits, counts)
    design_effect = max(1.0, between / binomial) if binomial > 0 else 1.0
    z = normal_quantile(1 - tail)
    t = student_t_quantile(1 - tail, blocks - 1)
    return n / design_effect * (z / t) ** 2
