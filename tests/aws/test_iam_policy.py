"""`plan --iam-policy`: what a run asks AWS on the wire is in the policy, and what is in the policy exists."""

from __future__ import annotations

import fnmatch
import shutil
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from stormproof.faults import activity, catalogue
from stormproof.faults.ledger import Ledger
from stormproof.model.guardrails import Guardrails
from stormproof.record.layout import RunDirectory
from stormproof.run.notice import Notice
from stormproof.run.people import People
from stormproof.spec.environment_file import load_environment
from stormproof.staging.environment import discover, readings
from support.command import ROOT, stormproof
from support.emulated_aws import READY, Estate, environment_file, recorder
from support.planning import make_experiment

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

# The service in a signature → IAM's prefix, where they differ.
_IAM = {"monitoring": "cloudwatch"}
# IAM's prefix → botocore's service, where they differ.
_BOTOCORE = {"elasticloadbalancing": "elbv2"}
# What a policy cannot give: asking who one is is free, becoming the role is that role's trust to grant.
_NOT_OURS = {"sts:GetCallerIdentity", "sts:AssumeRole"}


def _allowed(policy: dict[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def test_the_calls_on_the_wire_are_in_the_policy(scratch: Estate, tmp_path: Path) -> None:
    """Discovery, guardrails, inject, looks and undo, every part; nothing in it is there for nothing."""
    import datetime as dt

    topic = scratch.client("sns").create_topic(Name="chaos")["TopicArn"]
    scratch.client("cloudwatch").put_metric_alarm(
        AlarmName="shop", MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1, Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    watched = {
        "slis": {"errors": {"namespace": "Shop", "metric": "errors", "statistic": "Sum"}},
        "alarms": {"guard": ["shop"]},
        "notify": {"topic": topic},
        "guardrails": {"tags": dict(READY)},
    }
    shutil.copytree(ROOT / "experiments/az-loss", tmp_path / "az-loss")
    environment_file(scratch, tmp_path / "environments", **watched)
    printed = stormproof("plan", tmp_path / "az-loss", "--env", "staging", "--iam-policy")
    assert printed.code == 0, printed.err

    with recorder(scratch.url) as wire:
        file = load_environment(environment_file(scratch, tmp_path / "wire", url=wire.url, **watched).parent, "staging")
        assert file.cloud is not None
        environment = discover("staging", file.cloud)
        readings(environment, now=dt.datetime.now(dt.UTC))
        fault = catalogue.resolve("az-loss", {"zone": "a"}, environment, fault_id="1-az-loss")
        where = {**fault.configuration, "ledger_path": str(tmp_path / "l"), "events_path": str(tmp_path / "e")}
        bound = catalogue.bind(fault.kind, fault.target, where)
        activity.inject(
            bound, fault_id=fault.fault_id, kind=fault.kind, noop=False, target=fault.target, configuration=where
        )
        undone = activity.undo_outstanding(Ledger(tmp_path / "l"), events_path=None, who="test")
        run = RunDirectory(tmp_path / "run").create()
        notice = Notice.of(make_experiment(), environment, [fault], run, Guardrails())
        people = People.of(environment, notice, ledger=run.ledger)
        people.begins()
        people.settle()
    assert [row["undone"] for row in undone] == [True]

    called = {f"{_IAM.get(one.service, one.service)}:{one.operation}" for one in wire.calls}
    assert called - _NOT_OURS <= _allowed(printed.document)
    assert _allowed(printed.document) - called <= {"ec2:CreateTags", "ec2:DescribeTags"}
    tell = [one for one in printed.document["Statement"] if "sns:Publish" in one["Action"]]
    assert [(one["Action"], one["Resource"]) for one in tell] == [(["sns:Publish"], [topic])]


def test_every_action_exists_in_botocores_models() -> None:
    """By name; and each changing statement names resources of the service whose action it allows."""
    import json

    policy = json.loads((ROOT / "tests/golden/aws/iam-az-loss.json").read_text())
    session = botocore.session.get_session()
    for statement in policy["Statement"]:
        for action in statement["Action"]:
            prefix, operation = action.split(":")
            model = session.get_service_model(_BOTOCORE.get(prefix, prefix))
            assert operation in model.operation_names, action
            for resource in statement["Resource"]:
                assert resource == "*" or fnmatch.fnmatch(resource, f"arn:aws:{prefix}:eu-central-1:123456789012:*")


def test_a_policy_of_the_lab_is_refused(no_lab: dict[str, str]) -> None:
    """Nobody needs rights there."""
    done = stormproof("plan", ROOT / "experiments/az-loss", "--iam-policy", **no_lab)

    assert done.code == 64
    assert "expected an environment of kind aws, got local" in done.err
