"""A run that broke less than its spec asked for has not tested its claims."""

from __future__ import annotations

from typing import Any

import pytest

from stormproof.model.experiment import FaultRequest
from stormproof.record import events as names
from stormproof.verdict.recorded import Recorded
from stormproof.verdict.timeline import read_timeline
from stormproof.verdict.validity import FELT, RunEvidence, checks_of


def events_of(*faults: tuple[str, str], aborted: bool = False) -> list[dict[str, Any]]:
    """A run in which each fault of (id, kind) was injected, felt, undone and gone."""
    rows: list[dict[str, Any]] = []
    for number, (fault_id, kind) in enumerate(faults):
        for name, at in (
            (names.FAULT_INJECTING, 10.0),
            (names.FAULT_FELT, 10.5),
            (names.FAULT_UNDOING, 20.0),
            (names.FAULT_GONE, 20.5),
        ):
            row = {"event": name, "fault_id": fault_id, "kind": kind, "at": at + number, "wall_s": at + number}
            rows.append({**row, "last_ok_at": at + number - 0.25})
    if aborted:
        rows.append({"event": names.ABORT, "reason": "Ctrl-C", "by": "person", "wall_s": 15.0})
    return rows


def untested(events: list[dict[str, Any]], *kinds: str) -> list[str]:
    """The reasons for which the faults of a run whose spec asked for *kinds* were not all felt."""
    run = RunEvidence(
        timeline=read_timeline(events),
        recorded=Recorded(),
        arrivals=None,
        readings=[],
        hypotheses=[],
        kinds_expected=kinds,
    )
    return [check.reason for check in checks_of(run) if check.name == FELT and not check.ok]


ZONE, SLOW = ("1-composite.1-az-loss", "az-loss"), ("1-composite.2-throttling", "throttling")


@pytest.mark.parametrize(
    ("events", "kinds", "expected"),
    [
        (events_of(ZONE, SLOW), ("az-loss", "throttling"), []),
        (events_of(ZONE), ("az-loss", "throttling"), ["throttling: asked for, and never injected"]),
        (events_of(ZONE), ("az-loss", "az-loss"), ["az-loss: asked for, and never injected"]),
        (events_of(ZONE, aborted=True), ("az-loss", "throttling"), []),
        (events_of(ZONE, SLOW), (), []),
    ],
    ids=["both", "one of two", "one of two of a kind", "aborted before the second", "a spec that is not known"],
)
def test_every_part_must_have_been_injected(
    events: list[dict[str, Any]], kinds: tuple[str, ...], expected: list[str]
) -> None:
    """What never happened leaves no event to be judged by: only the spec knows of it."""
    assert untested(events, *kinds) == expected


def test_the_window_is_from_the_first_onset_to_the_last_end() -> None:
    """One fault phase for all parts, without gaps."""
    started = {"event": names.LOAD_STARTED, "at": 0.0, "wall_s": 0.0}
    ended = {"event": names.PHASE, "phase": "ended", "at": 30.0, "wall_s": 30.0}
    windows = read_timeline([started, *events_of(ZONE, SLOW), ended]).windows

    assert windows == {"steady": (0.0, 10.25), "fault": (10.25, 21.5), "recovery": (21.5, 30.0)}


def test_a_request_knows_the_kinds_of_its_steps() -> None:
    """The spec as it is written; a simple fault is its own only kind."""
    steps = [{"at": "0s", "az-loss": {"zone": "a"}}, {"throttling": {"dependency": "cart", "rate": "5/s"}}]

    assert FaultRequest(kind="composite", arguments={"steps": steps}).kinds == ("az-loss", "throttling")
    assert FaultRequest(kind="az-loss", arguments={"zone": "a"}).kinds == ("az-loss",)
