"""Draws docs/images/health-check.svg: what `health_check` reads off the run that is committed under reports/sample.

    python scripts/health_picture.py

The instants around the onset and the end of the fault: the balancer's opinion of each target, look by look; the time in
which the targets of the broken zone were broken; each request that a zone answered. Plain SVG, as in the reports
(docs/adr/0007); everything in it is read from the run directory.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from stormprobes._history import Fault, History
from stormprobes._run_record import history_of
from stormprobes.health_check import health_reading

ROOT = Path(__file__).parents[1]
(RUN,) = (ROOT / "reports" / "sample" / "az-loss").iterdir()

LEFT, TOP, PANEL, GAP, ROW = 96, 54, 380, 24, 22
BEFORE_S, AFTER_S = 0.5, 2.5  # around the onset, and around the end
FINE, BAD, BROKEN, MARK = "#b7dfc0", "#f0b3ab", "#7a1f14", "#1f5fa8"


class Panel:
    """A stretch of the run, from *start_s*, whose left edge is at *left*."""

    def __init__(self, start_s: float, left: float) -> None:
        self.start_s, self.end_s, self.left = start_s, start_s + BEFORE_S + AFTER_S, left

    def x(self, at_s: float) -> float:
        """Where an instant is; what lies outside is at the edge."""
        share = (at_s - self.start_s) / (self.end_s - self.start_s)
        return self.left + PANEL * min(1.0, max(0.0, share))

    def bar(self, low_s: float, high_s: float, y: float, height: float, fill: str) -> str:
        """A rectangle from one instant to another, if any of it is inside."""
        left, right = self.x(low_s), self.x(high_s)
        return f'<path d="M{left:.1f} {y}H{right:.1f}v{height}H{left:.1f}z" fill="{fill}"/>' if right > left else ""


def picture() -> str:
    """The document."""
    history = history_of(RUN)
    fault = history.faults[0]
    reading = health_reading(history)
    assert fault.end_low_s is not None, "the sample run has undone its fault"
    rows = sorted(history.targets, key=lambda target: (history.group_of(target) or "", target))
    panels = (Panel(fault.onset_low_s - BEFORE_S, LEFT), Panel(fault.end_low_s - BEFORE_S, LEFT + PANEL + GAP))
    height = TOP + ROW * (len(rows) + len(history.groups)) + 52
    names = [f"{target[:6]}…, {history.group_of(target)}" for target in rows]
    names += [f"answers of {zone}" for zone in sorted(history.groups)]
    texts = [f'<text x="6" y="{TOP + ROW * row + 15}">{escape(name)}</text>' for row, name in enumerate(names)]
    drawn = [_panel(history, fault, rows, panel) for panel in panels]
    drawn.append(_mark(panels[0], fault.onset_low_s, "onset", reading["detect_s"], "detect", height))
    drawn.append(_mark(panels[1], fault.end_low_s, "undo", reading["readd_s"], "re-add", height))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + 2 * PANEL + GAP + 10} {height}" '
        'font-family="system-ui, sans-serif" font-size="11" fill="#333" role="img" '
        'aria-label="The balancer\'s opinion of six targets around the onset and the end of a fault">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(texts)}{"".join(drawn)}{_legend()}</svg>\n'
    )


def _panel(history: History, fault: Fault, rows: list[str], panel: Panel) -> str:
    parts = []
    for row, target in enumerate(rows):
        y = TOP + ROW * row
        views = history.views(target)
        nexts = [*(opinion.at_s for opinion, _ in views[1:]), panel.end_s]
        for (opinion, view), until_s in zip(views, nexts, strict=True):
            parts.append(panel.bar(opinion.at_s, until_s, y + 5, 14, FINE if view.healthy else BAD))
        if target in fault.targets and fault.end_low_s is not None:
            parts.append(panel.bar(fault.onset_low_s, fault.end_low_s, y + 1, 3, BROKEN))
    requests = history.requests
    assert requests is not None, "the sample run has samples"
    for row, zone in enumerate(sorted(history.groups), start=len(rows)):
        y = TOP + ROW * row + 5
        inside = requests[(requests["served_by"] == zone) & requests["done_at"].between(panel.start_s, panel.end_s)]
        ticks = "".join(f"M{panel.x(float(at_s)):.1f} {y}v12" for at_s in inside["done_at"])
        parts.append(f'<path d="{ticks}" stroke="#555" stroke-width="0.8"/>' if ticks else "")
    bottom = TOP + ROW * (len(rows) + len(history.groups))
    for tenth in range(int((BEFORE_S + AFTER_S) * 2) + 1):
        at_s = panel.start_s + tenth / 2
        parts.append(
            f'<text x="{panel.x(at_s):.1f}" y="{bottom + 16}" text-anchor="middle">{tenth / 2 - BEFORE_S:g}</text>'
        )
    return "".join(parts)


def _mark(panel: Panel, at_s: float, what: str, lasted_s: float | None, name: str, height: float) -> str:
    """The instant that a time is counted from, the time, and its end."""
    x = panel.x(at_s)
    parts = f'<path d="M{x:.1f} 30V{height - 46}" stroke="#333" stroke-dasharray="3 3"/>'
    parts += f'<text x="{x:.1f}" y="{height - 12}" text-anchor="middle">seconds from the {what}</text>'
    if lasted_s is None:
        return parts
    end = panel.x(at_s + lasted_s)
    return (
        f'{parts}<path d="M{x:.1f} 40H{end:.1f}M{end:.1f} 34v12" stroke="{MARK}" stroke-width="2" fill="none"/>'
        f'<text x="{end + 6:.1f}" y="44" fill="{MARK}">{name} {lasted_s:.2f} s</text>'
    )


def _legend() -> str:
    entries = (
        (FINE, 'the balancer says "healthy"'),
        (BAD, '"unhealthy"'),
        (BROKEN, "broken: what the fault says, and its canary saw"),
    )
    parts, x = [], float(LEFT)
    for fill, words in entries:
        parts.append(
            f'<rect x="{x}" y="8" width="12" height="12" fill="{fill}"/><text x="{x + 17}" y="18">{words}</text>'
        )
        x += 40 + 6.2 * len(words)
    return "".join(parts)


if __name__ == "__main__":
    (ROOT / "docs" / "images" / "health-check.svg").write_text(picture())
