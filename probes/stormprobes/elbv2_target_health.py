"""A load balancer's opinion of each target of a target group, from elbv2 in the account's own API.

Reading: as `target_health`, ``{"targets": {target id: {"zone": str, "healthy": bool, "flags": [state, reason]}}}``.
Only ``healthy`` is healthy: a target that is initial, draining, unused or unavailable gets no traffic.
"""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["elbv2_target_health", "health_check_settings"]

TIMEOUT_S = 2.0


def elbv2_target_health(target_group_arn: str, region: str, endpoint_url: str | None = None) -> dict[str, Any]:
    """What elbv2 says of each target of *target_group_arn*.

    Raises `OSError` when it does not answer or refuses, and `ValueError` for a group without targets: an empty group
    is not one that is well.
    """
    answer = _call(region, endpoint_url, "describe_target_health", TargetGroupArn=target_group_arn)
    described = answer["TargetHealthDescriptions"]
    if not described:
        raise ValueError(f"{target_group_arn} has no targets")
    return {"targets": dict(_target(one) for one in described)}


def health_check_settings(target_group_arn: str, region: str, endpoint_url: str | None = None) -> dict[str, Any]:
    """How *target_group_arn* checks its targets: interval_s, timeout_s, unhealthy_threshold, healthy_threshold."""
    answer = _call(region, endpoint_url, "describe_target_groups", TargetGroupArns=[target_group_arn])
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


def _call(region: str, endpoint_url: str | None, operation: str, **arguments: Any) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(_client(region, endpoint_url), operation)(**arguments)
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"elbv2 in {region}: {error}") from error
    return answer


@functools.cache  # a client takes a tenth of a second of work, and other probes sample in this process
def _client(region: str, endpoint_url: str | None) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=TIMEOUT_S,
        read_timeout=TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": 1},
        user_agent_extra="stormproof",
    )
    return boto3.Session(region_name=region).client("elbv2", endpoint_url=endpoint_url, config=config)
