"""A load balancer's opinion of each target of a target group, from elbv2 in the account's own API.

Reading: as `target_health`, ``{"targets": {target id: {"zone": str, "healthy": bool, "flags": [state, reason]}}}``.
Only ``healthy`` is healthy: a target that is initial, draining, unused or unavailable gets no traffic.
"""

from __future__ import annotations

from typing import Any

from stormprobes._aws_client import call

__all__ = ["elbv2_target_health", "elbv2_zone_health", "health_check_settings"]


def elbv2_target_health(target_group_arn: str, region: str, endpoint_url: str | None = None) -> dict[str, Any]:
    """What elbv2 says of each target of *target_group_arn*.

    Raises `OSError` when it does not answer or refuses, and `ValueError` for a group without targets: an empty group
    is not one that is well.
    """
    answer = call("elbv2", region, endpoint_url, "describe_target_health", TargetGroupArn=target_group_arn)
    described = answer["TargetHealthDescriptions"]
    if not described:
        raise ValueError(f"{target_group_arn} has no targets")
    return {"targets": dict(_target(one) for one in described)}


def elbv2_zone_health(
    target_group_arns: list[str],
    zones: dict[str, str],
    region: str,
    endpoint_url: str | None = None,
    profile: str | None = None,
    role_arn: str | None = None,
    external_id: str | None = None,
) -> dict[str, Any]:
    """As `elbv2_target_health`, of several groups, with *zones* (target id → zone) saying where each target is.

    A target's key is ``<group>/<id>``. A target that *zones* does not know keeps the zone that elbv2 says, if any. One
    of *zones* that is no longer registered gets no traffic, and is there as unhealthy, ``gone``.
    """
    targets: dict[str, Any] = {}
    for arn in target_group_arns:
        group = arn.split("/")[1] if "/" in arn else arn
        identity = (profile, role_arn, external_id)
        answer = call("elbv2", region, endpoint_url, "describe_target_health", identity, TargetGroupArn=arn)
        seen = dict(_target(one) for one in answer["TargetHealthDescriptions"])
        for target, row in seen.items():
            targets[f"{group}/{target}"] = {**row, "zone": zones.get(target, row["zone"])}
        for target in zones.keys() - seen.keys():
            targets[f"{group}/{target}"] = {"zone": zones[target], "healthy": False, "flags": ["gone"]}
    return {"targets": targets}


def health_check_settings(target_group_arn: str, region: str, endpoint_url: str | None = None) -> dict[str, Any]:
    """How *target_group_arn* checks its targets: interval_s, timeout_s, unhealthy_threshold, healthy_threshold."""
    answer = call("elbv2", region, endpoint_url, "describe_target_groups", TargetGroupArns=[target_group_arn])
    group = answer["TargetGroups"][0]
    return {
        "interval_s": float(group["HealthCheckIntervalSeconds"]),
        "timeout_s": float(group["HealthCheckTimeoutSeconds"]),
        "unhealthy_threshold": int(group["UnhealthyThresholdCount"]),
        "healthy_threshold": int(group["HealthyThresholdCount"]),
    }


def _target(described: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    target, health = described["Target"], described["TargetHealth"]
    flags = [word for word in (health["State"], health.get("Reason")) if word]
    zone = target.get("AvailabilityZone") or ""
    return target["Id"], {"zone": zone, "healthy": health["State"] == "healthy", "flags": flags}
