"""A fault is bound to real things by name, and to no more of them than allowed."""

import dataclasses

import pytest

from stormproof.errors import InputError
from stormproof.model.experiment import FaultRequest
from stormproof.plan.resolve import resolve_faults
from support.planning import make_environment, make_experiment


def test_a_zone_becomes_its_instances() -> None:
    """By id, with the position in the fault's own id."""
    (fault,) = resolve_faults(make_experiment(), make_environment())

    assert fault.fault_id == "1-az-loss"
    assert fault.targets == ("i-a1", "i-a2")


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        ("az-loss", {"zone": "z"}, "a, b, c"),
        ("dependency-timeout", {"dependency": "recommendation", "delay": "3s"}, "recommendations"),
        ("throttling", {"dependency": "shopping", "rate": "5/s"}, "cart"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_known_ones(kind: str, arguments: dict[str, str], says: str) -> None:
    """With the line of the spec that says it."""
    experiment = make_experiment(faults=(FaultRequest(kind=kind, arguments=arguments, where="e.yaml:9"),))

    with pytest.raises(InputError, match=r"e\.yaml:9") as caught:
        resolve_faults(experiment, make_environment())

    assert says in str(caught.value)


def test_more_targets_than_the_limit_is_an_error() -> None:
    """Before anything is touched; the error says which they would be."""
    with pytest.raises(InputError, match=r"limits\.targets") as caught:
        resolve_faults(make_experiment(targets=1), make_environment())

    assert "2: i-a1, i-a2" in str(caught.value)
    assert caught.value.exit_code == 65


def test_a_spec_with_several_faults_has_to_say_so() -> None:
    """One at a time unless `limits.faults_at_once` says more."""
    two = tuple(
        FaultRequest(kind="throttling", arguments={"dependency": "cart", "rate": rate}, where="e.yaml:9")
        for rate in ("5/s", "6/s")
    )
    experiment = make_experiment(faults=two)

    with pytest.raises(InputError, match=r"limits\.faults_at_once: expected at most 1") as caught:
        resolve_faults(experiment, make_environment())
    assert "faults_at_once: 2" in str(caught.value)

    allowed = dataclasses.replace(experiment, limits=dataclasses.replace(experiment.limits, faults_at_once=2))
    assert len(resolve_faults(allowed, make_environment())) == 2


def test_a_larger_share_of_the_instances_than_the_limit_is_an_error() -> None:
    """Two of six are a third, which the default of 34 % allows and a third less a little does not."""
    experiment = make_experiment()
    assert resolve_faults(experiment, make_environment())

    limits = dataclasses.replace(experiment.limits, share=0.33)
    with pytest.raises(InputError, match=r"limits\.share: expected at most 33%") as caught:
        resolve_faults(dataclasses.replace(experiment, limits=limits), make_environment())
    assert "got 2, 33%: i-a1, i-a2" in str(caught.value)


def test_what_is_no_instance_has_no_share() -> None:
    """A dependency behind its proxy counts as a target, not as a part of the instances."""
    request = FaultRequest(kind="throttling", arguments={"dependency": "cart", "rate": "5/s"})
    experiment = make_experiment(faults=(request,))
    limits = dataclasses.replace(experiment.limits, share=0.01)

    assert resolve_faults(dataclasses.replace(experiment, limits=limits), make_environment())
