"""Whether an alarm went into ALARM after an instant, and how long after; from CloudWatch's own history of it.

Reading: ``{"alarm": str, "fired": bool | None, "at": str | None, "after_s": float | None, "no_data": bool, "changes":
[{"at": str, "state": str}]}``. *fired* is None when it had no data to go by: it neither fired nor could have.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from stormprobes._aws_client import pages
from stormprobes._instant import instant, text
from stormprobes.alarm_state import alarm_state

__all__ = ["alarm_fired"]

_ALARM, _BLIND = "ALARM", "INSUFFICIENT_DATA"


def alarm_fired(
    name: str, since: str | float, within_s: float, region: str, endpoint_url: str | None = None
) -> dict[str, Any]:
    """Whether *name* changed to ALARM between *since* (Unix seconds, or ISO 8601) and *within_s* seconds later.

    An alarm that was in ALARM all the time did not fire: it proves nothing. Raises `OSError` when CloudWatch does not
    answer or refuses, `ValueError` for what is not an alarm.
    """
    begun = instant(since)
    over = begun + dt.timedelta(seconds=within_s)
    now = alarm_state([name], region, endpoint_url)["alarms"][name]
    rows = sorted(
        (row["Timestamp"], str(json.loads(row["HistoryData"])["newState"]["stateValue"]))
        for page in pages(
            "cloudwatch",
            region,
            endpoint_url,
            "describe_alarm_history",
            AlarmName=name,
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
            HistoryItemType="StateUpdate",
            StartDate=begun,
            EndDate=over,
        )
        for row in page["AlarmHistoryItems"]
        if begun <= row["Timestamp"] <= over
    )
    fired_at = next((at for at, state in rows if state == _ALARM), None)
    # Without a change in the window its state now is what it was then, if it is older than the window.
    still = not rows and instant(now["since"]) <= begun
    no_data = fired_at is None and (rows[-1][1] == _BLIND if rows else still and now["state"] == _BLIND)
    return {
        "alarm": name,
        "fired": None if no_data else fired_at is not None,
        "at": text(fired_at) if fired_at else None,
        "after_s": (fired_at - begun).total_seconds() if fired_at else None,
        "no_data": no_data,
        "changes": [{"at": text(at), "state": state} for at, state in rows],
    }
