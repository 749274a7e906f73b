"""How many instances an Auto Scaling group has in service, in which zones, and how many it wants.

Reading: ``{"group": str, "desired": int, "in_service": int, "at_desired": bool, "zones": {zone: int}, "other":
{instance id: state}, "suspended": [process]}``; *zones* has every zone of the group, also with 0.
"""

from __future__ import annotations

from typing import Any

from stormprobes._aws_client import call

__all__ = ["scaling_group"]


def scaling_group(name: str, region: str, endpoint_url: str | None = None) -> dict[str, Any]:
    """What Auto Scaling says of the group called *name*; in service is what it calls both so and healthy.

    Raises `OSError` when it does not answer or refuses, `ValueError` for a group that there is not.
    """
    answer = call("autoscaling", region, endpoint_url, "describe_auto_scaling_groups", AutoScalingGroupNames=[name])
    if not answer["AutoScalingGroups"]:
        raise ValueError(f"{region} has no Auto Scaling group called {name!r}")
    group = answer["AutoScalingGroups"][0]
    zones = {str(zone): 0 for zone in sorted(group["AvailabilityZones"])}
    other: dict[str, str] = {}
    for one in group["Instances"]:
        if one["LifecycleState"] == "InService" and one["HealthStatus"].lower() == "healthy":
            zones[one["AvailabilityZone"]] = zones.get(one["AvailabilityZone"], 0) + 1
        else:
            other[str(one["InstanceId"])] = f"{one['LifecycleState']}, {one['HealthStatus']}"
    desired, in_service = int(group["DesiredCapacity"]), sum(zones.values())
    return {
        "group": name,
        "desired": desired,
        "in_service": in_service,
        "at_desired": in_service == desired and not other,
        "zones": zones,
        "other": other,
        "suspended": sorted(str(one["ProcessName"]) for one in group.get("SuspendedProcesses", ())),
    }
