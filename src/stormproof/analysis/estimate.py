"""What a measurement comes to: a number, its 95 % two-sided interval, how many it rests on, and by what method."""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95
ALPHA_SIDE = (1 - CONFIDENCE) / 2  # the chance left on each side of an interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One measured number in the metric's own unit.

    *value* is None where there is none; then *reason* says why. *low* and *high* may still be known (a ratio to
    zero errors has a lower end and no value). *high* is `math.inf` where nothing bounds it.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    reason: str = ""  # why there is no value
    note: str = ""  # what the reader must know to read the numbers
    bounded_by_unknowns: bool = False  # the interval also spans what unknown rows could have been
    # The value if every unknown row were as low, or as high, as it can have been; None: there are none.
    value_least: float | None = None
    value_most: float | None = None
    degrees: float | None = None  # of freedom, where the variance was estimated from blocks


def no_estimate(reason: str, *, n: int = 0, method: str = "none") -> Estimate:
    """No number, and why. *n* is 0 only where there was nothing at all to count."""
    return Estimate(value=None, low=None, high=None, n=n, method=method, reason=reason)
