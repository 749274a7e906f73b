"""Shares of requests at any time: an interval that may be looked at after every request, and acted on.

A confidence sequence: with 95 % it contains the truth at *all* sizes of the sample at once, so a run may be ended
because of what it shows (Robbins, Annals of Mathematical Statistics 41, 1970; Howard, Ramdas, McAuliffe and Sekhon,
Annals of Statistics 49, 2021). For k hits of n requests and a share p,

    E(p) = mean over λ of exp(λ k - n log(1 - p + p e^λ)),   λ from one fixed grid of one sign.

If request i hits with the chance p_i, given all before it, ``exp(λ k - Σ log(1 - p_i + p_i e^λ))`` is a martingale of
mean 1. As ``log(1 - p + p e^λ)`` is concave in p, the mean of n of them is at most that of the mean of the p_i (Jensen;
Hoeffding, JASA 58, 1963), so E at that mean is never larger than the mixture of martingales, and by Ville's inequality
``P(E ever reaches 1 / tail) <= tail``. Nothing is assumed of how the p_i change: the truth that is covered is *the
mean chance so far*, the window's own value given its bursts and levels, as in Clopper–Pearson.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.analysis.estimate import ALPHA_SIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    from stormproof.analysis.requests import Floats

    Numbers = float | Floats

ANY_TIME = "confidence sequence (mixture of binomial likelihood ratios)"
# What is told apart goes from a hundredth in the log odds (a median known to a quarter of a percent) to "never" against
# "one in a million". Each step costs a little certainty, a gap between steps as well.
_SLOPES = np.geomspace(0.01, 16.0, 24)
_SHRINK_UP, _SHRINK_DOWN = np.expm1(_SLOPES), np.expm1(-_SLOPES)
_STEPS = 60  # of halving [0, 1]: more than a float holds


def evidence_against_at_most(k: Numbers, n: Numbers, p: Numbers) -> Any:
    """The logarithm of E(p) against "the share is at most *p*": at least ``log(1 / tail)`` refutes it for good.

    Numbers, or arrays of one shape with one entry a look; the answer is what they are.
    """
    return _log_mean(np.multiply.outer(_SLOPES, k) - n * np.log1p(np.multiply.outer(_SHRINK_UP, p)))


def evidence_against_at_least(k: Numbers, n: Numbers, p: Numbers) -> Any:
    """The logarithm of E(p) against "the share is at least *p*"."""
    return _log_mean(-np.multiply.outer(_SLOPES, k) - n * np.log1p(np.multiply.outer(_SHRINK_DOWN, p)))


def share_sequence(k: float, n: float, *, tail: float = ALPHA_SIDE) -> tuple[float, float]:
    """The interval of a share, *k* of *n*, that holds at any time; *tail* is the chance left on each side.

    In place of `proportion.clopper_pearson`. ``n == 0`` knows nothing: (0, 1).
    """
    if n <= 0:
        return 0.0, 1.0
    return _low(k, n, tail), 1.0 - _low(n - k, n, tail)


def rank_sequence(n: int, p: float, *, tail: float = ALPHA_SIDE) -> tuple[int, int]:
    """The ranks, counted from 1, between which the quantile *p* of n values lies at any time.

    Below 1 and above n are no ranks: that end is not bounded yet. At a bound x the answer is that of the share of
    values above x (Howard and Ramdas, Bernoulli 28, 2022, look at all x at once; a claim has one).
    """
    enough = -math.log(tail)
    # Fewest values above x that show more than 1 - p of them to be, and most that show less.
    above_min = _first(lambda k: k > n * (1 - p) and evidence_against_at_most(k, n, 1 - p) >= enough, n)
    above_max = _first(lambda k: k >= n * (1 - p) or evidence_against_at_least(k, n, 1 - p) < enough, n) - 1
    return n - above_min + 1, n - above_max


def _low(k: float, n: float, tail: float) -> float:
    """The largest share that k of n rule out from above, by halving: the evidence falls in p."""
    enough = -math.log(tail)
    low, high = 0.0, k / n
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if evidence_against_at_most(k, n, middle) >= enough else (low, middle)
    return low


def _first(is_enough: Callable[[int], bool], n: int) -> int:
    """The smallest k of 0 … n for which *is_enough* is true, n + 1 when it never is; once true it stays so."""
    low, high = -1, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _log_mean(logs: Any) -> Any:
    """The logarithm of the mean over the slopes, the first axis."""
    top = logs.max(axis=0)
    return top + np.log(np.exp(logs - top).mean(axis=0))
