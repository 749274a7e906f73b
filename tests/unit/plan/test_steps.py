"""Steps in a plan: each is broken, held and taken back before the next; limits count what is in force together."""

from __future__ import annotations

from dataclasses import replace

from stormproof.model.experiment import FaultRequest, Step
from stormproof.plan.compile import compile_experiment
from stormproof.plan.describe import describe, describe_text
from stormproof.plan.resolve import most_at_once, resolve_faults
from support.planning import make_environment, make_experiment

ZONE_A = FaultRequest(kind="az-loss", arguments={"zone": "a"})
SLOW = FaultRequest(kind="process-pause", arguments={"zone": "b"})


def stepped() -> tuple[object, ...]:
    steps = (
        Step(name="zone", duration_s=5.0, faults=(ZONE_A,)),
        Step(name="both", duration_s=7.0, faults=(ZONE_A, SLOW)),
    )
    experiment = make_experiment(targets=3, hypotheses=("availability during fault >= 99.5%",))
    experiment = replace(
        experiment,
        steps=steps,
        faults=(ZONE_A, ZONE_A, SLOW),
        limits=replace(experiment.limits, faults_at_once=2, share=0.6),
    )
    return experiment, resolve_faults(experiment, make_environment())


def test_each_step_is_taken_back_before_the_next() -> None:
    """Inject, confirm, hold, undo in reverse, step by step; the rollbacks undo everything once more, to be sure."""
    experiment, resolved = stepped()
    compiled = compile_experiment(experiment, resolved, noop=False, seed=1, base_url="http://127.0.0.1:1")  # type: ignore[arg-type]

    assert [
        "hold-steady",
        "inject-1-az-loss", "confirm-1-az-loss", "hold-zone", "undo-1-az-loss",
        "inject-2-az-loss", "confirm-2-az-loss", "inject-3-process-pause", "confirm-3-process-pause", "hold-both",
        "undo-3-process-pause", "undo-2-az-loss",
    ] == [activity["name"] for activity in compiled["method"]]  # fmt: skip
    assert ["undo-3-process-pause", "undo-2-az-loss", "undo-1-az-loss"] == [
        activity["name"] for activity in compiled["rollbacks"]
    ]
    assert [("zone", ["1-az-loss"]), ("both", ["2-az-loss", "3-process-pause"])] == [
        (step["name"], step["faults"]) for step in compiled["extensions"][0]["steps"]
    ]


def test_what_is_in_force_together_is_counted_by_step() -> None:
    """Three faults, two of them at once."""
    experiment, resolved = stepped()

    assert ["az-loss", "process-pause"] == most_at_once(experiment, resolved)  # type: ignore[arg-type]


def test_the_plan_tells_the_steps() -> None:
    """Name, length, expected requests and faults."""
    experiment, resolved = stepped()
    text = describe_text(describe(experiment, resolved, make_environment()))  # type: ignore[arg-type]

    assert "  step      zone 5s (about 750 requests): 1-az-loss" in text.splitlines()
    assert "2 of at most 2 fault(s) at once" in text
