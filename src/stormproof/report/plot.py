"""The time plot as geometry: three panels on one time axis, the fault window shaded, the fault's own marks above.

Nothing here knows of SVG syntax beyond the `d` of a path; `templates/plot.svg.j2` draws what this computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormproof.report.notation import offset, quantity
from stormproof.report.panel import LEFT_PX, Label, Panel, edges, failed_panel, latency_panel, rate_panel
from stormproof.report.scale import Scale, ticks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stormproof.model.verdict import Confirmation
    from stormproof.report.series import Series

LANES_MAX = 4  # faults whose marks are drawn; the tables have all
_RIGHT, _BAND, _LANE, _GAP, _AXIS = 14, 24, 18, 40, 34
_LETTER_PX = 6.2  # width of a letter at the size of the labels, a little generous


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One phase, over all panels."""

    phase: str
    x: float
    width: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One instant in the life of a fault."""

    x: float
    top: float
    label: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Hover:
    """What one bucket held, as a tool tip."""

    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Everything the template needs; sizes in pixels of the view box."""

    width: int
    height: float
    left: float
    right: float
    top: float
    bottom: float
    bands: tuple[Band, ...]
    marks: tuple[Mark, ...]
    panels: tuple[Panel, ...]
    axis: tuple[Label, ...]
    hovers: tuple[Hover, ...]
    summary: str
    ident: str


def draw(
    series: Series,
    *,
    windows: Mapping[str, tuple[float, float]],
    confirmations: Sequence[Confirmation],
    zero_s: float,
    width: int,
    panel_height: int,
    ident: str,
    hover: bool = True,
) -> Drawing:
    """Lay out the plot *width* pixels wide; *zero_s* is the Unix instant that the time axis calls 0."""
    ends = [edge for window in windows.values() for edge in window]
    time = Scale(
        low=min(series.start_s, *ends) if ends else series.start_s,
        high=max(series.end_s, *ends) if ends else series.end_s,
        start_px=LEFT_PX,
        end_px=width - _RIGHT,
    )
    marks, lanes = _marks(confirmations[:LANES_MAX], time)
    top = _BAND + lanes * _LANE
    makers = (rate_panel, failed_panel, latency_panel)
    panels = tuple(
        maker(series, time, top + _GAP * 0.7 + number * (panel_height + _GAP), float(panel_height))
        for number, maker in enumerate(makers)
    )
    bottom = panels[-1].top + panel_height
    return Drawing(
        width=width,
        height=round(bottom + _AXIS, 1),
        left=LEFT_PX,
        right=width - _RIGHT,
        top=top,
        bottom=bottom,
        bands=_bands(windows, confirmations, time),
        marks=marks,
        panels=panels,
        axis=time_axis(time, zero_s, bottom, about=max(3, width // 110)),
        hovers=_hovers(series, time, zero_s) if hover else (),
        summary=_summary(series, windows, zero_s),
        ident=ident,
    )


def _bands(
    windows: Mapping[str, tuple[float, float]], confirmations: Sequence[Confirmation], time: Scale
) -> tuple[Band, ...]:
    felt = any(one.felt for one in confirmations) or not confirmations
    bands = []
    for phase, (start, end) in windows.items():
        label = phase if phase != "fault" or felt else "fault (not felt)"
        x = time.px(start)
        wide = round(max(time.px(end) - x, 0.5), 1)
        fits = wide > _LETTER_PX * len(label) + 4
        bands.append(Band(phase=phase, x=x, width=wide, label=label if fits else ""))
    return tuple(bands)


def _marks(confirmations: Sequence[Confirmation], time: Scale) -> tuple[tuple[Mark, ...], int]:
    """Marks and how many lanes they take: a fault has one, or two where its words would run into each other."""
    marks: list[Mark] = []
    lane = 0
    for one in confirmations:
        pairs = (
            (("injected", one.injected_at, "end"), ("felt", one.felt_at, "start")),
            (("undone", one.undone_at, "end"), ("gone", one.gone_at, "start")),
        )
        placed = [
            [Label(x=time.px(at), y=0.0, text=text, anchor=anchor) for text, at, anchor in pair if at is not None]
            for pair in pairs
        ]
        if not any(placed):
            continue
        reach = max((_span(label, time)[1] for label in placed[0]), default=0.0)
        begins = min((_span(label, time)[0] for label in placed[1]), default=time.end_px)
        rows = [lane, lane if begins > reach + 6 else lane + 1]
        for labels, row in zip(placed, rows, strict=True):
            marks += [_mark(label, row, time) for label in labels]
        lane = rows[-1 if placed[1] else 0] + 1
    return tuple(marks), lane


def _mark(label: Label, row: int, time: Scale) -> Mark:
    y = _BAND + row * _LANE
    nudge = {"end": -5.0, "start": 5.0}[label.anchor]
    left, right = _span(label, time)
    anchor = "start" if left < 0 else "end" if right > time.end_px + _RIGHT else label.anchor
    if anchor != label.anchor:
        nudge = -nudge
    return Mark(
        x=label.x,
        top=y + 3,
        label=Label(x=round(label.x + nudge, 1), y=y + 13, text=label.text, anchor=anchor),
    )


def _span(label: Label, time: Scale) -> tuple[float, float]:
    """The pixels that a mark's word covers, before it is turned round at an edge."""
    wide = _LETTER_PX * len(label.text) + 6
    left = label.x - wide if label.anchor == "end" else label.x
    right = label.x if label.anchor == "end" else label.x + wide
    return (label.x, label.x + wide) if left < 0 else (left, min(right, time.end_px + _RIGHT + 1))


def time_axis(time: Scale, zero_s: float, bottom: float, *, about: int) -> tuple[Label, ...]:
    """Round offsets from *zero_s*, some *about* of them, in seconds, minutes or hours."""
    low, high = time.low - zero_s, time.high - zero_s
    if high - low > 7200:
        values, text = [3600 * hour for hour in ticks(low / 3600, high / 3600, about=about)], _hours
    elif high - low > 300:
        values, text = [60 * minute for minute in ticks(low / 60, high / 60, about=about)], _minutes
    else:
        values, text = ticks(low, high, about=about), _seconds
    return tuple(Label(x=time.px(zero_s + value), y=bottom, text=text(value)) for value in values)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:g} h"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min"


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s"


def _hovers(series: Series, time: Scale, zero_s: float) -> tuple[Hover, ...]:
    hovers = []
    for index, answered in enumerate(series.answered_per_s):
        left, right = edges(series, time, index)
        failed = sum(values[index] for values in series.failed_per_s.values())
        words = [
            f"{offset(series.start_s + index * series.bucket_s - zero_s)}",
            f"offered {quantity(series.offered_per_s[index], '/s')}",
            f"answered {quantity(answered, '/s')}",
            f"failed {quantity(failed, '/s')}",
            f"p50 {quantity(series.latency_ms_p50[index], 'ms')}",
            f"{series.tail} {quantity(series.latency_ms_tail[index], 'ms')}",
        ]
        hovers.append(Hover(x=left, width=round(right - left, 1), text=" · ".join(words)))
    return tuple(hovers)


def _summary(series: Series, windows: Mapping[str, tuple[float, float]], zero_s: float) -> str:
    """What the picture shows, for who cannot see it."""
    failed = [sum(column) for column in zip(*series.failed_per_s.values(), strict=True)]
    tails = [value for value in series.latency_ms_tail if value is not None]
    words = [
        f"{phase} from {offset(start - zero_s)} to {offset(end - zero_s)}" for phase, (start, end) in windows.items()
    ]
    words.append(f"highest answered rate {quantity(max(series.answered_per_s, default=0.0), '/s')}")
    words.append(f"highest failure rate {quantity(max(failed, default=0.0), '/s')}")
    words.append(f"highest {series.tail} {quantity(max(tails, default=None), 'ms')}")
    return "Requests, failures and latency over time: " + "; ".join(words) + "."
