"""How long a suite may take and how much it may break; whether one more run fits. Pure."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

from stormproof.suite.entry import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """None: not bounded. The deadline ends what is running; the other two only keep runs from being started."""

    wall_time_s: float | None = None
    target_seconds: float | None = None
    deadline_s: float | None = None  # Unix s


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the suite has used so far, all its sessions together."""

    wall_time_s: float
    target_seconds: float  # measured of what ended, planned of what is running


def refusal(budget: Budget, spent: Spent, entry: Entry, *, now_s: float) -> str:
    """Why *entry* may not be started now; "" when it may. A run must fit whole, as long as it is expected to take."""
    if budget.deadline_s is not None and now_s + entry.expected_s > budget.deadline_s:
        left_s = max(0.0, budget.deadline_s - now_s)
        return f"the deadline: a run takes about {entry.expected_s:.0f} s, and {left_s:.0f} s were left"
    if budget.wall_time_s is not None and spent.wall_time_s + entry.expected_s > budget.wall_time_s:
        left_s = max(0.0, budget.wall_time_s - spent.wall_time_s)
        return f"the budget of wall time: a run takes about {entry.expected_s:.0f} s, and {left_s:.0f} s were left"
    if budget.target_seconds is not None and spent.target_seconds + entry.target_seconds > budget.target_seconds:
        left = max(0.0, budget.target_seconds - spent.target_seconds)
        wanted = math.ceil(entry.target_seconds)
        return f"the budget of damage: a run breaks {wanted} target-seconds, and {left:.0f} were left"
    return ""


def next_instant(text: str, *, now: dt.datetime) -> dt.datetime:
    """*text* as an instant: ISO 8601 with a zone, or the next ``HH:MM`` on the clock of *now* (aware).

    Raises `ValueError` with what was expected.
    """
    try:
        clock = dt.time.fromisoformat(text) if "T" not in text and len(text) == len("06:00") else None
        found = None if clock else dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("an instant, as in 2026-11-27T06:00+01:00, or a time of day, as in 06:00") from error
    if clock is not None:
        today = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
        return today if today > now else today + dt.timedelta(days=1)
    if found is None or found.tzinfo is None:
        raise ValueError("an instant with its time zone, as in 2026-11-27T06:00+01:00")
    return found
