"""Which experiments may overlap, and what to start next. Pure.

An edge between two experiments: they measure the same workload (what the one breaks would be blamed on the other), or
something that the one touches is touched by the other. Without an edge they may overlap.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from stormproof.suite.entry import Entry


def conflict(one: Entry, other: Entry) -> str:
    """Why the two may not overlap; "" when they may."""
    if one.workload == other.workload:
        return f"both measure {one.workload}"
    if shared := sorted(set(one.touches) & set(other.touches)):
        return f"both touch {', '.join(shared[:3])}{', …' if len(shared) > 3 else ''}"
    return ""


def conflicts(entries: Sequence[Entry]) -> dict[tuple[str, str], str]:
    """The edges: (slug, slug) → why, each pair once, in the order of *entries*."""
    return {
        (one.slug, other.slug): why
        for at, one in enumerate(entries)
        for other in entries[at + 1 :]
        if (why := conflict(one, other))
    }


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Least injected damage first: what is fragile shows where it costs least, and a budget goes furthest."""
    return sorted(entries, key=lambda one: (one.target_seconds, one.slug))


def next_to_start(waiting: Sequence[Entry], running: Collection[Entry], *, jobs: int) -> Entry | None:
    """The first of *waiting* that may run beside all of *running*, at most *jobs* together; None for not now."""
    if len(running) >= jobs:
        return None
    return next((one for one in waiting if not any(conflict(one, other) for other in running)), None)
