"""Releases and capacity in the running lab: what is wanted is rolled out, what is lost is replaced, if it may be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from stormproof.errors import FaultError
from stormproof.faults import catalogue
from stormproof.lab.builds import BROKEN, FIRST
from support.lab import RunningLab, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


def deployment(lab: RunningLab) -> dict[str, Any]:
    """What it says of itself."""
    value = lab.client("ssm").get_parameter(Name="/deployment/shop/status")["Parameter"]["Value"]
    document: dict[str, Any] = json.loads(value)
    return document


def want(lab: RunningLab, release: str) -> None:
    lab.client("ssm").put_parameter(Name="/deployment/shop/wanted", Value=release, Type="String", Overwrite=True)


def test_a_bad_release_is_rolled_back_by_itself(lab: RunningLab) -> None:
    """One instance has it and no second one; and what somebody else has released since is left alone."""
    lab.wait_until_whole()
    resolved = catalogue.resolve("bad-deploy", {}, lab.environment, fault_id="1-bad-deploy")
    fault = catalogue.bind("bad-deploy", resolved.target, resolved.configuration)
    prior, most = fault.prior(), 0

    def rolled_back() -> bool:
        nonlocal most
        status = deployment(lab)
        most = max(most, status["instances"].get(BROKEN.name, 0))
        return bool(status["state"] == "rolled-back")

    try:
        fault.act()
        until(rolled_back, within_s=60, why=lambda: deployment(lab))
        assert most == 1
        until(lambda: all(row["healthy"] for row in lab.status()["instances"]))
        assert not lab.status()["whole"], "what is wanted is still the bad release"

        want(lab, "1.0.1")
        with pytest.raises(FaultError, match=r"1\.0\.1.*somebody else"):
            fault.revert(prior)
    finally:
        want(lab, FIRST.name)
    lab.wait_until_whole()


def test_lost_instances_are_replaced_unless_capacity_is_denied(lab: RunningLab) -> None:
    """The healer's launch is refused, everybody else's granted; when FIS has stopped it gets what it wants."""
    lab.wait_until_whole()
    ec2, lost = lab.client("ec2"), lab.environment.zones["b"][0].id
    resolved = catalogue.resolve("capacity-denied", {}, lab.environment, fault_id="1-capacity-denied")
    fault = catalogue.bind("capacity-denied", resolved.target, resolved.configuration)
    prior = fault.prior()

    def replacements() -> list[dict[str, Any]]:
        filters = [
            {"Name": "tag:replaces", "Values": [lost]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        found = ec2.describe_instances(Filters=filters)["Reservations"]
        return [instance for one in found for instance in one["Instances"]]

    log = lab.directory / "arrivals" / "ec2.jsonl"
    begin = log.stat().st_size

    def refused() -> int:
        rows = [json.loads(line) for line in log.read_bytes()[begin:].splitlines() if line.endswith(b"}")]
        return sum(row["status"] >= 400 for row in rows if "app/shop-fleet" in row["user_agent"])

    try:
        fault.act()
        ec2.stop_instances(InstanceIds=[lost])
        until(lambda: refused() >= 2)  # and it goes on asking
        assert replacements() == []
        ec2.start_instances(InstanceIds=[lost])  # ours is granted
        ec2.stop_instances(InstanceIds=[lost])

        fault.revert(prior)
        until(lambda: len(replacements()) == 1)
        (one,) = replacements()
        assert one["Placement"]["AvailabilityZone"] != "us-east-1b"
    finally:
        fault.revert(prior)
        ec2.start_instances(InstanceIds=[lost])
    until(lambda: replacements() == [])  # it goes when the lost one is back
    lab.wait_until_whole()


def test_fis_ends_what_nobody_stops(lab: RunningLab) -> None:
    """A denial is over when its duration is, whatever became of whoever began it."""
    lab.wait_until_whole()
    assert lab.environment.fleet is not None
    role, running = lab.environment.fleet.role_arn, lab.environment.zones["c"][0].id
    session = lab.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    fis, ec2 = lab.client("fis"), lab.client("ec2", session=session)

    def is_refused() -> bool:
        try:
            ec2.start_instances(InstanceIds=[running])
        except ClientError as error:
            return str(error.response["Error"]["Code"]) == "InsufficientInstanceCapacity"
        return False

    target = {"resourceType": "aws:iam:role", "resourceArns": [role], "selectionMode": "ALL"}
    action = {
        "actionId": "aws:ec2:api-insufficient-instance-capacity-error",
        "parameters": {"duration": "PT2S", "percentage": "100", "availabilityZoneIdentifiers": "us-east-1c"},
        "targets": {"Roles": "roles"},
    }
    template = fis.create_experiment_template(
        clientToken="test", description="test", roleArn="arn:aws:iam::123456789012:role/fis",
        stopConditions=[{"source": "none"}], targets={"roles": target}, actions={"deny": action},
    )["experimentTemplate"]["id"]  # fmt: skip
    try:
        fis.start_experiment(clientToken="test", experimentTemplateId=template)
        assert is_refused()
        until(lambda: not is_refused(), within_s=10)
    finally:
        fis.delete_experiment_template(id=template)
    lab.wait_until_whole()
