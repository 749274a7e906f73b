"""Part of the loss of a zone in AWS: Auto Scaling groups neither replace what is lost nor throw it away.

A stopped instance is unhealthy to its group, which would terminate it and launch another: then the state before cannot
come back. So these processes are suspended, in the whole group: it has no switch per zone. What remains must do
without new machines, as in a zonal event in which everybody wants some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stormproof.errors import FaultError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, reads
from stormproof.faults.dead_man import Inverse
from stormproof.faults.outage_part import wait_until

PROCESSES = ("AZRebalance", "HealthCheck", "Launch", "ReplaceUnhealthy", "Terminate")
HEALTHY_WITHIN_S = 300.0  # of the balancer's targets, before a group may judge its instances again


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageScaling:
    """The groups of the workload, by name their ARN."""

    groups: dict[str, str]
    instance_ids: list[str]
    target_groups: list[str]  # ARNs
    configuration: Mapping[str, Any]
    kind: str = "az-loss"  # of the fault that it is part of: what its errors begin with

    @property
    def what(self) -> str:
        """In words."""
        return f"keep {', '.join(self.groups)} from launching and from terminating: suspend {', '.join(PROCESSES)}"

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """Auto Scaling's, on these groups only."""
        own = tuple(self.groups.values())
        return (
            *reads("autoscaling:DescribeAutoScalingGroups", "elbv2:DescribeTargetHealth"),
            ApiCall(service="autoscaling", operation="SuspendProcesses", purpose="inject", resources=own),
            ApiCall(service="autoscaling", operation="ResumeProcesses", purpose="undo", resources=own),
        )

    def prior(self) -> dict[str, Any]:
        """What each group has suspended already: that stays so."""
        found = self._suspended()
        if set(found) != set(self.groups):
            raise FaultError(f"{self.kind}: expected the groups {sorted(self.groups)}, got {sorted(found)}")
        return {"suspended": found}

    def act(self, prior: Mapping[str, Any]) -> None:
        """Suspend what is not suspended."""
        client = self._client()
        for group, before in prior["suspended"].items():
            if ours := _ours(before):
                client.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=ours)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Resume what was not suspended before, once the instances are healthy; what others resumed is left so."""
        client, now = self._client(), self._suspended()
        wanted = {
            group: [one for one in _ours(before) if one in now.get(group, ())]
            for group, before in prior["suspended"].items()
        }
        if any(wanted.values()):
            wait_until(
                f"the balancer to call {', '.join(self.instance_ids)} healthy (until then the groups stay suspended)",
                self._all_healthy,
                within_s=HEALTHY_WITHIN_S,
            )
        for group, processes in wanted.items():
            if processes:
                client.resume_processes(AutoScalingGroupName=group, ScalingProcesses=processes)
        if gone := sorted(set(prior["suspended"]) - set(now)):
            raise FaultError(f"{self.kind}: the groups {gone} are gone; somebody else deleted them since")
        changed = {
            group: missing
            for group, before in prior["suspended"].items()
            if (missing := sorted(set(before) - set(now[group])))
        }
        if changed:
            raise FaultError(
                f"{self.kind}: processes that were suspended before are not any more: {changed};"
                " somebody else changed them since; left alone"
            )

    def inverse(self, prior: Mapping[str, Any]) -> list[Inverse]:
        """Resume what was not suspended before."""
        return [
            Inverse(
                service="autoscaling",
                operation="resumeProcesses",
                request={"AutoScalingGroupName": group, "ScalingProcesses": _ours(before)},
            )
            for group, before in prior["suspended"].items()
            if _ours(before)
        ]

    def _all_healthy(self) -> bool:
        client: Any = aws.client("elbv2", self.configuration)
        return all(
            row["TargetHealth"]["State"] == "healthy"
            for group in self.target_groups
            for row in client.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
            if row["Target"]["Id"] in self.instance_ids
        )

    def _suspended(self) -> dict[str, list[str]]:
        pages = self._client().get_paginator("describe_auto_scaling_groups")
        return {
            group["AutoScalingGroupName"]: sorted(one["ProcessName"] for one in group.get("SuspendedProcesses", ()))
            for page in pages.paginate(AutoScalingGroupNames=list(self.groups))
            for group in page["AutoScalingGroups"]
        }

    def _client(self) -> Any:
        return aws.client("autoscaling", self.configuration)


def _ours(before: list[str]) -> list[str]:
    return [one for one in PROCESSES if one not in before]
