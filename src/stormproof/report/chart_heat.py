"""Latency over time as a heat map: how many requests of each moment took how long, and above them how many failed.

Cells are counts of counts: columns and rows are few whatever the size of the run, and neighbours of one shade are
drawn as one, so that the page stays small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormproof.analysis.grid import BINS, FAILED, OK, edges_ms
from stormproof.report.chart import AXIS_PX, RIGHT_PX, SIZES, TOP_PX, Chart, keys_in_a_row, milliseconds
from stormproof.report.notation import count, offset
from stormproof.report.panel import LEFT_PX, Label, Shape
from stormproof.report.plot import time_axis
from stormproof.report.scale import Scale, log_ticks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stormproof.analysis.grid import Grid
    from stormproof.analysis.requests import Floats, Ints

COLUMNS_MAX = {"wide": 150, "narrow": 75}
ROWS_MAX = 28
SHADES = 5
STRIP_PX, GAP_PX = 14.0, 6.0  # of the failed ones, above the map


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cells:
    """Counts by column and row, and where these lie."""

    edges_s: Floats
    edges_ms: Floats
    ok: Ints  # [column, row]
    failed: Ints  # [column]


def heat_charts(
    grid: Grid | None, windows: Mapping[str, tuple[float, float]], zero_s: float | None
) -> tuple[Chart, ...]:
    """Both widths; nothing without a request."""
    if grid is None or zero_s is None or not grid.slots.any():
        return ()
    return tuple(
        _chart(_cells(grid, COLUMNS_MAX[css]), windows, zero_s, css=css, width=width, height=height)
        for css, width, height in SIZES
    )


def _cells(grid: Grid, columns_max: int) -> _Cells:
    slots = len(grid.slots)
    together = -(-slots // columns_max)
    starts = np.arange(0, slots, together)
    columns = np.add.reduceat(grid.slots, starts, axis=0)
    used = np.flatnonzero(columns[:, OK].any(axis=0))
    low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, BINS)
    step = -(-(high - low) // ROWS_MAX)
    rows = np.arange(low, high, step)
    edges = edges_ms()
    return _Cells(
        edges_s=grid.edges_s[np.append(starts, slots)],
        edges_ms=edges[np.append(rows, min(rows[-1] + step, BINS))],
        ok=np.add.reduceat(columns[:, OK, :high], rows, axis=1),
        failed=columns[:, FAILED].sum(axis=1),
    )


def _chart(
    cells: _Cells, windows: Mapping[str, tuple[float, float]], zero_s: float, *, css: str, width: int, height: int
) -> Chart:
    top = TOP_PX + STRIP_PX + GAP_PX
    bottom = TOP_PX + height
    across = Scale(
        low=float(cells.edges_s[0]), high=float(cells.edges_s[-1]), start_px=LEFT_PX, end_px=width - RIGHT_PX
    )
    low, high = float(cells.edges_ms[0]), float(cells.edges_ms[-1])
    up = Scale(low=low, high=high, start_px=bottom, end_px=top, log=True)
    most = int(max(cells.ok.max(initial=0), cells.failed.max(initial=0)))
    bounds = _bounds(most)
    strip = (round(TOP_PX + STRIP_PX, 1), TOP_PX)
    shapes = [
        Shape(css=f"heat-{shade}", d=_squares(cells, cells.ok, shade, bounds, across, up), name="answered")
        for shade in range(SHADES)
    ]
    failed = cells.failed[:, np.newaxis]
    shapes += [
        Shape(css=f"fail-{shade}", d=_squares(cells, failed, shade, bounds, across, strip), name="failed")
        for shade in range(SHADES)
    ]
    fault = windows.get("fault")
    return Chart(
        ident=f"heat-{css}",
        css=css,
        width=width,
        height=bottom + AXIS_PX,
        top=TOP_PX,
        bottom=bottom,
        title="Latency over time",
        summary=_summary(cells, zero_s),
        x_name="since load",
        y_name="latency, log scale; failed requests in the strip above",
        x_grid=time_axis(across, zero_s, bottom, about=max(3, width // 110)),
        y_grid=(
            *(Label(x=LEFT_PX - 8, y=up.px(one), text=milliseconds(one), anchor="end") for one in log_ticks(low, high)),
            Label(x=LEFT_PX - 8, y=TOP_PX + STRIP_PX / 2, text="failed", anchor="end"),
        ),
        shapes=tuple(shape for shape in shapes if shape.d),
        keys=keys_in_a_row(_legend(bounds), width=width, is_line=False),
        bands=((across.px(fault[0]), round(across.px(fault[1]) - across.px(fault[0]), 1)),) if fault else (),
    )


def _bounds(most: int) -> Ints:
    """The least count of each shade: 1, then equal factors up to the largest; a shade may be empty."""
    return np.ceil(max(most, SHADES) ** (np.arange(SHADES) / SHADES) - 1e-9).astype(np.int64)


def _legend(bounds: Ints) -> list[tuple[str, str]]:
    ends = [*(int(one) - 1 for one in bounds[1:]), None]
    found = []
    for shade, (least, most) in enumerate(zip(bounds, ends, strict=True)):
        if most is None:
            found.append((f"heat-{shade}", f"{count(int(least))}+"))
        elif most >= least:
            found.append(
                (f"heat-{shade}", count(int(least)) if most == least else f"{count(int(least))}–{count(most)}")
            )
    return found


def _squares(
    cells: _Cells, counts: Ints, shade: int, bounds: Ints, across: Scale, up: Scale | tuple[float, float]
) -> str:
    """The cells of one shade; neighbours in time are one rectangle."""
    level = np.searchsorted(bounds, counts, side="right") - 1
    parts = []
    for row in range(counts.shape[1]):
        if isinstance(up, Scale):
            bottom, top = up.px(float(cells.edges_ms[row])), up.px(float(cells.edges_ms[row + 1]))
        else:
            bottom, top = up
        chosen = np.concatenate([[False], (level[:, row] == shade), [False]])
        turns = np.flatnonzero(chosen[1:] != chosen[:-1])
        for first, last in zip(turns[::2], turns[1::2], strict=True):
            left, right = across.px(float(cells.edges_s[first])), across.px(float(cells.edges_s[last]))
            parts.append(f"M{left:g} {bottom:g}H{right:g}V{top:g}H{left:g}Z")
    return "".join(parts)


def _summary(cells: _Cells, zero_s: float) -> str:
    longest = int(np.flatnonzero(cells.ok.any(axis=0))[-1]) if cells.ok.any() else 0
    column = int(np.argmax(cells.ok[:, longest])) if cells.ok.any() else 0
    longest_ms, at = milliseconds(float(cells.edges_ms[-1])), offset(float(cells.edges_s[column]) - zero_s)
    words = [f"Requests by latency and time; the longest answer took up to {longest_ms}, about {at}"]
    if cells.failed.any():
        worst = int(np.argmax(cells.failed))
        words.append(
            f"most failed about {offset(float(cells.edges_s[worst]) - zero_s)}: {count(int(cells.failed[worst]))} in "
            f"{float(cells.edges_s[worst + 1] - cells.edges_s[worst]):.3g} s"
        )
    else:
        words.append("no request failed")
    return "; ".join(words) + "."
