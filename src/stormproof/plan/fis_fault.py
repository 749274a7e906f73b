"""One fault → FIS targets and actions: which there are, and for which faults there are none.

Action ids, their parameters and the keys of their targets are those of the FIS user guide's action reference
(2026-05). Resources are found by FIS itself, by the environment's tags and the zone, when the experiment starts: at
most five ARNs fit into a target, and what was tagged since the plan counts as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stormproof.errors import InputError
from stormproof.faults.api_call import arn
from stormproof.faults.capacity_denied import ACTION, GROUP_ACTION, denial, denied_roles
from stormproof.faults.fis_slow import MODE as SLOW

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

_LATENCY_DOCUMENT = "AWSFIS-Run-Network-Latency-Sources"
_JITTER_MS = "10"

# The same for parts of an AZ loss.
_LACKING_PARTS = {
    "balancers": "FIS takes no load balancer out of a zone",
    "caches": "FIS does not fail over but cuts the power of nodes"
    " (aws:elasticache:replicationgroup-interrupt-az-power); compiling it is not in this version",
}

_DISRUPTED_MAX = "PT2M"  # AWS's own scenario cuts the network for two minutes; the instances are down meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """Targets and actions, by name; and what the plan knows each target that FIS looks for to be."""

    targets: Mapping[str, Any] = field(default_factory=dict)
    actions: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, list[str]] = field(default_factory=dict)  # target → ARNs

    def with_(self, other: Broken) -> Broken:
        """Both."""
        return Broken(
            targets={**self.targets, **other.targets},
            actions={**self.actions, **other.actions},
            expected={**self.expected, **other.expected},
        )


def break_with_fis(fault: ResolvedFault, environment: Environment, *, duration: str, is_denied: bool = False) -> Broken:
    """*fault* for *duration* (ISO 8601, whole minutes). Raises `InputError` for one that FIS lacks.

    *is_denied*: launches are refused everywhere by another fault meanwhile, and FIS is not asked for it twice.
    """
    if environment.cloud is not None and fault.parts:
        return _composed(fault, environment, duration=duration)
    if environment.cloud is not None and fault.kind == "capacity-denied":
        names = [zone.az_name for zone in environment.cloud.zones.values()]
        return _launches(environment.cloud, fault.target["role_arns"], names, duration, what="everywhere")
    if fault.kind != "az-loss" or environment.cloud is None:
        raise InputError(
            where=fault.fault_id, what="faults", expected="a fault that AWS FIS has: az-loss, capacity-denied",
            got=fault.kind, hint=LACKING.get(fault.kind),
        )  # fmt: skip
    if fault.target.get("mode") == SLOW:
        return _slow(fault, environment.cloud, duration)
    return _zone(fault, environment.cloud, duration, is_denied=is_denied)


def _composed(fault: ResolvedFault, environment: Environment, *, duration: str) -> Broken:
    """Each part after its time, in whole minutes as FIS waits; all are in force together for *duration*, and end so."""
    waits = [math.ceil(part.at_s / 60) for part in fault.parts]
    is_denied = any(part.kind == "capacity-denied" for part in fault.parts)
    broken = Broken()
    for number, (part, wait) in enumerate(zip(fault.parts, waits, strict=True), start=1):
        lasts = f"PT{_minutes(duration) + max(waits) - wait}M"
        one = break_with_fis(part, environment, duration=lasts, is_denied=is_denied)
        broken = broken.with_(_later(one, f"step-{number}", wait))
    return broken


def _later(one: Broken, step: str, wait_min: int) -> Broken:
    """*one* with names of its own, begun *wait_min* minutes after the experiment."""
    targets = {f"{step}-{name}": target for name, target in one.targets.items()}
    actions: dict[str, Any] = {}
    if wait_min:
        actions[f"{step}-wait"] = {"actionId": "aws:fis:wait", "parameters": {"duration": f"PT{wait_min}M"}}
    for name, action in one.actions.items():
        renamed = {key: f"{step}-{target}" for key, target in action["targets"].items()}
        after = {"startAfter": [f"{step}-wait"]} if wait_min else {}
        actions[f"{step}-{name}"] = {**action, "targets": renamed, **after}
    expected = {f"{step}-{name}": arns for name, arns in one.expected.items()}
    return Broken(targets=targets, actions=actions, expected=expected)


def _zone(fault: ResolvedFault, cloud: Cloud, duration: str, *, is_denied: bool) -> Broken:
    """A zone that is lost: its power, its network, its writers; and nothing starts there."""
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
        broken = broken.with_(_power(fault, cloud, zone, duration))
    if ("instances" in losses or "scaling" in losses) and not is_denied:
        roles = cloud.fis.launch_roles if cloud.fis else ()
        broken = broken.with_(_launches(cloud, roles, [zone.az_name], duration, what=f"in zone {zone.name}"))
    if "network" in losses:
        alone = "instances" not in losses
        broken = broken.with_(_network(fault, cloud, zone, duration if alone else _shortest(duration)))
    if "databases" in losses:
        broken = broken.with_(_databases(fault, cloud, zone))
    return broken


def _instances(fault: ResolvedFault, cloud: Cloud, zone: CloudZone) -> Broken:
    """The zone's running instances, which FIS looks for by their tags."""
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
        expected={
            "zone-instances": [
                arn(fault.configuration, "ec2", f"instance/{one}") for one in fault.target["instance_ids"]
            ]
        },
    )


def _power(fault: ResolvedFault, cloud: Cloud, zone: CloudZone, duration: str) -> Broken:
    """Every running instance of the zone is stopped, and started again by FIS itself when the time is over."""
    stop = {
        "actionId": "aws:ec2:stop-instances",
        "description": f"power of zone {zone.name} is lost",
        "parameters": {"startInstancesAfterDuration": duration, "completeIfInstancesTerminated": "true"},
        "targets": {"Instances": "zone-instances"},
    }
    return _instances(fault, cloud, zone).with_(Broken(actions={"stop-instances": stop}))


def _slow(fault: ResolvedFault, cloud: Cloud, duration: str) -> Broken:
    """Each instance of the zone delays what it sends to any of the environment's zones, its own among them.

    As in AWS's scenario "AZ: Application Slowdown", whose instances delay what they send to their own zone only.
    """
    zone = cloud.zones[str(fault.target["zone"])]
    where = fault.configuration
    document = {
        "DelayMilliseconds": f"{fault.target['latency_s'] * 1000:.0f}",
        "JitterMilliseconds": _JITTER_MS,
        "Sources": ",".join(one.az_name for one in cloud.zones.values()),
        "Interface": "DEFAULT",
        "TrafficType": "egress",
        "FlowsPercent": "100",
        "DurationSeconds": str(60 * _minutes(duration)),
        "InstallDependencies": "True",
    }
    slow = {
        "actionId": "aws:ssm:send-command",
        "description": f"the network of zone {zone.name} is slow",
        "parameters": {
            "duration": duration,
            "documentArn": (
                f"arn:{where.get('aws_partition') or 'aws'}:ssm:{where['aws_region']}::document/{_LATENCY_DOCUMENT}"
            ),
            "documentParameters": json.dumps(document),
        },
        "targets": {"Instances": "zone-instances"},
    }
    return _instances(fault, cloud, zone).with_(Broken(actions={"slow-network": slow}))


def _launches(cloud: Cloud, roles: Sequence[str], az_names: Sequence[str], duration: str, *, what: str) -> Broken:
    """Nothing starts in the zones: neither by the roles named, nor by the groups."""
    broken = Broken()
    if roles:
        of, why = {"Roles": "launch-roles"}, f"the roles get no capacity {what}"
        pause = denial(ACTION, az_names, of=of, duration=duration, what=why)
        targets = {"launch-roles": denied_roles(roles)}
        broken = broken.with_(Broken(targets=targets, actions={"pause-launches": pause}))
    if cloud.scaling_groups:
        of, why = {"AutoScalingGroups": "scaling-groups"}, f"the groups get no capacity {what}"
        pause = denial(GROUP_ACTION, az_names, of=of, duration=duration, what=why)
        targets = {
            "scaling-groups": {
                "resourceType": "aws:ec2:autoscaling-group",
                "resourceTags": dict(cloud.tags),
                "selectionMode": "ALL",
            }
        }
        expected = {"scaling-groups": [one.arn for one in cloud.scaling_groups]}
        broken = broken.with_(Broken(targets=targets, actions={"pause-scaling": pause}, expected=expected))
    return broken


def _network(fault: ResolvedFault, cloud: Cloud, zone: CloudZone, duration: str) -> Broken:
    """Nothing gets into or out of the zone's subnets."""
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
                "parameters": {"duration": duration, "scope": "all"},
                "targets": {"Subnets": "zone-subnets"},
            }
        },
        expected={"zone-subnets": [arn(fault.configuration, "ec2", f"subnet/{one}") for one in zone.subnets]},
    )


def _databases(fault: ResolvedFault, cloud: Cloud, zone: CloudZone) -> Broken:
    """Each cluster that is written in the zone fails over; FIS chooses the heir, and does not fail back."""
    heirs = fault.target["losses"]["databases"]["heirs"]
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
        expected={"zone-writers": [one.arn for one in cloud.clusters if one.name in heirs]},
    )


def _shortest(duration: str) -> str:
    """While machines go down the network is lost as well, for no longer than AWS's own scenario has it."""
    return min(duration, _DISRUPTED_MAX, key=_minutes)


def _minutes(duration: str) -> int:
    return int(duration.removeprefix("PT").removesuffix("M"))
