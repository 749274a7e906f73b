"""When each run took place, as bars on one axis. Pure: numbers for a template, no text that is not ours."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from stormproof.suite.state import INTERRUPTED, SuiteState

WIDTH, LABEL_WIDTH, ROW_HEIGHT, BAR_HEIGHT = 1000.0, 190.0, 20.0, 12.0
TICKS_MAX = 8
STEPS_S = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One run."""

    x: float
    y: float
    width: float
    outcome: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Rows from top to bottom in the order in which they began."""

    width: float
    height: float
    rows: tuple[tuple[float, str], ...]  # y of the text, slug
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]  # x, text


def draw(state: SuiteState) -> Drawing | None:
    """The runs of *state* over time; None when there is none."""
    runs = sorted(
        (
            _seconds(one.started_at),
            _seconds(one.ended_at or one.started_at),
            item.entry.slug,
            one.outcome or INTERRUPTED,
        )
        for item in state.items
        for one in item.attempts
    )
    if not runs:
        return None
    zero, end = runs[0][0], max(one[1] for one in runs)
    scale = (WIDTH - LABEL_WIDTH) / max(end - zero, 1.0)
    slugs = list(dict.fromkeys(slug for _, _, slug, _ in runs))
    bars = tuple(
        Bar(
            x=round(LABEL_WIDTH + (start - zero) * scale, 2),
            y=slugs.index(slug) * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) / 2,
            width=round(max(2.0, (stop - start) * scale), 2),
            outcome=outcome,
            label=f"{slug}: {outcome}, {stop - start:.0f} s",
        )
        for start, stop, slug, outcome in runs
    )
    step = next((one for one in STEPS_S if (end - zero) / one <= TICKS_MAX), STEPS_S[-1])
    ticks = tuple(
        (round(LABEL_WIDTH + at * scale, 2), f"{at // 60}:{at % 60:02d}") for at in range(0, int(end - zero) + 1, step)
    )
    return Drawing(
        width=WIDTH,
        height=len(slugs) * ROW_HEIGHT + 22,
        rows=tuple((at * ROW_HEIGHT + ROW_HEIGHT / 2 + 4, slug) for at, slug in enumerate(slugs)),
        bars=bars,
        ticks=ticks,
    )


def _seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()
