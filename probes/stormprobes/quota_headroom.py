"""How much of a service quota is left: the quota, its usage as CloudWatch has it, and the difference.

Reading: ``{"quota": float, "usage": float | None, "headroom": float | None, "unit": str, "at": str | None, "no_data":
bool}``. Many quotas have no usage metric, and a metric may have no data: then the headroom is not known, and not whole.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from stormprobes._aws_client import call
from stormprobes.metric_window import metric_window

__all__ = ["quota_headroom"]

_LOOK_BACK_S = 3600  # usage metrics come every five minutes, and late


def quota_headroom(
    service_code: str, quota_code: str, region: str, endpoint_url: str | None = None, now: float | None = None
) -> dict[str, Any]:
    """The headroom of quota *quota_code* ("L-1216C47A") of *service_code* ("ec2"), by the latest usage of an hour.

    *now* is Unix seconds; without it the clock's. Whether that is enough for a failover is for whoever asks. Raises
    `OSError` when Service Quotas or CloudWatch do not answer or refuse.
    """
    found = call(
        "service-quotas", region, endpoint_url, "get_service_quota", ServiceCode=service_code, QuotaCode=quota_code
    )["Quota"]
    quota, metric = float(found["Value"]), found.get("UsageMetric") or {}
    latest = None
    if metric.get("MetricName"):
        end = dt.datetime.now(dt.UTC).timestamp() if now is None else now
        wanted = {
            "namespace": metric["MetricNamespace"],
            "name": metric["MetricName"],
            "statistic": metric.get("MetricStatisticRecommendation", "Maximum"),
            "dimensions": metric.get("MetricDimensions", {}),
            "period_s": 300,
        }
        seen = metric_window(wanted, end - _LOOK_BACK_S, end, region, endpoint_url)
        latest = seen["points"][-1] if seen["points"] else None
    return {
        "quota": quota,
        "usage": latest["value"] if latest else None,
        "headroom": quota - latest["value"] if latest else None,
        "unit": str(found.get("Unit", "None")),
        "at": latest["at"] if latest else None,
        "no_data": latest is None,
    }
