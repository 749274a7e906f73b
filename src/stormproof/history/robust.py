"""A level and a spread that a few odd nights do not move, on a scale on which a claim's noise is even.

Latencies, rates and ratios vary in proportion, so their logarithm is taken; the square root's arcsine evens out shares
and the square root counts (Bartlett, Biometrics 1947).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

MAD_TO_SD = 1.4826  # of a normal distribution
DECILE_TO_SD = 1.6449  # the same
MEDIAN_VARIANCE = math.pi / 2  # of a median over n, in variances over n; a normal distribution's
LEAST = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How numbers of one unit are compared; *least_sd* is a spread below which nobody cares, on that scale."""

    to: Callable[[float], float]
    back: Callable[[float], float]
    least_sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Where a series was, and how much it moves from night to night, on its scale."""

    median: float
    sd: float
    n: int

    def z(self, value: float, error: float = 0.0) -> float:
        """How many spreads *value* is away, with what is not known of the median counted in.

        *error* is the standard error of *value* itself, where it is larger than nights differ.
        """
        return (value - self.median) / math.sqrt(max(self.sd, error) ** 2 + self.sd**2 * MEDIAN_VARIANCE / self.n)


def _log(value: float) -> float:
    return math.log(max(value, LEAST))


def _share(value: float) -> float:
    return math.asin(math.sqrt(min(max(value, 0.0), 1.0)))


def _from_share(angle: float) -> float:
    return math.sin(min(max(angle, 0.0), math.pi / 2)) ** 2


_PROPORTIONAL = Scale(to=_log, back=math.exp, least_sd=0.02)
_SCALES: Mapping[str, Scale] = {
    "ms": _PROPORTIONAL,
    "ratio": _PROPORTIONAL,
    "/s": _PROPORTIONAL,
    # Seconds of one detection or recovery: a fifth of a second more is nothing, whatever it was before.
    "s": Scale(to=lambda value: math.log1p(max(value, 0.0)), back=math.expm1, least_sd=0.05),
    "share": Scale(to=_share, back=_from_share, least_sd=0.005),
    "count": Scale(to=lambda value: math.sqrt(max(value, 0.0)), back=lambda root: root**2, least_sd=0.25),
}


def scale_of(unit: str) -> Scale:
    """The scale for numbers in *unit*; of an unknown one, proportions."""
    return _SCALES.get(unit, _PROPORTIONAL)


def spread(residuals: Sequence[float]) -> float:
    """The standard deviation that absolute residuals point at: their median, or their ninth decile if that says more.

    The median with the correction for few values of Croux and Rousseeuw (COMPSTAT 1992): n / (n - 0.8). It is zero for
    a series that is nearly always the same and sometimes another (a recovery of 0 s or of 1 s); the decile is not.
    """
    n = len(residuals)
    if n < 2:
        return 0.0
    sizes = sorted(abs(one) for one in residuals)
    by_median = MAD_TO_SD * median(sizes) * n / (n - 0.8)
    return max(by_median, sizes[math.ceil(0.9 * n) - 1] / DECILE_TO_SD)
