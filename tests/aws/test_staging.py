"""An environment in AWS: what carries the tags is found, what is wrong refused, and nothing changed by looking."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import GuardrailError, IdentityError, StormproofError, UnavailableError
from stormproof.model.environment import Environment
from stormproof.spec.environment_file import load_environment
from stormproof.staging.environment import discover, readings
from support.command import ROOT, stormproof
from support.emulated_aws import (
    ACCOUNT,
    READY,
    REGION,
    Call,
    Estate,
    Recorder,
    environment_file,
    recorder,
    state_of,
)
from support.mailbox import mailbox

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

NOW = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def wire(estate: Estate) -> Iterator[Recorder]:
    """A recorder in front of the estate."""
    with recorder(estate.url) as running:
        yield running


def _discover(estate: Estate, folder: Path, *, seed: int | None = None, **settings: Any) -> Environment:
    path = environment_file(estate, folder, **settings)
    cloud = load_environment(path.parent, "staging").cloud
    assert cloud is not None
    return discover("staging", cloud, seed=seed)


def test_what_carries_the_tags_and_runs_is_found(estate: Estate, tmp_path: Path) -> None:
    """In its zone; what lacks a tag, or does not run, does not exist."""
    environment = _discover(estate, tmp_path)
    assert environment.cloud is not None

    assert {zone: [one.id for one in own] for zone, own in environment.zones.items()} == estate.instances
    assert {name: list(zone.subnets) for name, zone in environment.cloud.zones.items()} == {
        zone: [subnet] for zone, subnet in estate.subnets.items()
    }
    assert environment.cloud.clusters[0].members == {"orders-a": f"{REGION}a", "orders-b": f"{REGION}b"}
    assert environment.cloud.clusters[0].writer == "orders-a"
    assert [one.name for one in environment.cloud.scaling_groups] == ["shop"]
    assert set(environment.cloud.target_groups) == {"shop"}
    assert environment.health_check is not None
    assert environment.health_check.interval_s == 30, "as the target group has it"
    assert environment.simulated


def test_a_seed_chooses_and_repeats(estate: Estate, tmp_path: Path) -> None:
    """The order of a zone's instances is the seed's: some seed differs, and each is the same twice."""
    orders = [[one.id for one in _discover(estate, tmp_path, seed=seed).zones["a"]] for seed in (1, 1, 2, 3, 4, 5)]

    assert orders[0] == orders[1]
    assert len({tuple(one) for one in orders}) == 2
    assert {frozenset(one) for one in orders} == {frozenset(estate.instances["a"])}


def test_a_plan_and_a_dry_run_only_read(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """By the names of the calls on the wire, identity before everything, as our own user agent; the state is equal."""
    shutil.copytree(ROOT / "experiments/az-loss", tmp_path / "az-loss")
    letters = mailbox(estate.client)
    environment_file(estate, tmp_path / "environments", url=wire.url, notify={"topic": letters.topic})
    before = state_of(estate)

    planned = stormproof("plan", tmp_path / "az-loss", "--env", "staging")
    assert planned.code == 0, planned.err
    assert wire.calls[1].operation == "GetCallerIdentity"  # after AssumeRole
    looked = stormproof("run", tmp_path / "az-loss", "--env", "staging", "--dry-run", "--json")
    assert looked.code == 0, looked.err
    assert "limits.duration of 3m may end the run early" in looked.err

    assert [one.operation for one in wire.calls if one.changes] == []
    assert letters.letters() == []
    assert f"would be told when it begins, is aborted and has ended: {letters.topic}" in planned.out
    assert all(one.user_agent.endswith(" stormproof") for one in wire.calls)
    assert state_of(estate) == before
    for instance in estate.instances["a"]:
        assert instance in planned.out
    fault = looked.document["faults"][0]
    assert fault["seen"] == "whole"
    assert fault["now"]["scaling"] == {"suspended": {"shop": ["AZRebalance"]}}
    assert fault["now"]["databases"] == {"writers": {"orders": {"writer": "orders-a", "heir": "orders-b"}}}


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"aws": {"account": "999999999999"}}, IdentityError, "expected account 999999999999, got 123456789012"),
        ({"aws": {"partition": "aws-us-gov"}}, IdentityError, "expected partition aws-us-gov, got aws"),
        (
            {"zones": {"a": {"id": "use1-az9", "name": "us-east-1a"}}},
            GuardrailError,
            "expected us-east-1a to be use1-az9",
        ),
        ({"tags": {**READY, "app": "shoe"}, "target_groups": ["shop"]}, UnavailableError, "expected running instances"),
        ({"auto_scaling_groups": ["shop", "shoe"]}, UnavailableError, "auto_scaling_groups: expected shoe in 1234"),
        ({"database_clusters": ["orders", "bills"]}, UnavailableError, "database_clusters: expected bills"),
        ({"target_groups": ["shop", "shoe"]}, UnavailableError, "DescribeTargetGroups: TargetGroupNotFound"),
        ({"instances": {"address": "tag:url"}}, UnavailableError, "expected a URL in tag url of i-"),
        ({"instances": {"address": "none", "most": 5}}, GuardrailError, "at most 5 running instances .* got 6"),
        ({"alarms": {"guard": ["shop"]}}, UnavailableError, "alarms: expected shop, got none"),
    ],
)
def test_what_does_not_fit_is_refused(
    estate: Estate, tmp_path: Path, changes: dict[str, Any], kind: type[StormproofError], says: str
) -> None:
    """With what was expected and what was there; each before anything is touched."""
    where = {"account": ACCOUNT, "region": REGION, "endpoint": estate.url, **changes.pop("aws", {})}
    with pytest.raises(kind, match=says):
        _discover(estate, tmp_path, aws=where, **changes)


def test_what_is_there_without_the_tags_is_refused(scratch: Estate, tmp_path: Path) -> None:
    """A name in the file is no permission: the owner's tag is."""
    scratch.client("rds").remove_tags_from_resource(
        ResourceName=f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:orders", TagKeys=["chaos-ready"]
    )

    with pytest.raises(UnavailableError, match=r"expected orders with the tags \{'chaos-ready': 'true'\}"):
        _discover(scratch, tmp_path)


def test_an_account_that_calls_itself_production_is_refused(scratch: Estate, tmp_path: Path) -> None:
    """Unless the file says that it is meant."""
    scratch.client("iam").create_account_alias(AccountAlias="acme-prod")
    where = {"account": ACCOUNT, "region": REGION, "endpoint": scratch.url}

    with pytest.raises(GuardrailError, match="calls itself 'acme-prod'"):
        _discover(scratch, tmp_path)
    assert _discover(scratch, tmp_path, aws={**where, "production": True}).zones["a"]


@pytest.mark.parametrize(
    ("operation", "answer", "says", "attempts"),
    [
        ("DescribeSubnets", (403, "ExpiredToken"), "the credentials have expired", 2),  # once more as the role anew
        ("DescribeInstances", (403, "UnauthorizedOperation"), "--iam-policy", 1),
        ("DescribeInstances", (503, "RequestLimitExceeded"), "we asked three times and stopped", 3),
    ],
)
def test_what_aws_refuses_is_said_with_what_to_do(
    estate: Estate, wire: Recorder, tmp_path: Path, operation: str, answer: tuple[int, str], says: str, attempts: int
) -> None:
    """And is not asked for without end: a throttled API is not helped by us."""

    def refuse(call: Call) -> tuple[int, str] | None:
        return answer if call.operation == operation else None

    wire.refuse = refuse
    with pytest.raises(UnavailableError, match=f"{operation}: {answer[1]}.*nothing was touched") as error:
        _discover(estate, tmp_path, url=wire.url)

    assert says in str(error.value)
    assert [one.operation for one in wire.calls].count(operation) == attempts


def _alarm(estate: Estate, name: str, state: str) -> str:
    cloudwatch = estate.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name, MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1, Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="the test")
    return str(cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["AlarmArn"])


@pytest.mark.parametrize("role", ["guard", "expected"])
def test_an_alarm_in_alarm_refuses(scratch: Estate, tmp_path: Path, role: str) -> None:
    """An experiment on a sick system proves nothing."""
    arn = _alarm(scratch, "shop-5xx", "OK")
    found = _discover(scratch, tmp_path, alarms={role: ["shop-5xx"]}).cloud
    assert found is not None
    assert {"guard": found.alarms_guard, "expected": found.alarms_expected}[role] == {"shop-5xx": arn}

    _alarm(scratch, "shop-5xx", "ALARM")
    with pytest.raises(GuardrailError, match="expected none in ALARM before the start, got shop-5xx"):
        _discover(scratch, tmp_path, alarms={role: ["shop-5xx"]})


def test_a_metric_without_data_says_so(scratch: Estate, tmp_path: Path) -> None:
    """chaostoolkit-aws says 0 there, and "errors ≤ 5" holds on a metric that does not exist: ours never does."""
    sli = {"namespace": "Shop", "metric": "errors", "statistic": "Sum"}
    slis = {"errors": sli, "missing": {**sli, "metric": "no-such"}}
    scratch.client("cloudwatch").put_metric_data(
        Namespace="Shop",
        MetricData=[{"MetricName": "errors", "Timestamp": NOW - dt.timedelta(seconds=90), "Value": 7.0}],
    )

    seen = readings(_discover(scratch, tmp_path, slis=slis), now=NOW)["slis"]

    assert seen["errors"]["value"] == 7.0
    assert seen["missing"] == {"value": "no data", "at": None}


def test_whom_nobody_can_tell_is_an_error(scratch: Estate, tmp_path: Path) -> None:
    """A topic that is gone is found before the run, not at its end."""
    arn = scratch.client("sns").create_topic(Name="chaos")["TopicArn"]
    assert readings(_discover(scratch, tmp_path, notify={"topic": arn}), now=NOW)["topic"] == arn

    scratch.client("sns").delete_topic(TopicArn=arn)
    with pytest.raises(UnavailableError, match="GetTopicAttributes: NotFound"):
        readings(_discover(scratch, tmp_path, notify={"topic": arn}), now=NOW)


def test_a_role_is_assumed_again_before_it_expires(
    estate: Estate, wire: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session has the run's name, and one that is nearly over is renewed between two calls of the same client."""
    from stormproof.faults import aws

    monkeypatch.setenv("STORMPROOF_LEDGER", str(tmp_path / "20260304T120000Z-az-loss-x/ledger.jsonl"))
    where = _discover(estate, tmp_path, url=wire.url).aws.configuration
    sts: Any = aws.client("sts", where)

    arn = sts.get_caller_identity()["Arn"]
    assert arn.endswith(":assumed-role/stormproof-staging/stormproof-20260304T120000Z-az-loss-x")
    assumed = [one.operation for one in wire.calls].count("AssumeRole")
    credentials = sts._request_signer._credentials
    credentials._expiry_time = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)  # as it will be in an hour
    sts.get_caller_identity()
    assert [one.operation for one in wire.calls].count("AssumeRole") == assumed + 1


def test_what_cannot_be_done_in_aws_says_so(tmp_path: Path) -> None:
    """Before anybody is asked anything: what a Chaos Toolkit experiment would touch there, only its code knows."""
    (tmp_path / "environments").mkdir()
    shutil.copy(ROOT / "experiments/environments/staging.example.yaml", tmp_path / "environments/staging.yaml")
    plain = tmp_path / "plain/experiment.json"
    plain.parent.mkdir()
    plain.write_text(json.dumps({"title": "t", "description": "d", "method": []}))

    done = stormproof("run", plain, "--env", "staging")

    assert done.code == 64, done.err
    assert "run of a plain Chaos Toolkit experiment is not in this version there" in done.err
