"""A plain Chaos Toolkit run: what its journal says was done, for the page. The verdict on it is `verdict`'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stormproof.report.facts import Facts, mappings, number
from stormproof.report.notation import clean, flat, quantity

ACTIVITIES_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One probe or action of the journal."""

    stage: str  # "steady state before", "method", "steady state after", "rollbacks"
    name: str
    kind: str
    status: str
    trouble: bool
    duration: str
    output: str


def activities(facts: Facts) -> tuple[Activity, ...]:
    """The journal's activities in the order played; none without a journal."""
    journal = facts.journal
    states = journal.get("steady_states")
    states = states if isinstance(states, Mapping) else {}
    stages = (
        ("steady state before", _probes(states.get("before"))),
        ("method", mappings(journal.get("run"))),
        ("steady state after", _probes(states.get("after"))),
        ("rollbacks", mappings(journal.get("rollbacks"))),
    )
    rows = [_activity(stage, row) for stage, rows in stages for row in rows]
    return tuple(rows[:ACTIVITIES_MAX])


def _probes(state: Any) -> list[Mapping[str, Any]]:
    return mappings(state.get("probes")) if isinstance(state, Mapping) else []


def _activity(stage: str, row: Mapping[str, Any]) -> Activity:
    activity = row.get("activity")
    activity = activity if isinstance(activity, Mapping) else {}
    status = str(row.get("status", "unknown"))
    met = row.get("tolerance_met")
    tolerance = "" if not isinstance(met, bool) else ", within tolerance" if met else ", out of tolerance"
    told = row.get("exception") or row.get("output")
    if isinstance(told, list):  # a traceback: its last line says what it was
        told = str(told[-1]) if told else ""
    return Activity(
        stage=stage,
        name=clean(activity.get("name", "unnamed"), limit=120),
        kind=clean(activity.get("type", ""), limit=20),
        status=clean(status, limit=20) + tolerance,
        trouble=status != "succeeded" or met is False,
        duration=quantity(number(row.get("duration")), "s"),
        output=clean("; ".join(f"{name}: {text}" if name else text for name, text in flat(told, limit=4)), limit=200),
    )
