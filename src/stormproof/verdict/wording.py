"""How a reason writes a number: one way for every judge."""

from __future__ import annotations

import math

from stormproof.model.hypothesis import Unit


def quantity(value: float, unit: Unit) -> str:
    """*value* as people write it: ``99.53 %``, ``12.4 ms``, ``1.32x``; "not reached" for infinity."""
    if math.isinf(value):
        return "not reached"
    match unit:
        case Unit.SHARE:
            return f"{_digits(value * 100, 2)} %"
        case Unit.MILLISECONDS:
            return f"{_digits(value, 1)} ms"
        case Unit.SECONDS:
            return f"{_digits(value, 2)} s"
        case Unit.PER_SECOND:
            return f"{_digits(value, 1)}/s"
        case Unit.COUNT:
            return f"{value:.0f}"
        case Unit.RATIO:
            return f"{_digits(value, 3)}x"
        case Unit.WORD | Unit.NUMBER:
            return f"{value:g}"


def _digits(value: float, places: int) -> str:
    """*value* to *places* decimals, more where that would hide that it is not 0 or not 100."""
    text = f"{value:.{places}f}"
    if value not in {0.0, 100.0} and float(text) in {0.0, 100.0}:
        text = f"{value:.{places + 3}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
