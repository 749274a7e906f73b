"""Draws docs/images/health-endpoint.svg: looks at a live health endpoint, and what a balancer would make of them.

    python scripts/endpoint_picture.py
    python scripts/endpoint_picture.py --record http://127.0.1.1:8000/healthz > docs/images/health-endpoint.json

The looks are `docs/images/health-endpoint.json`, recorded by the second form at a server of the lab that was stopped
(SIGSTOP) for 0.4 s and later for 2.5 s. Plain SVG, as in the reports (docs/adr/0007); nothing in it is drawn by hand.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading
import time
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from stormprobes._health_watch import Look, look_at
from stormprobes.health_endpoint import summarised

IMAGES = Path(__file__).parents[1] / "docs" / "images"
LOOKS, INTERVAL_S, TIMEOUT_S = 60, 0.2, 0.15
UNHEALTHY, HEALTHY = 3, 2
LEFT, TOP, WIDTH, HEIGHT = 90, 44, 760, 110
LOW_MS, HIGH_MS = 0.5, 300.0
FINE, BAD, MARK = "#b7dfc0", "#f0b3ab", "#1f5fa8"


def record(url: str) -> str:
    """The looks at *url*, as JSON: `sent_s` and `done_s` from the first look on, and `status`."""
    looks: list[Look] = []
    due, never = time.monotonic(), threading.Event()
    for _ in range(LOOKS):
        never.wait(max(0.0, due - time.monotonic()))
        looks.append(look_at(url, url, timeout_s=TIMEOUT_S))
        due = max(due + INTERVAL_S, time.monotonic())
    start_s = looks[0].sent_at
    rows = [
        {"sent_s": round(look.sent_at - start_s, 6), "done_s": round(look.done_at - start_s, 6), "status": look.status}
        for look in looks
    ]
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def picture(looks: list[Look]) -> str:
    """The document."""
    reading = summarised("recorded", looks, unhealthy_threshold=UNHEALTHY, healthy_threshold=HEALTHY)
    end_s = looks[-1].done_at
    bottom = TOP + HEIGHT
    ticks = "".join(
        f'<text x="{LEFT - 6}" y="{_y(value) + 4:.1f}" text-anchor="end">{value:g} ms</text>' for value in (1, 10, 100)
    )
    seconds = "".join(
        f'<text x="{_x(s, end_s):.1f}" y="{bottom + 58}" text-anchor="middle">{s}</text>'
        for s in range(0, int(end_s) + 1, 2)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {bottom + 84}" '
        'font-family="system-ui, sans-serif" font-size="11" fill="#333" role="img" '
        'aria-label="Looks at a health endpoint, and what a balancer would have said">'
        f'<rect width="100%" height="100%" fill="#fff"/>{ticks}'
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>'
        f"{_points(looks, end_s)}{_opinion(reading, end_s, bottom + 14)}{seconds}"
        f'<text x="{LEFT + WIDTH / 2}" y="{bottom + 76}" text-anchor="middle">seconds from the first look</text>'
        f"{_words(reading)}</svg>\n"
    )


def _points(looks: list[Look], end_s: float) -> str:
    """A look that was answered at its latency; one that was not is a cross at the time-out."""
    parts = []
    for look in looks:
        x, y = _x(look.sent_at, end_s), _y((look.done_at - look.sent_at) * 1000)
        if look.ok:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{MARK}"/>')
        else:
            cross = f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6"
            parts.append(f'<path d="{cross}" stroke="#7a1f14" stroke-width="1.5" fill="none"/>')
    return "".join(parts)


def _opinion(reading: dict[str, Any], end_s: float, y: float) -> str:
    """The state a balancer would have held, as a bar."""
    edges = [(0.0, True), *((change["after_s"], change["healthy"]) for change in reading["balancer"]["changes"])]
    ends = [*(at_s for at_s, _ in edges[1:]), end_s]
    bars = [
        f'<rect x="{_x(at_s, end_s):.1f}" y="{y}" width="{_x(until_s, end_s) - _x(at_s, end_s):.1f}" height="18" '
        f'fill="{FINE if healthy else BAD}"/>'
        for (at_s, healthy), until_s in zip(edges, ends, strict=True)
    ]
    marks = [
        f'<text x="{_x(at_s, end_s) + 4:.1f}" y="{y + 13}">{"healthy" if healthy else "unhealthy"}</text>'
        for at_s, healthy in edges
    ]
    return f'<text x="{LEFT - 6}" y="{y + 13}" text-anchor="end">balancer</text>{"".join(bars)}{"".join(marks)}'


def _words(reading: dict[str, Any]) -> str:
    share = reading["balancer"]["healthy_share"]
    first = (
        f"{reading['ok']} of {reading['looks']} looks ok, {reading['flips']} flips; "
        f"a balancer (unhealthy after {UNHEALTHY}, healthy after {HEALTHY}) would have called it healthy {share:.0%} "
        "of the time"
    )
    second = f"● answered 2xx, by latency   ✕ no answer in {TIMEOUT_S * 1000:g} ms"
    return f'<text x="{LEFT}" y="16" font-weight="600">{escape(first)}</text><text x="{LEFT}" y="34">{second}</text>'


def _x(at_s: float, end_s: float) -> float:
    return LEFT + WIDTH * at_s / end_s


def _y(latency_ms: float) -> float:
    share = math.log(min(HIGH_MS, max(LOW_MS, latency_ms)) / LOW_MS) / math.log(HIGH_MS / LOW_MS)
    return TOP + HEIGHT * (1 - share)


def main() -> None:
    """Draw, or record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", metavar="URL")
    options = parser.parse_args()
    if options.record is not None:
        sys.stdout.write(record(options.record))
        return
    rows = json.loads((IMAGES / "health-endpoint.json").read_text())
    looks = [Look(target="", sent_at=row["sent_s"], done_at=row["done_s"], status=row["status"]) for row in rows]
    (IMAGES / "health-endpoint.svg").write_text(picture(looks))


if __name__ == "__main__":
    main()
