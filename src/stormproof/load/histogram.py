"""Latency as counts in log-linear bins: what a worker streams ten times a second.

32 bins an octave; a value read back is the middle of its bin and is within 1.6 % of the truth. Only progress and
stop conditions use this; findings come from the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

BINS_PER_OCTAVE = 32
LATENCY_MS_MIN = 2.0**-10  # a microsecond: what is faster shares the lowest bin
# A positive float32 read as an integer is its exponent (with this bias, for a mantissa in [0.5, 1)) and 23 bits of
# mantissa: without the last 18 it counts 32 steps an octave.
FLOAT32_BIAS, FLOAT32_SHIFT = 126, 18
assert 1 << (23 - FLOAT32_SHIFT) == BINS_PER_OCTAVE


def bin_of(latency_ms: float) -> int:
    """The bin that *latency_ms* falls in."""
    mantissa, exponent = math.frexp(max(latency_ms, LATENCY_MS_MIN))  # mantissa in [0.5, 1)
    return exponent * BINS_PER_OCTAVE + int((mantissa - 0.5) * (2 * BINS_PER_OCTAVE))


def middle_ms(number: int) -> float:
    """The latency in the middle of a bin, ms."""
    exponent, step = divmod(number, BINS_PER_OCTAVE)
    return math.ldexp(0.5 + (step + 0.5) / (2 * BINS_PER_OCTAVE), exponent)


def quantile_ms(counts: Mapping[int, int], quantile: float) -> float | None:
    """The *quantile* (0 … 1) of the counted latencies in ms, None when nothing was counted.

    The smallest bin at or below which at least that share of the values lie (inverse empirical distribution).
    """
    total = sum(counts.values())
    if total == 0:
        return None
    rank = max(1, math.ceil(quantile * total - 1e-9))
    seen = 0
    for number in sorted(counts):
        seen += counts[number]
        if seen >= rank:
            return middle_ms(number)
    raise AssertionError("unreachable: the counts add up to the total")
