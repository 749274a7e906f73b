"""The small picture beside a finding: its interval, its estimate and the bound it is held against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormproof.report.notation import interval, quantity, sign
from stormproof.report.scale import Scale

if TYPE_CHECKING:
    from stormproof.model.verdict import Finding

WIDTH_PX, HEIGHT_PX = 168, 22
_MARGIN_PX = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalBar:
    """Pixels of one bar; None where the finding has no such number."""

    width: int
    height: int
    allowed_x: float  # left edge of the side on which the claim holds
    allowed_width: float
    bound_x: float
    low_x: float
    high_x: float
    open_low: bool  # the interval goes on beyond the picture
    open_high: bool
    estimate_x: float | None
    label: str  # for who cannot see it


def interval_bar(finding: Finding) -> IntervalBar | None:
    """The bar of *finding*, or None when it has no interval to show."""
    low, high = _finite(finding.low), _finite(finding.high)
    estimate, bound = _finite(finding.estimate), finding.bound
    if bound is None or (low is None and high is None):
        return None
    seen = [value for value in (low, high, estimate, bound) if value is not None and math.isfinite(value)]
    least, most = min(seen), max(seen)
    pad = (most - least) * 0.14 or abs(bound) * 0.1 or 1.0
    scale = Scale(low=least - pad, high=most + pad, start_px=0.0, end_px=float(WIDTH_PX))
    bound_x = scale.px(bound)
    holds_below = finding.op in {"<=", "<"}
    text = (
        f"estimate {quantity(estimate, finding.unit, apart_from=(bound,))}, "
        f"95 % interval {interval(low, high, finding.unit, bound=bound)}, "
        f"bound {sign(finding.op)} {quantity(bound, finding.unit)}"
    )
    return IntervalBar(
        width=WIDTH_PX,
        height=HEIGHT_PX,
        allowed_x=0.0 if holds_below else bound_x,
        allowed_width=round(bound_x if holds_below else WIDTH_PX - bound_x, 1),
        bound_x=bound_x,
        low_x=_MARGIN_PX if low is None else scale.px(low),
        high_x=WIDTH_PX - _MARGIN_PX if high is None else scale.px(high),
        open_low=low is None,
        open_high=high is None,
        estimate_x=None if estimate is None else scale.px(estimate),
        label=text,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
