"""Steps in a record: the stretch in which all faults of a step were in force, and claims about it."""

from __future__ import annotations

from typing import Any

import pytest

from stormproof.verdict.timeline import read_timeline

STEPS = {"one": ("1-a",), "two": ("2-a", "3-b")}


def event(name: str, at: float, fault_id: str = "", **more: Any) -> dict[str, Any]:
    return {"event": name, "at": at, "wall_s": at, "fault_id": fault_id, "kind": "x", **more}


def told(*, third_felt: bool = True, undone: bool = True, abort_s: float | None = None) -> list[dict[str, Any]]:
    """One fault from 10 to 20 s, then two from 22 and 23 to 30 s."""
    rows = [event("load.started", 0.0, warmup_s=2.0)]
    for fault_id, injecting_s, felt_s, undoing_s, gone_s in (
        ("1-a", 9.9, 10.2, 20.0, 20.5), ("2-a", 21.9, 22.2, 30.2, 30.5), ("3-b", 22.9, 23.2, 30.0, 30.1),
    ):  # fmt: skip
        rows.append(event("fault.injecting", injecting_s, fault_id))
        if fault_id == "3-b" and not third_felt:
            rows.append(event("fault.not_felt", felt_s, fault_id, reason="nobody saw it"))
            continue
        rows.append(event("fault.felt", felt_s, fault_id, last_ok_at=felt_s - 0.2))
        if undone or fault_id == "1-a":
            rows += [event("fault.undoing", undoing_s, fault_id), event("fault.gone", gone_s, fault_id)]
    if abort_s is not None:
        rows.append(event("abort", abort_s, reason="enough", by="person"))
    return [*rows, event("phase", 40.0, phase="ended"), event("load.stopped", 40.0, workers=[])]


def test_a_step_lasts_from_its_last_onset_to_its_first_undo() -> None:
    """All of its faults in force; the fault phase spans them all, with what lies between."""
    timeline = read_timeline(told(), steps=STEPS)

    assert {"one": (10.0, 20.0), "two": (23.0, 30.0)} == timeline.steps
    assert (10.0, 30.5) == timeline.windows["fault"]


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"third_felt": False}, {"one": (10.0, 20.0)}),  # not in force: there was no such step
        ({"undone": False}, {"one": (10.0, 20.0)}),  # nobody knows until when
        ({"undone": False, "abort_s": 26.0}, {"one": (10.0, 20.0), "two": (23.0, 26.0)}),
        ({"abort_s": 22.5}, {"one": (10.0, 20.0)}),
    ],
)
def test_a_step_that_was_not_whole(given: dict[str, Any], steps: dict[str, tuple[float, float]]) -> None:
    """A fault that was not felt leaves no step; an abort cuts it short."""
    assert steps == read_timeline(told(**given), steps=STEPS).steps


def test_a_run_without_steps_has_none() -> None:
    """As all runs before."""
    assert {} == read_timeline(told()).steps
