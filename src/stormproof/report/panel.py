"""The three panels of the time plot: request rate, failures by kind, latency; each its axes and its paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stormproof.report.notation import clean, quantity
from stormproof.report.scale import Scale, log_range, log_ticks, ticks
from stormproof.report.series import Series

LEFT_PX = 58  # room for the numbers of the axes
_LABEL_MAX = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A word at a place; *anchor* is SVG's text-anchor."""

    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One path of a panel and the class that colours it."""

    css: str
    d: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One set of axes."""

    title: str
    unit: str
    top: float
    height: float
    grid: tuple[Label, ...]  # y is the line's, text its number
    shapes: tuple[Shape, ...]
    note: str = ""  # said in the middle when there is nothing to draw


def rate_panel(series: Series, time: Scale, top: float, height: float) -> Panel:
    """Offered as a line over the area of what was answered."""
    offered = [value for value in series.offered_per_s if value is not None]
    most = max([*offered, *series.answered_per_s, 1e-9]) * 1.12
    scale = Scale(low=0.0, high=most, start_px=top + height, end_px=top)
    shapes = [
        Shape(css="answered", d=_area(series.answered_per_s, series, time, scale), name="answered"),
        Shape(css="offered", d=_steps(series.offered_per_s, series, time, scale), name="offered"),
    ]
    return Panel(
        title="Requests",
        unit="per second",
        top=top,
        height=height,
        grid=_grid(scale, ticks(0.0, most, about=3), "count"),
        shapes=tuple(shape for shape in shapes if shape.d),
    )


def failed_panel(series: Series, time: Scale, top: float, height: float) -> Panel:
    """Failures, stacked by kind, the commonest below."""
    totals = [sum(column) for column in zip(*series.failed_per_s.values(), strict=True)]
    most = max([*totals, 1.0]) * 1.12
    scale = Scale(low=0.0, high=most, start_px=top + height, end_px=top)
    floor = [0.0] * len(totals)
    shapes: list[Shape] = []
    for number, (kind, values) in enumerate(series.failed_per_s.items()):
        ceiling = [low + value for low, value in zip(floor, values, strict=True)]
        shapes.append(
            Shape(
                css=f"failed-{number}",
                d=_columns(floor, ceiling, series, time, scale),
                name=clean(kind, limit=_LABEL_MAX),
            )
        )
        floor = ceiling
    return Panel(
        title="Failed",
        unit="per second",
        top=top,
        height=height,
        grid=_grid(scale, [tick for tick in ticks(0.0, most, about=3) if tick == int(tick)], "count"),
        shapes=tuple(shape for shape in shapes if shape.d),
        note="" if any(totals) else "no request failed",
    )


def latency_panel(series: Series, time: Scale, top: float, height: float) -> Panel:
    """The median and the tail, on a log scale."""
    values = [value for value in (*series.latency_ms_p50, *series.latency_ms_tail) if value is not None]
    low, high = log_range(values)
    scale = Scale(low=low, high=high, start_px=top + height, end_px=top, log=True)
    shapes = [
        Shape(css="tail", d=_line(series.latency_ms_tail, series, time, scale), name=series.tail),
        Shape(css="median", d=_line(series.latency_ms_p50, series, time, scale), name="p50"),
    ]
    return Panel(
        title="Latency",
        unit="log scale",
        top=top,
        height=height,
        grid=_grid(scale, log_ticks(low, high), "ms"),
        shapes=tuple(shape for shape in shapes if shape.d),
        note="" if values else "no latency was measured",
    )


def _grid(scale: Scale, values: Sequence[float], unit: str) -> tuple[Label, ...]:
    def text(value: float) -> str:
        if unit != "ms":
            return f"{value:,g}"
        return quantity(value / 1000, "s") if value >= 1000 else quantity(value, "ms")

    return tuple(Label(x=LEFT_PX - 8, y=scale.px(value), text=text(value), anchor="end") for value in values)


def edges(series: Series, time: Scale, index: int) -> tuple[float, float]:
    """The pixels at which a bucket begins and ends."""
    start = series.start_s + index * series.bucket_s
    return time.px(start), time.px(start + series.bucket_s)


def _runs(values: Sequence[float | None]) -> list[list[int]]:
    """Stretches of indexes without a gap."""
    runs: list[list[int]] = []
    for index, value in enumerate(values):
        if value is None:
            continue
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def _path(values: Sequence[float | None], place: Callable[[int, float], str]) -> str:
    parts = []
    for run in _runs(values):
        steps = [place(index, value) for index in run if (value := values[index]) is not None]
        parts.append("M" + "L".join(steps))
    return "".join(parts)


def _line(values: Sequence[float | None], series: Series, time: Scale, scale: Scale) -> str:
    """A line through the middle of the buckets; a lone bucket is a short dash, or it would not be seen."""

    def place(index: int, value: float) -> str:
        left, right = edges(series, time, index)
        return f"{(left + right) / 2:.1f} {scale.px(value)}"

    path = _path(values, place)
    lone = [run[0] for run in _runs(values) if len(run) == 1]
    return path + "".join(
        f"M{edges(series, time, index)[0]} {scale.px(values[index] or 0)}H{edges(series, time, index)[1]}"
        for index in lone
    )


def _steps(values: Sequence[float | None], series: Series, time: Scale, scale: Scale) -> str:
    def place(index: int, value: float) -> str:
        left, right = edges(series, time, index)
        y = scale.px(value)
        return f"{left} {y}L{right} {y}"

    return _path(values, place)


def _area(values: Sequence[float], series: Series, time: Scale, scale: Scale) -> str:
    if not any(values):
        return ""
    top = _steps(values, series, time, scale)
    left, right = edges(series, time, 0)[0], edges(series, time, len(values) - 1)[1]
    return f"{top}L{right} {scale.start_px}L{left} {scale.start_px}Z"


def _columns(floor: Sequence[float], ceiling: Sequence[float], series: Series, time: Scale, scale: Scale) -> str:
    parts = []
    for index, (low, high) in enumerate(zip(floor, ceiling, strict=True)):
        if high > low:
            left, right = edges(series, time, index)
            gap = 0.5 if right - left > 3 else 0.0
            # a single failure must stay visible beside a hundred: never thinner than a pixel and a half
            y_low = scale.px(low)
            y_high = min(scale.px(high), round(y_low - 1.5, 1))
            parts.append(f"M{left + gap:.1f} {y_low}V{y_high}H{right - gap:.1f}V{y_low}Z")
    return "".join(parts)
