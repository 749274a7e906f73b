"""How long requests took, phase by phase: the share answered well within a time, on a log axis.

A request that failed was never answered well, so each curve ends at the share that succeeded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stormproof.analysis.grid import BINS, OK, edges_ms
from stormproof.report.chart import AXIS_PX, RIGHT_PX, SIZES, TOP_PX, Chart, keys_in_a_row, milliseconds
from stormproof.report.notation import quantity
from stormproof.report.panel import LEFT_PX, Label, Shape
from stormproof.report.scale import Scale, log_range, log_ticks

if TYPE_CHECKING:
    from stormproof.analysis.grid import Grid
    from stormproof.analysis.requests import Floats

N_MIN = 20  # fewer make steps that say nothing


def distribution_charts(grid: Grid | None) -> tuple[Chart, ...]:
    """Both widths; nothing when no phase has `N_MIN` requests."""
    curves = _curves(grid) if grid is not None else {}
    if not curves:
        return ()
    edges = edges_ms()
    used = [edges[np.flatnonzero(np.diff(curve, prepend=0.0))[[0, -1]] + np.array([0, 1])] for curve in curves.values()]
    low, high = log_range([float(edge) for pair in used for edge in pair])
    return tuple(_chart(curves, low, high, css=css, width=width, height=height) for css, width, height in SIZES)


def _curves(grid: Grid) -> dict[str, Floats]:
    """Phase → the share of all its requests that were answered well within each bin's upper edge."""
    return {
        phase: np.cumsum(counts[OK]) / counts.sum()
        for phase, counts in grid.phases.items()
        if counts.sum() >= N_MIN and counts[OK].any()
    }


def _chart(curves: dict[str, Floats], low: float, high: float, *, css: str, width: int, height: int) -> Chart:
    bottom = TOP_PX + height
    across = Scale(low=low, high=high, start_px=LEFT_PX, end_px=width - RIGHT_PX, log=True)
    up = Scale(low=0.0, high=1.0, start_px=bottom, end_px=TOP_PX)
    return Chart(
        ident=f"distribution-{css}",
        css=css,
        width=width,
        height=bottom + AXIS_PX,
        top=TOP_PX,
        bottom=bottom,
        title="Latency by phase",
        summary=_summary(curves),
        x_name="latency, log scale",
        y_name="answered well within",
        x_grid=tuple(
            # at the right edge a number in the middle of its line would be cut off
            Label(
                x=(x := across.px(one)), y=bottom, text=milliseconds(one), anchor="end" if x > width - 30 else "middle"
            )
            for one in log_ticks(low, high)
        ),
        y_grid=tuple(
            Label(x=LEFT_PX - 8, y=up.px(one), text=quantity(one, "share"), anchor="end")
            for one in (0.0, 0.25, 0.5, 0.75, 1.0)
        ),
        shapes=tuple(
            Shape(css=f"curve {phase}", d=_steps(curve, across, up), name=phase) for phase, curve in curves.items()
        ),
        keys=keys_in_a_row([(f"curve {phase}", phase) for phase in curves], width=width),
    )


def _steps(curve: Floats, across: Scale, up: Scale) -> str:
    """A step at the upper edge of each bin that holds a request; to the right edge at the end."""
    edges = edges_ms()
    steps = (
        f"H{across.px(float(edges[number + 1])):g}V{up.px(float(curve[number])):g}"
        for number in np.flatnonzero(np.diff(curve, prepend=0.0))
    )
    return f"M{across.start_px:g} {up.px(0.0):g}{''.join(steps)}H{across.end_px:g}"


def _summary(curves: dict[str, Floats]) -> str:
    edges = edges_ms()
    words = []
    for phase, curve in curves.items():
        ends = [
            f"{share:.0%} within {milliseconds(float(edges[number + 1]))}"
            for share in (0.5, 0.9, 0.99)
            if (number := int(np.searchsorted(curve, share))) < BINS
        ]
        words.append(f"{phase}: {', '.join([*ends, f'{curve[-1]:.2%} answered well at all'])}")
    return "Share of requests answered well within a time; " + "; ".join(words) + "."
