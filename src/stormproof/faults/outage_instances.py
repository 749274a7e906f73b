"""Part of the loss of a zone in AWS: its instances are stopped, and the same ones started again.

Not through chaostoolkit-aws: its `stop_instances` terminates Spot instances, which nothing brings back, and uses the
process's credentials instead of the plan's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stormproof.errors import FaultError
from stormproof.faults import aws, instance_power
from stormproof.faults.api_call import ApiCall, arn, reads
from stormproof.faults.dead_man import Inverse
from stormproof.faults.outage_part import wait_until

SETTLED_WITHIN_S = 120.0  # from stopping to stopped, hard
RUNNING_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageInstances:
    """The instances of the zone."""

    zone: str
    instance_ids: list[str]
    configuration: Mapping[str, Any]
    kind: str = "az-loss"  # of the fault that it is part of: what its errors begin with

    @property
    def what(self) -> str:
        """In words."""
        return f"stop {len(self.instance_ids)} instances of zone {self.zone}: {', '.join(self.instance_ids)}"

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """EC2's, on these instances only."""
        own = tuple(arn(self.configuration, "ec2", f"instance/{one}") for one in self.instance_ids)
        return (
            *reads("ec2:DescribeInstances"),
            ApiCall(service="ec2", operation="StopInstances", purpose="inject", resources=own),
            ApiCall(service="ec2", operation="StartInstances", purpose="undo", resources=own),
        )

    def prior(self) -> dict[str, Any]:
        """The state of each; all must run, and be of a kind that can be started again."""
        states, spot = {}, []
        for one in self._described():
            states[one["InstanceId"]] = one["State"]["Name"]
            if one.get("InstanceLifecycle") == "spot":
                spot.append(one["InstanceId"])
        if set(states) != set(self.instance_ids) or set(states.values()) != {"running"}:
            raise FaultError(f"{self.kind}: expected {', '.join(self.instance_ids)} to be running, got {states}")
        if spot:
            raise FaultError(
                f"{self.kind}: {', '.join(spot)} are Spot instances, which a stop may lose for good",
                hint="for az-loss: leave `instances` out of az_loss.parts, the network part cuts them off as well",
            )
        return {"states": states}

    def act(self, prior: Mapping[str, Any]) -> None:
        """Stop them all in one call, hard."""
        self._ec2().stop_instances(InstanceIds=list(prior["states"]), Force=True)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Start those that are stopped, and wait until they run; those that are gone are an error, after the others."""
        wanted = [name for name, state in prior["states"].items() if state == "running"]
        wait_until(
            f"{', '.join(wanted)} to be stopped",
            lambda: "stopping" not in self._states(wanted).values(),
            within_s=SETTLED_WITHIN_S,
        )
        states = self._states(wanted)
        stopped = [name for name in wanted if states.get(name) == "stopped"]
        lost = {
            name: states.get(name, "gone")
            for name in wanted
            if states.get(name) not in ("running", "stopped", "pending")
        }
        if stopped:
            self._ec2().start_instances(InstanceIds=stopped)
        there = [name for name in wanted if name not in lost]
        wait_until(
            f"{', '.join(there)} to run",
            lambda: set(self._states(there).values()) <= {"running"},
            within_s=RUNNING_WITHIN_S,
        )
        if lost:
            raise FaultError(f"{self.kind}: cannot be started again: {lost}", hint="replace them by hand")

    def inverse(self, prior: Mapping[str, Any]) -> list[Inverse]:
        """Start them."""
        return [Inverse(service="ec2", operation="startInstances", request={"InstanceIds": sorted(prior["states"])})]

    def _states(self, names: list[str]) -> dict[str, str]:
        """One that is gone for good is not in it: a call that names it would fail for all."""
        return {one["InstanceId"]: one["State"]["Name"] for one in self._described() if one["InstanceId"] in names}

    def _described(self) -> list[dict[str, Any]]:
        return instance_power.described(self.instance_ids, self.configuration)

    def _ec2(self) -> Any:
        return aws.client("ec2", self.configuration)
