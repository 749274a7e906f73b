"""U(r·c, c) → "±20 % of 50 ms": which nominal wait and which percentages a client's author had in mind.

The data give only the two ends. ⅔ is ±20 %, and is +50 % as well; what decides is how usual the percentages are
(`jitter.PROPORTIONS`, usual first) and how round the base is. What cannot be decided lowers the certainty of the base.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stormprobes.retries.jitter import PROPORTIONS

__all__ = ["Proportion", "proportion_of", "roundness"]

RATIO_TOLERANCE = 0.012
RANK_COST = 0.15
DIGIT_COST = 0.8
UNUSUAL_COST = 4.0  # percentages that nobody is known to use: with few waits the likelier reason is chance
LEAST_USUAL_RATIO = min((1 - minus) / (1 + plus) for minus, plus in PROPORTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """The wait is nominal·U(1 − minus, 1 + plus). *certainty* of the nominal value, *log_weight* of being
    proportional.
    """

    minus: float
    plus: float
    certainty: float
    log_weight: float


def proportion_of(ratio: float, high_s: float, deepest: int) -> Proportion:
    """The likeliest reading of ends *ratio*·*high_s* and *high_s*; *deepest* is the number of retries seen."""
    tolerance = RATIO_TOLERANCE * (2.0 if deepest < 3 else 1.0)
    found = []
    for rank, (minus, plus) in enumerate(PROPORTIONS):
        error = abs(ratio - (1 - minus) / (1 + plus))
        if error <= tolerance:
            base = high_s / (1 + plus)
            found.append((rank * RANK_COST + DIGIT_COST * roundness(base) + 2 * error / tolerance, minus, plus))
    if not found:
        half = (1 - ratio) / (1 + ratio)  # the middle, and as much on both sides
        # Below all that is usual it is hardly told from full jitter whose least waits were not drawn.
        cost = UNUSUAL_COST + 2.0 * max(0.0, math.log(LEAST_USUAL_RATIO / max(ratio, 1e-6)))
        return Proportion(minus=round(half, 3), plus=round(half, 3), certainty=0.5, log_weight=-cost)
    found.sort()
    cost, minus, plus = found[0]
    rivals = sum(math.exp(cost - other) for other, _, p in found[1:] if abs((1 + p) / (1 + plus) - 1) > 0.1)
    return Proportion(minus=minus, plus=plus, certainty=1 / (1 + rivals), log_weight=0.0)


def roundness(value: float) -> int:
    """Digits that a person would have to write for *value*, within 1.5 %: 0 for one (0.05), 1 for two (0.25), 2
    for more.
    """
    if value <= 0:
        return 2
    scale = 10.0 ** math.floor(math.log10(value))
    for digits in (0, 1):
        step = scale / 10**digits
        if abs(round(value / step) * step / value - 1) < 0.015:
            return digits
    return 2
