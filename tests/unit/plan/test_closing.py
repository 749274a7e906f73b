"""A plan says which closing probes its claims need, and knows whose clients they are about."""

from __future__ import annotations

import pytest

from stormproof.errors import HypothesisError
from stormproof.model.experiment import FaultRequest
from stormproof.plan.closing import closing_probes
from stormproof.plan.compile import compile_experiment
from stormproof.plan.describe import describe, describe_text
from stormproof.plan.resolve import resolve_faults
from support.planning import make_environment, make_experiment

THROTTLED = (FaultRequest(kind="throttling", arguments={"dependency": "cart", "rate": "5/s"}, where="e.yaml:9"),)
CLAIMS = ("retry budget of cart exists", "health_check fails open", "retry attempts of cart <= 3")


def test_each_probe_is_asked_once_in_the_order_of_the_claims() -> None:
    """A name and the module that the name becomes; none where no claim is about a reading."""
    assert closing_probes(make_experiment(hypotheses=CLAIMS)) == {
        "retry_with_jitter": "stormprobes.retry_with_jitter",
        "health_check": "stormprobes.health_check",
    }
    assert closing_probes(make_experiment()) == {}


def test_plan_and_compiled_experiment_know_of_them() -> None:
    """What `stormproof plan`, `--dry-run` and `compile` print; without such claims nothing is added."""
    experiment, environment = make_experiment(hypotheses=CLAIMS, faults=THROTTLED), make_environment()
    resolved = resolve_faults(experiment, environment)
    described = describe(experiment, resolved, environment)
    compiled = compile_experiment(experiment, resolved, noop=False, seed=1, base_url=environment.base_url)
    plain = compile_experiment(make_experiment(), (), noop=False, seed=1, base_url=environment.base_url)

    assert described["closing_probes"] == ["retry_with_jitter", "health_check"]
    assert "read by retry_with_jitter when the load has ended" in describe_text(described)
    assert compiled["extensions"][0]["closing_probes"] == dict(closing_probes(experiment))
    assert "closing_probes" not in plain["extensions"][0]


def test_a_claim_about_an_unknown_dependency_names_the_nearest() -> None:
    """Before anything starts, not as an inconclusive finding afterwards."""
    experiment = make_experiment(hypotheses=("retry budget of crat exists",), faults=THROTTLED)

    with pytest.raises(HypothesisError, match="recommendations, cart, reviews") as caught:
        resolve_faults(experiment, make_environment())

    assert caught.value.hint == "did you mean `cart`?"
