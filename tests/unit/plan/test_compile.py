"""The compiled experiment is one that Chaos Toolkit plays: it breaks, holds, and always undoes in reverse."""

import dataclasses
import json
from typing import Any

import pytest
from chaoslib.experiment import ensure_experiment_is_valid
from chaoslib.types import Strategy

from stormproof.errors import FaultError
from stormproof.model.experiment import FaultRequest, Limits
from stormproof.plan.compile import compile_experiment
from stormproof.plan.resolve import resolve_faults
from support.planning import make_environment, make_experiment, make_fault


def _names(activities: list[dict[str, object]]) -> list[object]:
    return [activity["name"] for activity in activities]


def test_faults_are_injected_in_order_and_undone_in_reverse() -> None:
    """Steady, then each fault with its confirmation, then the fault phase; rollbacks last broken first."""
    compiled = compile_experiment(
        make_experiment(), [make_fault(1), make_fault(2)], noop=False, seed=7, base_url="http://127.0.0.1:8080/"
    )

    assert _names(compiled["method"]) == [
        "hold-steady", "inject-1-az-loss", "confirm-1-az-loss", "inject-2-az-loss", "confirm-2-az-loss", "hold-fault",
    ]  # fmt: skip
    assert _names(compiled["rollbacks"]) == ["undo-2-az-loss", "undo-1-az-loss"]
    assert compiled["steady-state-hypothesis"]["probes"][0]["provider"]["url"] == "http://127.0.0.1:8080/healthz"


def test_rollbacks_are_played_always_and_nothing_pauses() -> None:
    """An interruption waits for a pause to end, and chaoslib plays no rollbacks on interruption by default."""
    compiled = compile_experiment(make_experiment(), [make_fault()], noop=False, seed=7, base_url="http://127.0.0.1:1")

    assert compiled["runtime"]["rollbacks"]["strategy"] == "always"
    assert Strategy.from_string(compiled["runtime"]["hypothesis"]["strategy"]) is Strategy.BEFORE_METHOD
    assert all("pauses" not in activity for activity in [*compiled["method"], *compiled["rollbacks"]])


@pytest.mark.parametrize("noop", [True, False])
def test_the_negative_control_differs_in_one_argument_only(noop: bool) -> None:
    """With a fault that does nothing, everything else is played just the same."""
    compiled = compile_experiment(make_experiment(), [make_fault()], noop=noop, seed=7, base_url="http://127.0.0.1:1")

    inject = compiled["method"][1]["provider"]["arguments"]
    assert inject["noop"] is noop
    inject["noop"] = compiled["extensions"][0]["noop"] = False
    assert compiled == compile_experiment(
        make_experiment(), [make_fault()], noop=False, seed=7, base_url="http://127.0.0.1:1"
    )


def test_a_compiled_experiment_survives_json_and_names_no_folder() -> None:
    """JSON types only; and no path of the machine that compiled it."""
    compiled = compile_experiment(make_experiment(), [make_fault()], noop=False, seed=7, base_url="http://127.0.0.1:1")

    assert json.loads(json.dumps(compiled)) == compiled
    assert "/somewhere" not in json.dumps(compiled)


def test_faults_that_need_different_endpoints_cannot_share_a_run() -> None:
    """The configuration is one for all activities; a silent last-wins would send a fault elsewhere."""
    here, there = ({"aws_region": region} for region in ("eu-central-1", "us-east-1"))

    with pytest.raises(FaultError, match="aws_region"):
        compile_experiment(
            make_experiment(),
            [make_fault(1, configuration=here), make_fault(2, configuration=there)],
            noop=False,
            seed=7,
            base_url="http://127.0.0.1:1",
        )


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("az-loss", {"zone": "a"}),
        ("dependency-timeout", {"dependency": "recommendations", "delay": "3s"}),
        ("throttling", {"dependency": "cart", "rate": "5/s"}),
        ("composite", {"steps": [{"az-loss": {"zone": "a"}}, {"at": "3s", "process-pause": {"zone": "b"}}]}),
    ],
)
def test_chaostoolkit_accepts_every_compiled_fault(kind: str, arguments: dict[str, Any]) -> None:
    """chaoslib imports each activity and binds its arguments: what `chaos validate` does."""
    request = FaultRequest(kind=kind, arguments=arguments, where="e.yaml:9")
    experiment = dataclasses.replace(
        make_experiment(faults=(request,)), limits=Limits(targets=3, share=0.5, faults_at_once=2)
    )
    resolved = resolve_faults(experiment, make_environment())

    compiled = compile_experiment(experiment, resolved, noop=False, seed=7, base_url="http://127.0.0.1:8080")

    ensure_experiment_is_valid(compiled)
