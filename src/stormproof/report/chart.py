"""A plot with one pair of axes as geometry; `templates/chart.svg.j2` draws what the makers of charts compute."""

from __future__ import annotations

from dataclasses import dataclass

from stormproof.report.notation import quantity
from stormproof.report.panel import LEFT_PX, Label, Shape

RIGHT_PX, TOP_PX, AXIS_PX = 14.0, 34.0, 46.0
SIZES = (("wide", 1000, 260), ("narrow", 440, 230))  # letters in a picture shrink with it: two widths of the same plot


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One entry of the legend: a line in the shape's own dashes, or a square, and its name."""

    css: str
    x: float
    text: str
    is_line: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Everything the template needs; sizes in pixels of the view box. Texts are foreign and are escaped there."""

    ident: str  # unique in the page
    css: str  # wide or narrow
    width: int
    height: float
    top: float
    bottom: float
    title: str  # what it is, in a few words
    summary: str  # what it shows, for who cannot see it
    x_name: str
    y_name: str
    x_grid: tuple[Label, ...]
    y_grid: tuple[Label, ...]
    shapes: tuple[Shape, ...]
    keys: tuple[Key, ...]
    labels: tuple[Label, ...] = ()  # words beside a line
    bands: tuple[tuple[float, float], ...] = ()  # the fault window: x, width
    rules: tuple[float, ...] = ()  # horizontal bounds: y

    @property
    def left(self) -> float:
        """The left edge of the axes."""
        return float(LEFT_PX)

    @property
    def right(self) -> float:
        """The right edge of the axes."""
        return self.width - RIGHT_PX


def keys_in_a_row(entries: list[tuple[str, str]], *, width: int, is_line: bool = True) -> tuple[Key, ...]:
    """Legend entries (css, text) side by side from the left; those that do not fit the width are left out."""
    found, x = [], float(LEFT_PX)
    for css, text in entries:
        room = 30.0 + 6.4 * len(text) + 16.0
        if x + room > width:
            break
        found.append(Key(css=css, x=round(x, 1), text=text, is_line=is_line))
        x += room
    return tuple(found)


def milliseconds(value_ms: float) -> str:
    """A latency as an axis prints it: seconds from one second on."""
    return quantity(value_ms / 1000, "s") if value_ms >= 1000 else quantity(value_ms, "ms")
