"""A control group by header is refused where it would be none, and the plan says what it gets and would see."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from stormproof.errors import InputError
from stormproof.model.control import ControlRoute, HeaderControl
from stormproof.model.environment import Environment
from stormproof.model.experiment import Experiment, FaultRequest
from stormproof.plan.describe import describe, describe_text
from stormproof.plan.resolve import resolve_faults
from stormproof.spec.hypothesis import parse_hypothesis
from support.planning import make_aws_environment, make_environment, make_experiment

HEADER = "x-stormproof-control"
ROUTE = ControlRoute(header=HEADER, zone="c")
CLAIMS = ("availability during fault >= 0.99x control", "p99 latency during fault <= 2x control")


def experiment(kind: str = "az-loss", *, share: float = 0.2, **arguments: Any) -> Experiment:
    fault = FaultRequest(kind=kind, arguments=arguments or {"zone": "a"}, where="e.yaml:9")
    return dataclasses.replace(
        make_experiment(faults=(fault,)),
        hypotheses=tuple(parse_hypothesis(text, control_header=HEADER) for text in CLAIMS),
        control_header=HeaderControl(header=HEADER, share=share),
    )


def environment(route: ControlRoute | None = ROUTE) -> Environment:
    return dataclasses.replace(make_environment(), control_route=route)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("az-loss", {"zone": "a"}),
        ("az-loss", {"zone": "a", "mode": "slow"}),
        ("process-pause", {"zone": "b"}),
        ("instance-stop", {"zone": "a"}),
    ],
)
def test_a_fault_of_other_instances_spares_the_control(kind: str, arguments: dict[str, str]) -> None:
    """It touches what it names, and none of that is the control's."""
    assert resolve_faults(experiment(kind, **arguments), environment())


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        ("az-loss", {"zone": "c"}, "leave zone c, the control's, alone"),
        ("process-pause", {"zone": "c"}, "leave zone c, the control's, alone"),
        ("dependency-timeout", {"dependency": "recommendations", "delay": "3s"}, "what both groups use"),
        ("throttling", {"dependency": "cart", "rate": "5/s"}, "what both groups use"),
        (
            "composite",
            {"steps": [{"az-loss": {"zone": "a"}}, {"at": "1s", "throttling": {"dependency": "cart", "rate": "5/s"}}]},
            "which touches cart",
        ),
    ],
)
def test_a_fault_that_reaches_both_groups_is_refused(kind: str, arguments: dict[str, Any], says: str) -> None:
    """Alone or as a part of another; before anything is touched."""
    asked = experiment(kind, **arguments)
    asked = dataclasses.replace(asked, limits=dataclasses.replace(asked.limits, targets=9, share=1.0, faults_at_once=2))

    with pytest.raises(InputError) as caught:
        resolve_faults(asked, environment())

    assert says in str(caught.value)


@pytest.mark.parametrize(
    "route", [None, ControlRoute(header="x-other", zone="c"), ControlRoute(header=HEADER, zone="z")]
)
def test_an_environment_that_does_not_route_the_header_is_refused(route: ControlRoute | None) -> None:
    """None is declared, another one is, or its zone has no instances."""
    with pytest.raises(InputError, match="control"):
        resolve_faults(experiment(), environment(route))


def test_in_aws_the_owner_declares_it_and_no_shared_writer_fails_over() -> None:
    """A zone's loss that takes the databases with it reaches everybody."""
    found = dataclasses.replace(make_aws_environment(), control_route=ROUTE)
    assert found.cloud is not None
    without = dataclasses.replace(found, cloud=dataclasses.replace(found.cloud, az_loss_parts=("network", "instances")))

    assert resolve_faults(experiment(), without)
    with pytest.raises(InputError, match="1-az-loss, which touches databases"):
        resolve_faults(experiment(), found)
    with pytest.raises(InputError, match="and it has none"):
        resolve_faults(experiment(), make_aws_environment())


def test_the_plan_says_what_the_control_gets_and_what_is_seen() -> None:
    """A fifth of 150/s over 20 s is 600; the others' 2,400 are what all other claims are about."""
    asked = experiment()
    plan = describe(asked, resolve_faults(asked, environment()), environment())
    text = describe_text(plan)

    assert plan["control"]["requests_expected"]["fault"] == 600
    assert (plan["control"]["per_instance_per_s"], plan["control"]["others_per_instance_per_s"]) == (15.0, 30.0)
    assert [one["requests_expected"] for one in plan["hypotheses"]] == [2400, 2400]
    assert [one["can_be_decided"] for one in plan["hypotheses"]] == [True, True]
    assert "20% of the arrivals, marked by x-stormproof-control, which zone c alone answers" in text
    assert "an instance of the control gets 15/s, one of the others 30/s" in text
    assert "WARNING: groups under unlike load" not in text


def test_a_small_control_is_warned_of() -> None:
    """A twentieth is too few for a p99, and leaves its instances idle."""
    asked = experiment(share=0.05)
    plan = describe(asked, resolve_faults(asked, environment()), environment())

    assert [one["can_be_decided"] for one in plan["hypotheses"]] == [True, False]
    assert "at 7.5/s that takes 50 s" in plan["hypotheses"][1]["note"]
    assert "WARNING: groups under unlike load are unlike groups; a share of 33% evens it out" in describe_text(plan)
