"""The power of EC2 instances, off and on again: what losing a zone and stopping an instance have in common.

Through chaostoolkit-aws, always with the plan's instance ids (``az=`` alone picks without a state filter and without a
bound). In the lab an instance *is* a process, so real processes die.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from stormproof.errors import FaultError
from stormproof.faults import aws

STOPPING_DEADLINE_S = 60.0  # EC2 refuses to start an instance that is still stopping


def running(ids: Sequence[str], configuration: Mapping[str, Any], *, kind: str) -> dict[str, str]:
    """The state of each instance; `FaultError` unless all of them run."""
    if not ids:
        raise FaultError(f"{kind}: no instance ids to stop", hint="plan against a running environment")
    states = states_of(ids, configuration)
    if set(states) != set(ids) or set(states.values()) != {"running"}:
        raise FaultError(f"{kind}: expected {', '.join(ids)} to be running, got {states}")
    return states


def stop(ids: Sequence[str], configuration: Mapping[str, Any]) -> None:
    """Stop them all in one call, without waiting for the operating system (``Force``)."""
    from chaosaws.ec2.actions import stop_instances

    with aws.aws_environment(configuration):
        stop_instances(instance_ids=list(ids), force=True, configuration={"aws_region": configuration["aws_region"]})


def start_again(before: Mapping[str, str], configuration: Mapping[str, Any], *, kind: str) -> None:
    """Start those that ran in *before* and are stopped; `FaultError` for those that cannot be, after the others."""
    wanted = [name for name, state in before.items() if state == "running"]
    states = _settled(wanted, configuration)
    lost = {
        name: states.get(name, "gone") for name in wanted if states.get(name) not in ("running", "pending", "stopped")
    }
    stopped = [name for name in wanted if states.get(name) == "stopped"]
    if stopped:
        from chaosaws.ec2.actions import start_instances

        with aws.aws_environment(configuration):
            start_instances(instance_ids=stopped, configuration={"aws_region": configuration["aws_region"]})
    if lost:
        raise FaultError(f"{kind}: cannot be started again: {lost}", hint="replace them by hand")


def states_of(ids: Sequence[str], configuration: Mapping[str, Any]) -> dict[str, str]:
    """What EC2 calls each of them."""
    pages = aws.client("ec2", configuration).get_paginator("describe_instances")
    return {
        instance["InstanceId"]: instance["State"]["Name"]
        for page in pages.paginate(InstanceIds=list(ids))
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    }


def described(ids: Sequence[str], configuration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """EC2's description of each that is there. By filter: a call that names one which is gone fails for all."""
    where = [{"Name": "instance-id", "Values": list(ids)}]
    pages = aws.client("ec2", configuration).get_paginator("describe_instances")
    return [
        instance
        for page in pages.paginate(Filters=where)
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    ]


def _settled(names: list[str], configuration: Mapping[str, Any]) -> dict[str, str]:
    """The states once none is `stopping` any more (EC2 takes a while; moto does not)."""
    give_up_at = time.monotonic() + STOPPING_DEADLINE_S
    while True:
        states = states_of(names, configuration)
        if not any(states.get(name) == "stopping" for name in names) or time.monotonic() > give_up_at:
            return states
        time.sleep(0.5)
