"""One claim over the nights, as geometry: estimates with their intervals, the bound, and what was marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stormproof.history.series import Night
from stormproof.model.verdict import Outcome
from stormproof.report.chart import AXIS_PX, RIGHT_PX, SIZES, TOP_PX, Chart, keys_in_a_row
from stormproof.report.notation import clean, quantity
from stormproof.report.panel import LEFT_PX, Label, Shape
from stormproof.report.scale import Scale, log_range, log_ticks, ticks

HEIGHT_SHARE = 0.62  # of the height of a report's chart: a page has many
LOG_FROM = 20.0  # the largest over the smallest value from which an axis is logarithmic
BOUND_ROOM = 1.5  # how much of the picture's height the way to the bound may take, in spans of the data
DOT_PX = 3.2
UNTESTED = ("untested", "not tested")
FINDINGS = (Outcome.HELD, Outcome.REFUTED, Outcome.INCONCLUSIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something said of one night, drawn as a line; *place* counts nights from 0."""

    place: int
    css: str
    text: str


def trend_charts(claim: str, nights: Sequence[Night], *, number: str, marks: Sequence[Mark] = ()) -> tuple[Chart, ...]:
    """Both widths; nothing where no night has a number. *number* tells the charts of a page apart."""
    if not any(_value(night) is not None for night in nights):
        return ()
    return tuple(
        _chart(claim, nights, marks, ident=f"trend-{number}-{css}", css=css, width=width, height=height * HEIGHT_SHARE)
        for css, width, height in SIZES
    )


def _chart(
    claim: str, nights: Sequence[Night], marks: Sequence[Mark], *, ident: str, css: str, width: int, height: float
) -> Chart:
    newest = next(night.finding for night in reversed(nights) if _value(night) is not None and night.finding)
    bottom = TOP_PX + round(height)
    across = Scale(low=-0.5, high=len(nights) - 0.5, start_px=LEFT_PX, end_px=width - RIGHT_PX)
    up, y_ticks, note = _up(nights, newest.bound, bottom)
    rules = (up.px(newest.bound),) if newest.bound is not None and not note else ()
    unit = newest.unit
    bound = "" if newest.bound is None else f"dashed: {newest.op} {quantity(newest.bound, unit)}"
    return Chart(
        ident=ident,
        css=css,
        width=width,
        height=bottom + AXIS_PX,
        top=TOP_PX,
        bottom=bottom,
        title=clean(claim),
        summary=_summary(claim, nights, marks),
        x_name="night",
        y_name=note.format(bound=quantity(newest.bound, unit)) if note else bound,
        x_grid=_days(nights, across, bottom, about=max(3, width // 120)),
        y_grid=tuple(
            Label(x=LEFT_PX - 8, y=up.px(one), text=quantity(one, unit, apart_from=y_ticks), anchor="end")
            for one in y_ticks
        ),
        shapes=(
            *_whiskers(nights, across, up),
            *_dots(nights, across, up),
            *_untested(nights, across, bottom),
            *_lines(marks, across, bottom),
        ),
        keys=keys_in_a_row([*((f"dot {one}", one) for one in FINDINGS), UNTESTED], width=width, is_line=False),
        labels=tuple(_mark_label(mark, across, width) for mark in marks),
        rules=rules,
    )


def _value(night: Night) -> float | None:
    return night.finding.estimate if night.finding is not None else None


def _ends(night: Night) -> tuple[float, float] | None:
    """The interval that can be drawn; None where the night has no number."""
    value, finding = _value(night), night.finding
    if value is None or finding is None:
        return None
    low, high = finding.low, finding.high
    return (value if low is None else low, value if high is None else high)


def _up(nights: Sequence[Night], bound: float | None, bottom: float) -> tuple[Scale, list[float], str]:
    """The vertical scale, its ticks, and where the bound is when it would squash the rest."""
    values = [value for night in nights if (value := _value(night)) is not None]
    spans = [ends for night in nights if (ends := _ends(night)) is not None]
    lows, highs = min(low for low, _ in spans), max(high for _, high in spans)
    note = ""
    if lows > 0 and highs / lows >= LOG_FROM:
        within = [*values, lows, highs]
        if bound is not None and bound > 0:
            within.append(bound)
        low, high = log_range(within)
        return Scale(low=low, high=high, start_px=bottom, end_px=TOP_PX, log=True), log_ticks(low, high), note
    span = max(highs - lows, abs(highs) * 0.02, 1e-9)
    low, high = lows, highs
    if bound is not None:
        if abs(bound - min(max(bound, lows), highs)) <= BOUND_ROOM * span:
            low, high = min(low, bound), max(high, bound)
        else:
            note = "the bound of {bound} is " + ("above" if bound > highs else "below") + " the picture"
    span = max(high - low, abs(high) * 0.02, 1e-9)
    low, high = low - span * 0.08, high + span * 0.08
    if lows >= 0 > low:
        low = 0.0
    return Scale(low=low, high=high, start_px=bottom, end_px=TOP_PX), ticks(low, high, about=4), note


def _days(nights: Sequence[Night], across: Scale, bottom: float, *, about: int) -> tuple[Label, ...]:
    step = max(1, math.ceil(len(nights) / about))
    return tuple(
        Label(x=across.px(place), y=bottom, text=f"{nights[place].day:%d %b}") for place in range(0, len(nights), step)
    )


def _whiskers(nights: Sequence[Night], across: Scale, up: Scale) -> tuple[Shape, ...]:
    parts = []
    for place, night in enumerate(nights):
        if (ends := _ends(night)) is not None:
            parts.append(f"M{across.px(place):g} {up.px(ends[0]):g}V{up.px(ends[1]):g}")
    return (Shape(css="whisker", d="".join(parts), name="95 % interval"),)


def _dots(nights: Sequence[Night], across: Scale, up: Scale) -> tuple[Shape, ...]:
    shapes = []
    for outcome in FINDINGS:
        d = "".join(
            _dot(across.px(place), up.px(value))
            for place, night in enumerate(nights)
            if (value := _value(night)) is not None and night.finding is not None and night.finding.verdict is outcome
        )
        shapes.append(Shape(css=f"dot {outcome.value}", d=d, name=outcome.value))
    return tuple(shape for shape in shapes if shape.d)


def _untested(nights: Sequence[Night], across: Scale, bottom: float) -> tuple[Shape, ...]:
    """A hollow square on the axis for each night whose runs did not test the claim."""
    places = [place for place, night in enumerate(nights) if _value(night) is None]
    d = "".join(f"M{across.px(place) - 3:g} {bottom - 8:g}h6v6h-6z" for place in places)
    return (Shape(css=UNTESTED[0], d=d, name=UNTESTED[1]),) if d else ()


def _dot(x: float, y: float) -> str:
    return f"M{x - DOT_PX:g} {y:g}a{DOT_PX} {DOT_PX} 0 1 0 {2 * DOT_PX:g} 0a{DOT_PX} {DOT_PX} 0 1 0 {-2 * DOT_PX:g} 0"


def _lines(marks: Sequence[Mark], across: Scale, bottom: float) -> tuple[Shape, ...]:
    return tuple(
        Shape(css=f"mark {mark.css}", d=f"M{across.px(mark.place - 0.5):g} {TOP_PX:g}V{bottom:g}", name=mark.text)
        for mark in marks
    )


def _mark_label(mark: Mark, across: Scale, width: int) -> Label:
    x = across.px(mark.place - 0.5)
    ahead = x < width * 0.6
    return Label(x=x + (5 if ahead else -5), y=TOP_PX + 12, text=clean(mark.text), anchor="start" if ahead else "end")


def _summary(claim: str, nights: Sequence[Night], marks: Sequence[Mark]) -> str:
    told = [night.finding for night in nights if night.finding is not None]
    values = [(one.estimate, one.unit) for one in told if one.estimate is not None]
    first, last = values[0], values[-1]
    words = f"{clean(claim)} over {len(nights)} nights: {quantity(*first)} at first, {quantity(*last)} last"
    return "; ".join([words, *(f"night of {nights[mark.place].day}: {clean(mark.text)}" for mark in marks)]) + "."
