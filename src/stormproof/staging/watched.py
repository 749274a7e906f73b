"""What an environment in AWS is watched by: alarms, metrics, and the topic that people are told through; only reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from stormproof.errors import GuardrailError, UnavailableError
from stormproof.faults import aws
from stormproof.model.cloud import Sli

NO_DATA = "no data"
_PERIODS = 3  # the last one may not be complete, and CloudWatch is late


def read_alarms(names: Sequence[str], configuration: Mapping[str, Any], *, where: str) -> dict[str, str]:
    """ARN by name. Raises `UnavailableError` for one that is not there, `GuardrailError` for one in ALARM."""
    if not names:
        return {}
    cloudwatch: Any = aws.client("cloudwatch", configuration)
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    rows = {
        row["AlarmName"]: row
        for page in pages
        for kind in ("MetricAlarms", "CompositeAlarms")
        for row in page.get(kind, ())
    }
    if missing := [name for name in names if name not in rows]:
        raise UnavailableError(f"{where}: alarms: expected {', '.join(missing)}, got {', '.join(rows) or 'none'}")
    if firing := [name for name in names if rows[name]["StateValue"] == "ALARM"]:
        raise GuardrailError(
            f"{where}: alarms: expected none in ALARM before the start, got {', '.join(firing)}",
            hint="an experiment on a sick system proves nothing, and may finish it off",
        )
    return {name: str(rows[name]["AlarmArn"]) for name in names}


def read_sli(sli: Sli, configuration: Mapping[str, Any], *, now: dt.datetime) -> dict[str, Any]:
    """The latest value of three periods: ``{"value": float | "no data", "at": ISO text | None}``; a gap is never 0."""
    cloudwatch: Any = aws.client("cloudwatch", configuration)
    dimensions = [{"Name": name, "Value": value} for name, value in sli.dimensions.items()]
    metric = {"Namespace": sli.namespace, "MetricName": sli.metric, "Dimensions": dimensions}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[
            {"Id": "sli", "MetricStat": {"Metric": metric, "Period": sli.period_s, "Stat": sli.statistic}}
        ],
        StartTime=now - dt.timedelta(seconds=_PERIODS * sli.period_s),
        EndTime=now,
        ScanBy="TimestampDescending",
    )
    points = sorted(
        (at, value)
        for page in pages
        for result in page["MetricDataResults"]
        for at, value in zip(result["Timestamps"], result["Values"], strict=True)
    )
    if not points:
        return {"value": NO_DATA, "at": None}
    at, value = points[-1]
    return {"value": float(value), "at": at.astimezone(dt.UTC).isoformat()}


def check_topic(topic_arn: str, configuration: Mapping[str, Any]) -> None:
    """Ask for the topic; whoever cannot be told must not be surprised."""
    sns: Any = aws.client("sns", configuration)
    sns.get_topic_attributes(TopicArn=topic_arn)
