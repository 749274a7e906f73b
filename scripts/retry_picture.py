"""Draws docs/images/retry-waits.svg: the waits of four recorded clients, as points, and what the probe read off them.

    python scripts/retry_picture.py

Plain SVG, as in the reports (docs/adr/0007). The points are `tests/data/retry-traces/`; nothing in it is drawn by hand.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

SHOWN = ("tenacity_exponential", "cockatiel_full", "redis_util_equal", "redis_util_decorrelated")
WIDTH, HEIGHT, LEFT, TOP, GAP = 230, 170, 46, 56, 18
LOW_S, HIGH_S = 0.002, 1.5
CALLS = 60


def picture() -> str:
    """The document."""
    panels = [_panel(name, LEFT + i * (WIDTH + GAP)) for i, name in enumerate(SHOWN)]
    width = LEFT + len(SHOWN) * (WIDTH + GAP)
    ticks = "".join(
        f'<text x="{LEFT - 6}" y="{_y(value) + 4:.1f}" text-anchor="end">{label}</text>'
        for value, label in ((0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 40}" '
        'font-family="system-ui, sans-serif" font-size="11" fill="#333" role="img" '
        'aria-label="Waits before each retry of four clients">'
        '<rect width="100%" height="100%" fill="#fff"/>'
        f"{ticks}{''.join(panels)}</svg>\n"
    )


def _panel(name: str, left: float) -> str:
    from stormprobes.retries.arrivals import clean
    from stormprobes.retries.calls import by_op
    from stormprobes.retries.waits import measure
    from stormprobes.retry_with_jitter import identify_retries
    from support.retry_traces import some_calls, trace

    waits = measure(by_op(clean(some_calls(trace(name), CALLS))))
    reading = identify_retries(trace(name))
    deepest = int(waits.nth.max())
    points = []
    for call, nth, wait_s in zip(waits.call, waits.nth, waits.wait_s, strict=True):
        x = left + WIDTH * (nth - 0.5 + 0.6 * (int(call) / CALLS - 0.5)) / deepest
        points.append(f'<circle cx="{x:.1f}" cy="{_y(float(wait_s)):.1f}" r="1.5"/>')
    numbers = "".join(
        f'<text x="{left + WIDTH * (n - 0.5) / deepest:.1f}" y="{TOP + HEIGHT + 14}" text-anchor="middle">{n}</text>'
        for n in range(1, deepest + 1)
    )
    cap = "" if reading["cap_s"] is None else f", cap {reading['cap_s']:.2g} s"
    words = f"{reading['family']}, {reading['jitter']}"
    values = f"base {reading['base_s']:.2g} s, ×{reading['multiplier']:.2g}{cap}"
    return (
        f'<text x="{left}" y="{TOP - 36}" font-weight="600">{escape(name)}</text>'
        f'<text x="{left}" y="{TOP - 22}">{escape(words)}</text>'
        f'<text x="{left}" y="{TOP - 8}">{escape(values)}</text>'
        f'<rect x="{left}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>'
        f'<g fill="#1f6feb" fill-opacity="0.5">{"".join(points)}</g>{numbers}'
        f'<text x="{left + WIDTH / 2}" y="{TOP + HEIGHT + 30}" text-anchor="middle">retry</text>'
    )


def _y(wait_s: float) -> float:
    share = math.log(min(HIGH_S, max(LOW_S, wait_s)) / LOW_S) / math.log(HIGH_S / LOW_S)
    return TOP + HEIGHT * (1 - share)


if __name__ == "__main__":
    (ROOT / "docs" / "images" / "retry-waits.svg").write_text(picture())
