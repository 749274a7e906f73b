"""EC2 instances of a zone are terminated: they and what is on their disks are gone for good.

**There is no undo.** Nothing brings an instance back that is terminated. What the workload has instead is its Auto
Scaling group, and the fault asks whether that works: the instances must be in one of the environment's groups, which
must be whole and free to replace them. The undo changes nothing. It waits until every group has as many healthy
instances in service as it wants, without those that were terminated, and each of them is healthy to its group's target
groups. When that has not come after fifteen minutes, the run says that it is not whole, and so does `stormproof undo`
until it is.

An environment must allow it by name: ``guardrails: {allow_no_undo: [instance-terminate]}``. Without that it is refused.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws, instance_power
from stormproof.faults.api_call import ApiCall, arn, reads
from stormproof.faults.aws_look import looked
from stormproof.faults.binding import activities, resolved
from stormproof.faults.instances import InstanceArguments, choose
from stormproof.faults.outage_look import look_at_zone
from stormproof.faults.outage_part import wait_until
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "instance-terminate"
SUMMARY = "Instances of a zone are terminated for good: their Auto Scaling group has to replace them."
CONFIRMED_BY = (
    "none of the instances answers when called directly, past the balancer (or is healthy to its target groups), and"
    " their groups have not replaced them yet; no effect on the workload is asked for"
)
UNDONE_BY = (
    "nothing: the instances are gone; it is whole again when the Auto Scaling groups are at their desired capacity with"
    " other instances, all healthy at the balancer, and not before"
)
ENVIRONMENTS = ("aws",)
EXAMPLE: dict[str, Any] = {"zone": "a"}
HAS_UNDO = False  # guardrails must allow it

REPLACED_WITHIN_S = 900.0  # noticed, launched, started, found healthy
EVERY_S = 5.0  # a look is a call per target group
UNTOUCHED_FOR_S = 10.0  # EC2 may call an instance running for seconds after it was told to terminate it
_NEEDED = ("AddToLoadBalancer", "HealthCheck", "Launch", "ReplaceUnhealthy", "Terminate")  # processes of a group


class Arguments(InstanceArguments):
    """What the spec says of an `instance-terminate`."""


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to instances; `InputError` for an unknown zone, or an environment without groups."""
    cloud = environment.cloud
    if cloud is None or not cloud.scaling_groups:
        raise InputError(
            where=where,
            what=f"faults: {KIND}",
            expected="an environment with auto_scaling_groups, which replace what is terminated",
            got=f"{environment.name!r}, which has none",
        )
    chosen = choose(arguments, environment, kind=KIND, where=where)
    groups = [one.name for one in cloud.scaling_groups]
    ids = [one.id for one in chosen]
    target = {
        "zone": arguments.zone,
        "instance_ids": ids,
        "urls": [one.url for one in chosen if one.url],
        "groups": groups,
        "target_groups": list(cloud.target_groups.values()),
    }
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=environment.aws.configuration,
        targets=ids,
        undo=f"none: wait until {', '.join(groups)} have replaced them, and the balancer calls all of them healthy",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceTerminate:
    """Instances, bound."""

    zone: str
    instance_ids: list[str]
    urls: list[str]
    groups: list[str]
    target_groups: list[str]  # ARNs
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 1.0  # each look is a call to AWS
    felt_within_s: ClassVar[float] = 180.0
    gone_within_s: ClassVar[float] = REPLACED_WITHIN_S

    @property
    def what(self) -> str:
        """In words."""
        ids = self.instance_ids
        return f"terminate {len(ids)} instances of zone {self.zone}, which nothing brings back: {', '.join(ids)}"

    @property
    def effect(self) -> dict[str, Any]:
        """None that must show: a workload that is served by the others is what is hoped for."""
        return {}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """EC2's, on these instances only."""
        own = tuple(arn(self.configuration, "ec2", f"instance/{one}") for one in self.instance_ids)
        return (
            *reads(
                "sts:GetCallerIdentity", "ec2:DescribeInstances", "autoscaling:DescribeAutoScalingGroups",
                "elbv2:DescribeTargetHealth",
            ),
            ApiCall(service="ec2", operation="TerminateInstances", purpose="inject", resources=own),
        )  # fmt: skip

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """What each group wants. All must be whole, and be free and able to replace the instances, which must run."""
        rows = instance_power.described(self.instance_ids, self.configuration)
        states = {one["InstanceId"]: one["State"]["Name"] for one in rows}
        if set(states) != set(self.instance_ids) or set(states.values()) != {"running"}:
            raise FaultError(f"{KIND}: expected {', '.join(self.instance_ids)} to be running, got {states}")
        found = self._described()
        members = {one["InstanceId"]: name for name, group in found.items() for one in group["Instances"]}
        if alone := sorted(set(self.instance_ids) - set(members)):
            raise FaultError(
                f"{KIND}: expected instances of {', '.join(self.groups)}, got {', '.join(alone)}, which nothing would"
                " replace"
            )
        for name in sorted({members[one] for one in self.instance_ids}):
            _check_able(name, found[name])
        if missing := self._missing(found, without=()):
            raise FaultError(f"{KIND}: expected the groups to be whole before, got: {missing}")
        return {"desired": {name: int(group["DesiredCapacity"]) for name, group in found.items()}}

    def act(self) -> None:
        """Terminate them all in one call."""
        client: Any = aws.client("ec2", self.configuration)
        client.terminate_instances(InstanceIds=self.instance_ids)

    def look(self) -> Look:
        """Call each instance, or ask the target groups; when all are out: have the groups replaced them?"""
        own = look_at_zone(self.instance_ids, self.urls, self.target_groups, self.configuration)
        if own.seen is not Seen.BROKEN:
            return own
        return looked(lambda: self._look_at_groups(own))

    def _look_at_groups(self, own: Look) -> Look:
        missing = self._missing(self._described(), without=self.instance_ids)
        seen = Seen.BROKEN if missing else Seen.WHOLE
        return Look(seen=seen, evidence={**own.evidence, "groups": missing or "whole without them"})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Wait until the groups are whole without the instances, or the instances run as ever: they were not touched.

        Raises `FaultError` when that does not come, and for a group that wants fewer instances than before.
        """
        began = time.monotonic()
        try:
            wait_until(
                "the Auto Scaling groups to be whole",
                lambda: not self._lacking(waited_s=time.monotonic() - began),
                within_s=REPLACED_WITHIN_S,
                every_s=EVERY_S,
            )
        except FaultError as error:
            missing = self._lacking(waited_s=REPLACED_WITHIN_S)
            raise FaultError(f"{KIND}: {error}: {missing}", hint="see what the group says of its activities") from error
        now = {name: int(group["DesiredCapacity"]) for name, group in self._described().items()}
        fewer = {
            name: f"{now[name]} instead of {before}" for name, before in prior["desired"].items() if now[name] < before
        }
        if fewer:
            raise FaultError(
                f"{KIND}: groups want fewer instances than before: {fewer}; somebody else changed it since; left alone"
            )

    def _lacking(self, *, waited_s: float) -> str:
        """What keeps it from being whole; "" when it is. Instances that were not touched count, once that is sure."""
        rows = instance_power.described(self.instance_ids, self.configuration)
        untouched = {one["State"]["Name"] for one in rows} == {"running"} and len(rows) == len(self.instance_ids)
        if untouched and waited_s < UNTOUCHED_FOR_S:
            return "its instances are still called running"
        return self._missing(self._described(), without=() if untouched else self.instance_ids)

    def _missing(self, found: Mapping[str, Any], *, without: Sequence[str]) -> str:
        """What the groups lack, not counting the instances of *without*; "" when they are whole."""
        lacks = []
        for name in self.groups:
            if name not in found:
                lacks.append(f"{name} is gone")
                continue
            group = found[name]
            serving = [
                one["InstanceId"]
                for one in group["Instances"]
                if (one["LifecycleState"], one["HealthStatus"]) == ("InService", "Healthy")
                and one["InstanceId"] not in without
            ]
            if len(serving) < group["DesiredCapacity"]:
                lacks.append(f"{name} has {len(serving)} of {group['DesiredCapacity']} instances in service")
            elif sick := self._sick(serving, group.get("TargetGroupARNs", ())):
                lacks.append(f"{name}: not healthy at the balancer: {sick}")
        return "; ".join(lacks)

    def _sick(self, serving: Sequence[str], target_groups: Sequence[str]) -> dict[str, str]:
        client: Any = aws.client("elbv2", self.configuration)
        sick: dict[str, str] = {}
        for target_group in target_groups:
            rows = client.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
            states = {row["Target"]["Id"]: row["TargetHealth"]["State"] for row in rows}
            sick |= {one: states.get(one, "gone") for one in serving if states.get(one) != "healthy"}
        return sick

    def _described(self) -> dict[str, dict[str, Any]]:
        client: Any = aws.client("autoscaling", self.configuration)
        pages = client.get_paginator("describe_auto_scaling_groups").paginate(AutoScalingGroupNames=self.groups)
        return {group["AutoScalingGroupName"]: group for page in pages for group in page["AutoScalingGroups"]}


def _check_able(name: str, group: Mapping[str, Any]) -> None:
    """*group* can replace what is lost, and somebody says whether it is healthy then."""
    suspended = {one["ProcessName"] for one in group.get("SuspendedProcesses", ())} & set(_NEEDED)
    if suspended:
        raise FaultError(
            f"{KIND}: {name} has processes suspended, and would replace nothing: {', '.join(sorted(suspended))}",
            hint="stormproof undo --list, or resume them",
        )
    if not group.get("TargetGroupARNs"):
        raise FaultError(
            f"{KIND}: {name} is attached to no target group: nobody would say whether what replaces them is healthy"
        )


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> InstanceTerminate:
    """The fault from the data in a plan or a ledger."""
    return InstanceTerminate(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
