"""What a fault becomes in an environment in AWS: bound to what is there, in our order, or refused by name."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from botocore.stub import Stubber

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws, catalogue
from stormproof.faults.api_call import CallsAws
from stormproof.faults.dead_man import HasInverse
from stormproof.faults.outage_balancers import OutageBalancers
from stormproof.faults.protocol import Seen
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault
from support.planning import make_aws_environment


def _lose(environment: Environment | None = None, **arguments: Any) -> ResolvedFault:
    return catalogue.resolve(
        "az-loss", {"zone": "a", **arguments}, environment or make_aws_environment(), fault_id="1-az-loss"
    )


def _changed(**cloud: Any) -> Environment:
    environment = make_aws_environment()
    assert environment.cloud is not None
    return dataclasses.replace(environment, cloud=dataclasses.replace(environment.cloud, **cloud))


def test_a_zone_is_lost_as_its_parts_in_order() -> None:
    """Only what is in the zone; as whom to call is in the configuration, and so in the ledger."""
    fault = _lose()

    assert list(fault.target["losses"]) == ["databases", "scaling", "network", "instances"]
    assert fault.targets == ("i-0a1", "i-0a2")
    assert fault.target["losses"]["network"] == {"subnets": ["subnet-0a"], "owner": "staging/a"}
    assert fault.target["losses"]["databases"] == {"heirs": {"orders": "orders-b"}}
    assert fault.configuration["aws_role_arn"] == "arn:aws:iam::123456789012:role/stormproof-staging"
    assert fault.undo.startswith("backwards: instances, network, scaling, databases")


def test_a_writer_elsewhere_is_left_where_it_is() -> None:
    """Zone b has the reader: nothing fails over."""
    assert "databases" not in _lose(zone="b").target["losses"]


def test_a_network_loss_is_scaling_and_network() -> None:
    """The machines run on."""
    assert list(_lose(mode="network").target["losses"]) == ["scaling", "network"]


def test_only_the_parts_of_the_file_are_lost() -> None:
    """What an AZ loss means is the environment's to say."""
    assert list(_lose(_changed(az_loss_parts=("network",))).target["losses"]) == ["network"]


def test_a_zone_without_subnets_or_instances_among_its_parts_is_not_lost() -> None:
    """Nobody would feel it."""
    with pytest.raises(InputError, match=r"got az_loss.parts scaling, of which there is scaling"):
        _lose(_changed(az_loss_parts=("scaling",)))


def test_a_cluster_that_nobody_could_take_over_is_said() -> None:
    """That is a finding without an experiment."""
    environment = make_aws_environment()
    assert environment.cloud is not None
    alone = dataclasses.replace(environment.cloud.clusters[0], members={"orders-a": "eu-central-1a"})

    with pytest.raises(FaultError, match="orders has no member outside eu-central-1a"):
        _lose(_changed(clusters=(alone,)))


def test_a_slow_zone_needs_fis_and_addresses() -> None:
    """FIS does it, and nobody but who calls an instance directly sees it."""
    fault = _lose(mode="slow")
    assert (fault.target["mode"], fault.target["latency_s"]) == ("fis-slow", 0.3)
    assert fault.effect == {"kind": "zone-slowed", "zone": "a", "slow_ms": 150}

    with pytest.raises(InputError, match=r"slow where 'staging' has a section `fis`.* got no `fis`"):
        _lose(_changed(fis=None), mode="slow")
    environment = make_aws_environment()
    hidden = tuple(dataclasses.replace(one, url="") for one in environment.zones["a"])
    with pytest.raises(InputError, match=r"got instances.address none"):
        _lose(dataclasses.replace(environment, zones={**environment.zones, "a": hidden}), mode="slow")


@pytest.mark.parametrize("kind", sorted(set(catalogue.KINDS) - set(catalogue.of_aws())))
def test_what_needs_the_lab_is_refused_by_name(kind: str) -> None:
    """Every other kind: processes, deployments. The error names those that there are."""
    example = catalogue.module(kind).EXAMPLE
    with pytest.raises(InputError, match=r"expected a fault that can be injected in AWS: az-loss, .*, got"):
        catalogue.resolve(kind, example, make_aws_environment(), fault_id=f"1-{kind}")


def test_every_fault_of_aws_says_which_calls_it_makes() -> None:
    """All reads, what breaks, and what undoes it; a part that is not lost asks for nothing."""
    for parts, needed in ((None, True), (("network",), False)):
        fault = _lose(_changed(az_loss_parts=parts) if parts else None)
        bound = catalogue.bind(fault.kind, fault.target, fault.configuration)
        assert isinstance(bound, CallsAws)
        assert {call.purpose for call in bound.api_calls} == {"read", "inject", "undo"}
        assert ("FailoverDBCluster" in {call.operation for call in bound.api_calls}) is needed


def _examples() -> list[tuple[str, dict[str, Any]]]:
    modules = [catalogue.module(kind) for kind in catalogue.of_aws()]
    modes = [
        (module.KIND, example)
        for module in modules
        if catalogue.LOCAL not in module.ENVIRONMENTS
        for example in getattr(module, "MODE_EXAMPLES", {}).values()
    ]
    return [*((module.KIND, module.EXAMPLE) for module in modules), *modes]


@pytest.mark.parametrize(("kind", "example"), _examples())
def test_each_kind_of_aws_is_planned_for_its_example(kind: str, example: dict[str, Any]) -> None:
    """With the calls that it makes; its data survives a ledger."""
    fault = catalogue.resolve(kind, example, make_aws_environment(), fault_id=f"1-{kind}")
    bound = catalogue.bind(kind, json.loads(json.dumps(dict(fault.target))), fault.configuration)

    assert isinstance(bound, CallsAws)
    assert fault.targets
    assert fault.what == bound.what


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        (
            "dependency-cut",
            {"dependency": "thumbnails", "connections": "all"},
            r"`network_acl`: ledger, got .thumbnails.\n\nhint: .* broken by lambda-concurrency by its `function`",
        ),
        ("dependency-cut", {"dependency": "orders"}, r"with a `security_group`: ledger, got 'orders'"),
        ("database-reboot", {"dependency": "ledger"}, r"with a `database_instance`: orders, got 'ledger'"),
    ],
)
def test_a_dependency_that_cannot_be_broken_that_way_is_said(kind: str, arguments: dict[str, Any], says: str) -> None:
    """With those that can, and the ways in which this one can."""
    with pytest.raises(InputError, match=says):
        catalogue.resolve(kind, arguments, make_aws_environment(), fault_id="1")


def test_a_cut_by_acl_has_a_dead_mans_switch_where_the_environment_wants_one() -> None:
    """It is one of those that calls to AWS, and nothing else, bring back."""
    environment = make_aws_environment()
    role = "arn:aws:iam::123456789012:role/stormproof-scheduler"
    switched = dataclasses.replace(environment.aws, dead_man_role=role, dead_man_after_s=7200.0)
    example = {"dependency": "ledger", "connections": "all"}
    asked = []
    for one in (environment, dataclasses.replace(environment, aws=switched)):
        fault = catalogue.resolve("dependency-cut", example, one, fault_id="1-dependency-cut")
        bound = catalogue.bind(fault.kind, fault.target, fault.configuration)
        assert isinstance(bound, HasInverse)
        assert isinstance(bound, CallsAws)
        asked.append("CreateSchedule" in {call.operation for call in bound.api_calls})

    assert asked == [False, True]


def _seen_by_targets() -> tuple[Any, Stubber]:
    """The fault where no instance can be called directly, and the client with which it asks, stubbed."""
    environment = make_aws_environment()
    out_of_reach = dataclasses.replace(
        environment,
        aws=dataclasses.replace(environment.aws, endpoint_url="http://127.0.0.1:9"),
        zones={zone: tuple(dataclasses.replace(one, url="") for one in own) for zone, own in environment.zones.items()},
    )
    fault = _lose(out_of_reach)
    bound = catalogue.bind(fault.kind, fault.target, fault.configuration)
    return bound, Stubber(aws.client("elbv2", fault.configuration))


@pytest.mark.parametrize(
    ("states", "seen"),
    [
        (("healthy", "healthy"), Seen.WHOLE),
        (("unhealthy", "unused"), Seen.BROKEN),
        (("healthy", "unhealthy"), Seen.PARTIAL),
        ((), Seen.BROKEN),
    ],
)
def test_what_the_target_groups_say_is_seen(states: tuple[str, ...], seen: Seen) -> None:
    """A target that is no longer registered gets no traffic either; other zones' targets are not looked at."""
    bound, stubber = _seen_by_targets()
    rows = [
        {"Target": {"Id": one}, "TargetHealth": {"State": state}}
        for one, state in [*zip(("i-0a1", "i-0a2"), states, strict=False), ("i-0b1", "healthy")]
    ]
    stubber.add_response("describe_target_health", {"TargetHealthDescriptions": rows})
    with stubber:
        assert bound.look().seen is seen


def test_a_look_that_is_refused_is_blind_and_not_an_end() -> None:
    """A throttled API is neither felt nor gone; the next look may see."""
    bound, stubber = _seen_by_targets()
    stubber.add_client_error("describe_target_health", "Throttling")
    with stubber:
        look = bound.look()

    assert look.seen is Seen.PARTIAL
    assert "Throttling" in look.evidence["blind"]


@pytest.mark.parametrize(
    ("kind", "zones", "says"),
    [
        ("application", "ab", "is in 2 zones, and AWS leaves it in 2 at least"),
        ("network", "a", "is in 1 zones, and AWS leaves it in 1 at least"),
        ("application", "bc", "to be in eu-central-1a, got eu-central-1b, eu-central-1c"),
    ],
)
def test_a_balancer_that_cannot_leave_is_refused(kind: str, zones: str, says: str) -> None:
    """Before anything is touched: too few zones would be left, or it is not in the zone."""
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/0123456789abcdef"
    environment = _changed(az_loss_parts=("balancers", "instances"), load_balancers={"shop": arn})
    environment = dataclasses.replace(
        environment, aws=dataclasses.replace(environment.aws, endpoint_url="http://127.0.0.1:9")
    )
    fault = _lose(environment)
    part = OutageBalancers(zone="a", configuration=fault.configuration, **fault.target["losses"]["balancers"])
    rows = [{"ZoneName": f"eu-central-1{zone}", "SubnetId": f"subnet-0{zone}"} for zone in zones]
    with Stubber(aws.client("elbv2", fault.configuration)) as stub:
        found = {"LoadBalancerArn": arn, "Type": kind, "AvailabilityZones": rows}
        stub.add_response("describe_load_balancers", {"LoadBalancers": [found]})
        with pytest.raises(FaultError, match=says):
            part.prior()
