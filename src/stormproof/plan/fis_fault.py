"""One fault → FIS targets and actions: which there are, and for which faults there are none.

Action ids, their parameters and the keys of their targets are those of the FIS user guide's action reference
(2026-05). Resources are found by FIS itself, by the environment's tags and the zone, when the experiment starts: at
most five ARNs fit into a target, and what was tagged since the plan counts as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stormproof.errors import InputError

if TYPE_CHECKING:
    from stormproof.model.cloud import Cloud, CloudZone
    from stormproof.model.environment import Environment
    from stormproof.model.plan import ResolvedFault

_NO_HTTP = (
    "FIS has no fault between a workload and what it calls over HTTP; its latency and loss of packets"
    " (AWSFIS-Run-Network-*, aws:ecs:task-network-*) are other faults"
)
_NO_PROCESS = "FIS reaches a process only through an SSM document, which takes it by name and brings nothing back"
# Kind → why FIS cannot do it as the spec means it. Every kind is here or in `break_with_fis`; a test says so.
LACKING: dict[str, str] = {
    "bad-deploy": "FIS releases nothing",
    "capacity-denied": "FIS has it (aws:ec2:api-insufficient-instance-capacity-error), and in the lab `stormproof run`"
    " starts it there; compiling it is not in this version",
    "composite": "its parts have offsets and outlive each other; compile each part's kind by itself",
    "control-plane-denied": "FIS injects errors into the APIs of EC2 and Kinesis only, and no denials",
    "cpu-stress": _NO_PROCESS,
    "database-failover": "FIS has it (aws:rds:failover-db-cluster), chooses the heir itself and does not fail back",
    "database-reboot": "FIS has it (aws:rds:reboot-db-instances), and does not fail back; compiling it is not in this"
    " version",
    "dependency-bad-tls": _NO_HTTP,
    "dependency-cut": "FIS changes no security group, and its ACLs cut whole subnets off (az-loss, mode: network)",
    "dependency-dns": "FIS has no fault of name resolution",
    "dependency-error": _NO_HTTP,
    "dependency-latency": _NO_HTTP,
    "dependency-refuse": _NO_HTTP,
    "dependency-reset": _NO_HTTP,
    "dependency-timeout": _NO_HTTP,
    "instance-stop": "FIS has it (aws:ec2:stop-instances); compiling it is not in this version",
    "instance-terminate": "FIS has it (aws:ec2:terminate-instances); compiling it is not in this version",
    "key-stale": "FIS changes no parameter of a workload",
    "lambda-concurrency": "FIS delays and fails Lambda's invocations, and throttles none",
    "memory-pressure": _NO_PROCESS,
    "process-kill": _NO_PROCESS,
    "process-pause": _NO_PROCESS,
    "release": "FIS releases nothing",
    "throttling": "FIS throttles the APIs of EC2 and Kinesis only (aws:fis:inject-api-throttle-error), by a share of"
    " the calls and not by a rate",
}

# The same for parts of an AZ loss.
_LACKING_PARTS = {
    "balancers": "FIS takes no load balancer out of a zone",
    "caches": "FIS does not fail over but cuts the power of nodes"
    " (aws:elasticache:replicationgroup-interrupt-az-power); compiling it is not in this version",
}

_DISRUPTED_MAX = "PT2M"  # AWS's own scenario cuts the network for two minutes; the instances are down meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Targets and actions, by name."""

    targets: Mapping[str, Any] = field(default_factory=dict)
    actions: Mapping[str, Any] = field(default_factory=dict)

    def with_(self, other: Broken) -> Broken:
        """Both."""
        return Broken(targets={**self.targets, **other.targets}, actions={**self.actions, **other.actions})


def break_with_fis(fault: ResolvedFault, environment: Environment, *, duration: str) -> Broken:
    """*fault* for *duration* (ISO 8601). Raises `InputError` for one that FIS lacks."""
    if fault.kind != "az-loss" or environment.cloud is None:
        raise InputError(
            where=fault.fault_id, what="faults", expected="a fault that AWS FIS has: az-loss", got=fault.kind,
            hint=LACKING.get(fault.kind),
        )  # fmt: skip
    cloud = environment.cloud
    zone = cloud.zones[str(fault.target["zone"])]
    losses = fault.target["losses"]
    for part, why in _LACKING_PARTS.items():
        if part in losses:
            raise InputError(
                where=fault.fault_id, what="az_loss.parts", expected="parts that AWS FIS has", got=part,
                hint=f"{why}; compile with a file that leaves the part out",
            )  # fmt: skip
    broken = Broken()
    if "instances" in losses:
        broken = broken.with_(_power(cloud, zone, duration))
    if "instances" in losses or "scaling" in losses:
        broken = broken.with_(_launches(cloud, zone, duration))
    if "network" in losses:
        broken = broken.with_(_network(cloud, zone, duration, alone="instances" not in losses))
    if "databases" in losses:
        broken = broken.with_(_databases(cloud, zone))
    return broken


def _power(cloud: Cloud, zone: CloudZone, duration: str) -> Broken:
    """Every running instance of the zone is stopped, and started again by FIS itself when the time is over."""
    return Broken(
        targets={
            "zone-instances": {
                "resourceType": "aws:ec2:instance",
                "resourceTags": dict(cloud.tags),
                "filters": [
                    {"path": "Placement.AvailabilityZone", "values": [zone.az_name]},
                    {"path": "State.Name", "values": ["running"]},
                ],
                "selectionMode": "ALL",
            }
        },
        actions={
            "stop-instances": {
                "actionId": "aws:ec2:stop-instances",
                "description": f"power of zone {zone.name} is lost",
                "parameters": {"startInstancesAfterDuration": duration, "completeIfInstancesTerminated": "true"},
                "targets": {"Instances": "zone-instances"},
            }
        },
    )


def _launches(cloud: Cloud, zone: CloudZone, duration: str) -> Broken:
    """Nothing starts in the zone: neither by the roles named, nor by the groups. There is no power there."""
    targets: dict[str, Any] = {}
    actions: dict[str, Any] = {}
    refused = {"availabilityZoneIdentifiers": zone.az_name, "duration": duration, "percentage": "100"}
    if cloud.fis is not None and cloud.fis.launch_roles:
        targets["launch-roles"] = {
            "resourceType": "aws:iam:role",
            "resourceArns": list(cloud.fis.launch_roles),
            "selectionMode": "ALL",
        }
        actions["pause-launches"] = {
            "actionId": "aws:ec2:api-insufficient-instance-capacity-error",
            "description": f"the roles get no capacity in zone {zone.name}",
            "parameters": dict(refused),
            "targets": {"Roles": "launch-roles"},
        }
    if cloud.scaling_groups:
        targets["scaling-groups"] = {
            "resourceType": "aws:ec2:autoscaling-group",
            "resourceTags": dict(cloud.tags),
            "selectionMode": "ALL",
        }
        actions["pause-scaling"] = {
            "actionId": "aws:ec2:asg-insufficient-instance-capacity-error",
            "description": f"the groups get no capacity in zone {zone.name}",
            "parameters": dict(refused),
            "targets": {"AutoScalingGroups": "scaling-groups"},
        }
    return Broken(targets=targets, actions=actions)


def _network(cloud: Cloud, zone: CloudZone, duration: str, *, alone: bool) -> Broken:
    """Nothing gets into or out of the zone's subnets; alone for as long as the fault, else while machines go down."""
    return Broken(
        targets={
            "zone-subnets": {
                "resourceType": "aws:ec2:subnet",
                "resourceTags": dict(cloud.tags),
                "parameters": {"availabilityZoneIdentifier": zone.az_name},
                "selectionMode": "ALL",
            }
        },
        actions={
            "disrupt-network": {
                "actionId": "aws:network:disrupt-connectivity",
                "description": f"the network of zone {zone.name} is lost",
                "parameters": {
                    "duration": duration if alone else min(duration, _DISRUPTED_MAX, key=_minutes),
                    "scope": "all",
                },
                "targets": {"Subnets": "zone-subnets"},
            }
        },
    )


def _databases(cloud: Cloud, zone: CloudZone) -> Broken:
    """Each cluster that is written in the zone fails over; FIS chooses the heir, and does not fail back."""
    return Broken(
        targets={
            "zone-writers": {
                "resourceType": "aws:rds:cluster",
                "resourceTags": dict(cloud.tags),
                "parameters": {"writerAvailabilityZoneIdentifiers": zone.az_name},
                "selectionMode": "ALL",
            }
        },
        actions={
            "fail-over-databases": {
                "actionId": "aws:rds:failover-db-cluster",
                "description": "writers in the zone are replaced",
                "targets": {"Clusters": "zone-writers"},
            }
        },
    )


def _minutes(duration: str) -> int:
    return int(duration.removeprefix("PT").removesuffix("M"))
