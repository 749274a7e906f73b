"""Each fault of an account, wherever it and its undo are cut off: what was there before is there again.

What moto does not make true is made true beside it: a throttled function by the recorder in front of moto, a security
group by a port whose connects hang.
"""

from __future__ import annotations

import io
import json
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import InputError, UnavailableError
from stormproof.faults import aws, catalogue
from stormproof.faults.security_rules import rules_for, rules_of
from stormproof.model.plan import ResolvedFault
from support.aws_fault import Rehearsal, compare, fire, inject, resolve, schedules, undo
from support.emulated_aws import ACCOUNT, READY, REGION, Call, Estate, Recorder, state_of
from support.hanging_port import hanging_port

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

FUNCTION = "thumbnails"
SWITCH = {"role": f"arn:aws:iam::{ACCOUNT}:role/stormproof-scheduler", "after": "1h"}
CALLED = {FUNCTION: {"function": {"name": FUNCTION, "payload": '{"canary": true}'}}}


@pytest.fixture
def function(estate: Estate, wire: Recorder) -> Any:
    """A function of that name with a reserved concurrency of 50, which throttles when it has none; its client."""
    config = json.dumps({"lambda": {"use_docker": False}}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{estate.url}/moto-api/config", data=config, headers=headers)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30).close()
    iam, client = estate.client("iam"), estate.client("lambda")
    if not client.list_functions()["Functions"]:
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = iam.create_role(RoleName=FUNCTION, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("thumbnails.py", "def handle(event, context): return {}")
        client.create_function(
            FunctionName=FUNCTION, Runtime="python3.12", Role=role, Handler="thumbnails.handle",
            Code={"ZipFile": code.getvalue()}, Tags=dict(READY),
        )  # fmt: skip
    client.put_function_concurrency(FunctionName=FUNCTION, ReservedConcurrentExecutions=50)

    def refuse(call: Call) -> tuple[int, str] | None:
        if call.operation == "Invoke" and _reserved(client) == 0:
            return 429, "TooManyRequestsException"
        return None

    wire.refuse = refuse
    return client


def _reserved(client: Any) -> int | None:
    found = client.get_function_concurrency(FunctionName=FUNCTION).get("ReservedConcurrentExecutions")
    return None if found is None else int(found)


@pytest.fixture
def group(estate: Estate, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A security group and the address behind it: a connect hangs while no rule covers its port.

    Three rules do, one by a range, one with a description and a tag; a fourth is for another port.
    """
    ec2 = estate.client("ec2")
    vpc = ec2.describe_subnets(SubnetIds=[estate.subnets["a"]])["Subnets"][0]["VpcId"]
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": k, "Value": v} for k, v in READY.items()]}]
    made = ec2.create_security_group(
        GroupName=tmp_path.name, Description="of a test", VpcId=vpc, TagSpecifications=tags
    )["GroupId"]
    asked: dict[str, Any] = {"port": 0}

    def is_cut() -> bool:
        return bool(asked["port"]) and not rules_for(asked["port"], rules_of(ec2, made))

    with hanging_port(is_cut) as address:
        port = int(address.rpartition(":")[2])
        ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=_permissions(made, port))
        asked["port"] = port
        yield made, address
    ec2.delete_security_group(GroupId=made)


def _permissions(group: str, port: int) -> list[dict[str, Any]]:
    here = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
    return [
        {**here, "IpRanges": [{"CidrIp": "10.0.0.0/16", "Description": "the shop"}, {"CidrIp": "10.9.0.0/16"}]},
        {**here, "FromPort": port - 5, "UserIdGroupPairs": [{"GroupId": group, "UserId": ACCOUNT}]},
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]},
    ]


def _rules(estate: Estate, group: str) -> dict[str, Any]:
    return {f"rule {at}": rule.document() for at, rule in enumerate(rules_of(estate.client("ec2"), group))}


def _cut(estate: Estate, folder: Path, url: str, group: tuple[str, str]) -> ResolvedFault:
    called = {"ledger": {"address": group[1], "security_group": group[0]}}
    return resolve(estate, folder, url, "dependency-cut", {"dependency": "ledger"}, dependencies=called)


def _instances(estate: Estate) -> dict[str, Any]:
    """By zone and number: ids differ from run to run."""
    state = state_of(estate)
    return {
        "suspended": state["suspended"],
        "writers": state["writers"],
        **{
            f"{zone}{at}": state["instances"][one]
            for zone, own in estate.instances.items()
            for at, one in enumerate(own)
        },
    }


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [("instance-stop", {"zone": "a", "count": 1}), ("database-failover", {"cluster": "orders"})],
)
def test_the_state_before_comes_back_wherever_it_is_cut_off(
    estate: Estate, wire: Recorder, tmp_path: Path, kind: str, arguments: dict[str, Any]
) -> None:
    """As data, in the golden file: what was called, what changed, what undid it, and that nothing was left."""
    fault = resolve(estate, tmp_path / "env", wire.url, kind, arguments)
    rows = Rehearsal(fault=fault, wire=wire, state=lambda: _instances(estate), folder=tmp_path).run()

    compare(kind, rows)


def test_balancers_leave_the_zone_and_come_back(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """Out before the instances stop, back after they run: the same subnets, wherever it is cut off."""
    parts = {"parts": ["balancers", "instances"]}
    fault = resolve(estate, tmp_path / "env", wire.url, "az-loss", {"zone": "a"}, az_loss=parts)
    rows = Rehearsal(
        fault=fault,
        wire=wire,
        state=lambda: {**_instances(estate), "zones of shop": _zones_of_balancer(estate)},
        folder=tmp_path,
    ).run()

    compare("az-loss-balancers", rows)
    assert rows[0]["whole"] == ["SetSubnets", "StopInstances"]
    assert rows[0]["undone_by"] == ["StartInstances", "SetSubnets"]


def _zones_of_balancer(estate: Estate) -> list[str]:
    balancer = estate.client("elbv2").describe_load_balancers(Names=["shop"])["LoadBalancers"][0]
    return sorted(row["ZoneName"] for row in balancer["AvailabilityZones"])


def test_subnets_that_somebody_else_set_are_left_alone(scratch: Estate, tmp_path: Path) -> None:
    """Another subnet than before: named, and not put back over their heads; the instances run again."""
    parts = {"parts": ["balancers", "instances"]}
    fault = resolve(scratch, tmp_path / "env", scratch.url, "az-loss", {"zone": "a"}, az_loss=parts)
    inject(fault, tmp_path / "run")
    elbv2 = scratch.client("elbv2")
    arn = elbv2.describe_load_balancers(Names=["shop"])["LoadBalancers"][0]["LoadBalancerArn"]
    vpc = scratch.client("ec2").describe_subnets(SubnetIds=[scratch.subnets["b"]])["Subnets"][0]["VpcId"]
    other = scratch.client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.0.9.0/24", AvailabilityZone=f"{REGION}b")
    theirs = [scratch.subnets["c"], other["Subnet"]["SubnetId"]]
    elbv2.set_subnets(LoadBalancerArn=arn, Subnets=theirs)
    left = undo(tmp_path / "run")

    assert "balancers: az-loss: load balancers have subnets that are neither ours" in left[0]["reason"]
    assert _zones_of_balancer(scratch) == [f"{REGION}b", f"{REGION}c"]
    assert {state_of(scratch)["instances"][one] for one in scratch.instances["a"]} == {"running"}


@pytest.mark.parametrize("before", [50, None])
def test_a_functions_concurrency_is_what_it_was(
    estate: Estate, wire: Recorder, function: Any, tmp_path: Path, before: int | None
) -> None:
    """A number comes back as that number, and none as none; the invocations between are throttled."""
    if before is None:
        function.delete_function_concurrency(FunctionName=FUNCTION)
    arguments = {"dependency": FUNCTION}
    fault = resolve(estate, tmp_path / "env", wire.url, "lambda-concurrency", arguments, dependencies=CALLED)
    rows = Rehearsal(
        fault=fault,
        wire=wire,
        state=lambda: {"reserved": _reserved(function)},
        folder=tmp_path,
        spare=("lambda:DeleteFunctionConcurrency",) if before else (),
    ).run()

    compare(f"lambda-concurrency-{before}", rows)


@pytest.mark.parametrize("kind", ["database-failover", "lambda-concurrency", "dependency-cut"])
def test_a_fault_that_does_nothing_is_not_felt(
    estate: Estate, wire: Recorder, group: tuple[str, str], tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """The negative control: everything but the act, and nothing is changed."""
    if kind == "lambda-concurrency":
        request.getfixturevalue("function")
    called = {**CALLED, "ledger": {"address": group[1], "security_group": group[0]}} if "-c" in kind else {}
    if kind == "dependency-cut":
        called.pop(FUNCTION)
    example = catalogue.module(kind).EXAMPLE
    fault = resolve(estate, tmp_path / "env", wire.url, kind, example, dependencies=called)
    request.getfixturevalue("monkeypatch").setattr(
        type(catalogue.bind(kind, fault.target, fault.configuration)), "felt_within_s", 1.5
    )

    assert inject(fault, tmp_path / "run", noop=True)["felt"] is False
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert wire.changes == []


def test_a_concurrency_that_somebody_else_set_is_left_alone(
    estate: Estate, wire: Recorder, function: Any, tmp_path: Path
) -> None:
    """Neither ours nor the former one: named, and not overwritten; chaostoolkit-aws would delete it."""
    arguments = {"dependency": FUNCTION}
    fault = resolve(estate, tmp_path / "env", wire.url, "lambda-concurrency", arguments, dependencies=CALLED)
    inject(fault, tmp_path / "run")
    function.put_function_concurrency(FunctionName=FUNCTION, ReservedConcurrentExecutions=7)
    left = undo(tmp_path / "run")

    assert "is 7, neither ours (0) nor the one before (50): somebody else changed it since" in left[0]["reason"]
    assert _reserved(function) == 7


def test_chaostoolkit_aws_loses_the_former_concurrency(estate: Estate, function: Any) -> None:
    """Why ours: its way back from 0 is to delete the setting, whatever was there before."""
    from chaosaws.awslambda.actions import delete_function_concurrency, put_function_concurrency

    with aws.aws_environment({"aws_endpoint_url": estate.url, "aws_region": REGION}):
        put_function_concurrency(function_name=FUNCTION, concurrent_executions=0)
        delete_function_concurrency(function_name=FUNCTION)

    assert _reserved(function) is None


def test_a_function_that_is_not_there_or_not_tagged_is_no_target(estate: Estate, function: Any, tmp_path: Path) -> None:
    """A name in the file is no permission."""
    other = {"shoes": {"function": {"name": "shoes", "payload": "{}"}}}
    arguments = {"dependency": "shoes"}
    with pytest.raises(UnavailableError, match=r"dependencies.shoes.function: expected shoes in 1234.* got none"):
        resolve(estate, tmp_path / "env", estate.url, "lambda-concurrency", arguments, dependencies=other)
    arn = function.get_function(FunctionName=FUNCTION)["Configuration"]["FunctionArn"]
    function.untag_resource(Resource=arn, TagKeys=["chaos-ready"])
    try:
        with pytest.raises(UnavailableError, match=r"expected thumbnails with the tags \{'chaos-ready': 'true'\}"):
            resolve(estate, tmp_path, estate.url, "lambda-concurrency", {"dependency": FUNCTION}, dependencies=CALLED)
    finally:
        function.tag_resource(Resource=arn, Tags=dict(READY))


def test_rules_are_what_they_were_wherever_it_is_cut_off(
    estate: Estate, wire: Recorder, group: tuple[str, str], tmp_path: Path
) -> None:
    """With their descriptions; rules for other ports are never touched, and a connect hangs meanwhile."""
    fault = _cut(estate, tmp_path / "env", wire.url, group)
    rows = Rehearsal(fault=fault, wire=wire, state=lambda: _rules(estate, group[0]), folder=tmp_path).run()

    compare("dependency-cut", rows)


def test_a_rule_that_somebody_else_made_is_left_as_it_is(
    estate: Estate, wire: Recorder, group: tuple[str, str], tmp_path: Path
) -> None:
    """The same way in, in other words: it stays theirs and is named; the others come back; what is new stays."""
    inject(_cut(estate, tmp_path / "env", wire.url, group), tmp_path / "run")
    port = int(group[1].rpartition(":")[2])
    here = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
    theirs = [{"CidrIp": "10.0.0.0/16", "Description": "theirs"}, {"CidrIp": "10.8.0.0/16"}]
    estate.client("ec2").authorize_security_group_ingress(
        GroupId=group[0], IpPermissions=[{**here, "IpRanges": theirs}]
    )
    left = undo(tmp_path / "run")
    rules = rules_of(estate.client("ec2"), group[0])

    assert f"tcp {port}-{port} from 10.0.0.0/16; somebody else changed them since" in left[0]["reason"]
    assert {rule.source: rule.description for rule in rules if rule.source.endswith("16")} == {
        "10.0.0.0/16": "theirs",
        "10.8.0.0/16": "",
        "10.9.0.0/16": "",
    }
    assert group[0] in {rule.source for rule in rules}


def test_what_has_another_way_says_which(estate: Estate, function: Any, tmp_path: Path) -> None:
    """A time-out asked of a function: the error names how the file lets it be broken."""
    arguments = {"dependency": FUNCTION, "delay": "3s"}
    with pytest.raises(InputError) as error:
        resolve(estate, tmp_path, estate.url, "dependency-timeout", arguments, dependencies=CALLED)

    assert error.value.hint == (
        "the environment's file says that thumbnails is broken by lambda-concurrency by its `function`"
    )


def test_a_third_writer_is_left_where_it_is(scratch: Estate, tmp_path: Path) -> None:
    """Somebody failed the cluster over since: nothing is failed back over their heads."""
    rds = scratch.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="orders-c", DBClusterIdentifier="orders", DBInstanceClass="db.r6g.large",
        Engine="aurora-postgresql", AvailabilityZone=f"{REGION}c",
    )  # fmt: skip
    fault = resolve(
        scratch, tmp_path / "env", scratch.url, "database-failover", {"cluster": "orders", "to": "orders-b"}
    )
    inject(fault, tmp_path / "run")
    rds.failover_db_cluster(DBClusterIdentifier="orders", TargetDBInstanceIdentifier="orders-c")
    left = undo(tmp_path / "run")

    assert "neither ours nor the ones before: {'orders': 'orders-c'}" in left[0]["reason"]
    assert state_of(scratch)["writers"] == {"orders": ["orders-c"]}


def test_chaostoolkit_aws_cannot_fail_over_without_a_target(estate: Estate) -> None:
    """Why ours: asked for the ordinary failover, it sends nothing for the member's name and fails."""
    from chaosaws.rds.actions import failover_db_cluster
    from chaoslib.exceptions import FailedActivity

    with (
        aws.aws_environment({"aws_endpoint_url": estate.url, "aws_region": REGION}),
        pytest.raises(FailedActivity, match="Invalid type for parameter TargetDBInstanceIdentifier"),
    ):
        failover_db_cluster(db_cluster_identifier="orders")


@pytest.mark.parametrize("before", [50, None])
def test_nobody_is_left_and_the_function_is_what_it_was(
    estate: Estate, wire: Recorder, function: Any, tmp_path: Path, before: int | None
) -> None:
    """The dead man's switch alone brings the former number back, or takes the setting away; the undo takes the rest."""
    if before is None:
        function.delete_function_concurrency(FunctionName=FUNCTION)
    arguments = {"dependency": FUNCTION}
    fault = resolve(
        estate, tmp_path / "env", wire.url, "lambda-concurrency", arguments, dependencies=CALLED, dead_man=SWITCH
    )
    assert inject(fault, tmp_path / "run")["felt"]
    assert _reserved(function) == 0
    fire(estate)

    assert _reserved(function) == before
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert schedules(estate) == []


def test_nobody_is_left_and_the_rules_are_there(
    estate: Estate, wire: Recorder, group: tuple[str, str], tmp_path: Path
) -> None:
    """Each rule by a schedule of its own, so that one which somebody put back keeps none of the others out."""
    before = _rules(estate, group[0])
    called = {"ledger": {"address": group[1], "security_group": group[0]}}
    fault = resolve(
        estate, tmp_path / "env", wire.url, "dependency-cut", {"dependency": "ledger"}, dependencies=called,
        dead_man=SWITCH,
    )  # fmt: skip
    assert inject(fault, tmp_path / "run")["felt"]
    assert len(schedules(estate)) == 3
    fire(estate)

    assert _rules(estate, group[0]) == before
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert schedules(estate) == []


def test_nobody_is_left_and_the_balancer_is_in_the_zone(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """And the instances run, each by its schedule."""
    before = (_zones_of_balancer(estate), _instances(estate))
    parts = {"parts": ["balancers", "instances"]}
    fault = resolve(estate, tmp_path / "env", wire.url, "az-loss", {"zone": "a"}, az_loss=parts, dead_man=SWITCH)
    assert inject(fault, tmp_path / "run")["felt"]
    assert _zones_of_balancer(estate) != before[0]
    fire(estate)

    assert (_zones_of_balancer(estate), _instances(estate)) == before
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert schedules(estate) == []
