"""Confidence: how sure the answer is on a scale from 0 to 1, and what limits it.

A confidence is a product of what the data say (posterior weight of the label, quality of the fit) and a ceiling
that only depends on how many calls bear on it, and rises with them: fewer calls, less confidence, whatever they
look like.
"""

from __future__ import annotations

import math

__all__ = ["ceiling", "rounded"]

SCARCITY = 0.42


def ceiling(calls: int) -> float:
    """The most that *calls* calls can give: 0.76 for 3, 0.87 for 10, 0.92 for 30, 0.96 for 100, 0.98 for 300."""
    return 0.0 if calls < 1 else 1.0 - SCARCITY / math.sqrt(calls)


def rounded(value: float) -> float:
    """To two digits, downwards: 0.8999 is not 0.9."""
    return math.floor(min(1.0, max(0.0, value)) * 100 + 1e-9) / 100
