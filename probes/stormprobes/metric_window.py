"""A CloudWatch metric over a window, period by period; a period without data is missing, and never 0.

Reading: ``{"points": [{"at": str, "value": float}], "periods": int, "missing": int, "no_data": bool, "mean": float |
None, "minimum": float | None, "maximum": float | None}``, over the periods that have data; None when none has.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from stormprobes._instant import instant, text
from stormprobes._metric_points import Metric, metric_points

__all__ = ["metric_window"]

PERIODS_MAX = 1440
_NEEDED, _OPTIONAL = {"namespace", "name", "statistic"}, {"dimensions", "period_s"}


def metric_window(
    metric: dict[str, Any], start: str | float, end: str | float, region: str, endpoint_url: str | None = None
) -> dict[str, Any]:
    """What CloudWatch has of *metric* between *start* and *end* (Unix seconds, or ISO 8601 with an offset).

    *metric* is ``{"namespace", "name", "statistic", "dimensions"?: {name: value}, "period_s"?: int}``, a period of 60 s
    unless said. Periods are whole ones since the epoch, as CloudWatch's are; the window is widened to them. Raises
    `OSError` when CloudWatch does not answer or refuses, and `ValueError` for a window that is empty or too long, and
    for a metric that is not described so.
    """
    if not _NEEDED <= set(metric) <= _NEEDED | _OPTIONAL:
        raise ValueError(f"metric: expected {sorted(_NEEDED)}, and perhaps {sorted(_OPTIONAL)}, got {sorted(metric)}")
    period_s = int(metric.get("period_s", 60))
    begun, over = instant(start).timestamp(), instant(end).timestamp()
    first, last = int(begun // period_s) * period_s, -int(-over // period_s) * period_s
    periods = (last - first) // period_s
    if not 0 < periods <= PERIODS_MAX:
        raise ValueError(f"expected 1 to {PERIODS_MAX} periods of {period_s} s, got {periods}")
    wanted = Metric(
        namespace=metric["namespace"],
        name=metric["name"],
        statistic=metric["statistic"],
        dimensions=metric.get("dimensions", {}),
        period_s=period_s,
    )
    found = metric_points(wanted, (first, last), region, endpoint_url)
    values = list(found.values())
    return {
        "points": [{"at": text(dt.datetime.fromtimestamp(at, dt.UTC)), "value": found[at]} for at in sorted(found)],
        "periods": periods,
        "missing": max(0, periods - len(found)),
        "no_data": not found,
        "mean": sum(values) / len(values) if values else None,
        "minimum": min(values, default=None),
        "maximum": max(values, default=None),
    }
