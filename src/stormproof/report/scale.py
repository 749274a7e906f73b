"""From values to pixels, and where the round numbers are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A straight or logarithmic map from [low, high] to [start_px, end_px]; values outside are held at the edge."""

    low: float
    high: float
    start_px: float
    end_px: float
    log: bool = False

    def px(self, value: float) -> float:
        """Where *value* lies, to a tenth of a pixel."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start_px + share * (self.end_px - self.start_px), 1)


def ticks(low: float, high: float, *, about: int = 4) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], some *about* of them."""
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return [low]
    rough = span / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def log_ticks(low: float, high: float, *, at_most: int = 5) -> list[float]:
    """1, 2, 5 times powers of ten within [low, high]; only the powers of ten when that were more than *at_most*."""
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [
            round(factor * 10.0**power, 6)
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for factor in factors
            if low <= factor * 10.0**power * 1.000001 and factor * 10.0**power <= high * 1.000001
        ]
        if len(found) <= at_most:
            return found
    return found[:: math.ceil(len(found) / at_most)]


def log_range(values: Sequence[float]) -> tuple[float, float]:
    """The least [1, 2 or 5 times a power of ten, the same] that holds all *values*, at least a factor of ten wide."""
    positive = [value for value in values if value > 0 and math.isfinite(value)]
    if not positive:
        return 1.0, 10.0
    low, high = _round_down(max(0.01, min(positive))), _round_up(max(*positive, 0.02))
    while high / low < 10:
        high = _round_up(high * 1.01)
    return low, high


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(power * factor for factor in (1, 2, 5) if power * factor <= value * 1.000001)


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min(power * factor for factor in (1, 2, 5, 10) if power * factor >= value * 0.999999)
