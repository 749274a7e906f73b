"""The state of CloudWatch alarms, from the account's own API.

Reading: ``{"alarms": {name: {"state": "OK" | "ALARM" | "INSUFFICIENT_DATA", "since": str, "reason": str}}}``, *since*
in ISO 8601. An alarm without data is not an alarm that is fine: it keeps its own state here.
"""

from __future__ import annotations

from typing import Any

from stormprobes._aws_client import Identity, pages

__all__ = ["alarm_state"]

NAMES_MAX = 100  # of one call, by CloudWatch's own bound


def alarm_state(
    names: list[str],
    region: str,
    endpoint_url: str | None = None,
    profile: str | None = None,
    role_arn: str | None = None,
    external_id: str | None = None,
) -> dict[str, Any]:
    """What CloudWatch in *region* says of each alarm of *names*, asked as the process, *profile* or *role_arn*.

    Raises `OSError` when it does not answer or refuses, and `ValueError` for no names, too many, or one that is not
    an alarm: no answer is not an answer.
    """
    if not 0 < len(names) <= NAMES_MAX:
        raise ValueError(f"expected 1 to {NAMES_MAX} names of alarms, got {len(names)}")
    alarms = {
        alarm["AlarmName"]: {
            "state": alarm["StateValue"],
            "since": alarm["StateUpdatedTimestamp"].isoformat(),
            "reason": alarm.get("StateReason", ""),
        }
        for alarm in _describe(names, region, endpoint_url, (profile, role_arn, external_id))
    }
    unknown = [name for name in names if name not in alarms]
    if unknown:
        raise ValueError(f"{region} has no alarm called {', '.join(map(repr, unknown))}")
    return {"alarms": alarms}


def _describe(names: list[str], region: str, endpoint_url: str | None, identity: Identity) -> list[Any]:
    kinds = ["MetricAlarm", "CompositeAlarm"]
    asked = pages("cloudwatch", region, endpoint_url, "describe_alarms", identity, AlarmNames=names, AlarmTypes=kinds)
    return [alarm for page in asked for alarm in [*page["MetricAlarms"], *page["CompositeAlarms"]]]
