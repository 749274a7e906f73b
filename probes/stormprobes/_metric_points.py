"""What CloudWatch has of one metric: a value for each period that has data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from stormprobes._aws_client import Identity, pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Which one, by which statistic, in periods of how many seconds."""

    namespace: str
    name: str
    statistic: str
    dimensions: Mapping[str, str]
    period_s: int


def metric_points(
    metric: Metric, window_s: tuple[float, float], region: str, endpoint_url: str | None, identity: Identity = ()
) -> dict[float, float]:
    """The beginning of each period (Unix s) within *window_s* that has data → its value, by time.

    Raises `OSError` when CloudWatch does not answer or refuses.
    """
    named = [{"Name": key, "Value": value} for key, value in metric.dimensions.items()]
    stat = {
        "Metric": {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": named},
        "Period": metric.period_s,
        "Stat": metric.statistic,
    }
    answers = pages(
        "cloudwatch",
        region,
        endpoint_url,
        "get_metric_data",
        identity,
        MetricDataQueries=[{"Id": "sli", "MetricStat": stat}],
        StartTime=dt.datetime.fromtimestamp(window_s[0], dt.UTC),
        EndTime=dt.datetime.fromtimestamp(window_s[1], dt.UTC),
        ScanBy="TimestampAscending",
    )
    return {
        at.timestamp(): float(value)
        for page in answers
        for result in page["MetricDataResults"]
        for at, value in zip(result["Timestamps"], result["Values"], strict=True)
    }
