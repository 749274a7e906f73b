"""How far each reader of an Aurora cluster is behind its writer, as CloudWatch has it.

Reading: ``{"cluster": str, "writer": str | None, "replicas": {name: {"lag_ms": float | None, "at": str | None,
"no_data": bool}}}``. A replica without data is not one that is up to date.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from stormprobes._aws_client import call
from stormprobes.metric_window import metric_window

__all__ = ["replication_lag"]

_LOOK_BACK_S = 300


def replication_lag(
    cluster: str, region: str, endpoint_url: str | None = None, now: float | None = None
) -> dict[str, Any]:
    """The latest maximum of `AuroraReplicaLag` of the last five minutes, for each member of *cluster* that reads.

    *now* is Unix seconds; without it the clock's. Raises `OSError` when RDS or CloudWatch do not answer or refuse, and
    for a cluster that there is not; `ValueError` for one without readers.
    """
    found = call("rds", region, endpoint_url, "describe_db_clusters", DBClusterIdentifier=cluster)["DBClusters"][0]
    members = {str(one["DBInstanceIdentifier"]): bool(one["IsClusterWriter"]) for one in found["DBClusterMembers"]}
    readers = sorted(name for name, writes in members.items() if not writes)
    if not readers:
        raise ValueError(f"{cluster} has no reader whose lag could be asked for")
    end = dt.datetime.now(dt.UTC).timestamp() if now is None else now
    return {
        "cluster": cluster,
        "writer": next((name for name, writes in members.items() if writes), None),
        "replicas": {name: _lag(name, end, region, endpoint_url) for name in readers},
    }


def _lag(name: str, end: float, region: str, endpoint_url: str | None) -> dict[str, Any]:
    lag = {
        "namespace": "AWS/RDS",
        "name": "AuroraReplicaLag",
        "statistic": "Maximum",
        "dimensions": {"DBInstanceIdentifier": name},
    }
    seen = metric_window(lag, end - _LOOK_BACK_S, end, region, endpoint_url)
    last = seen["points"][-1] if seen["points"] else None
    return {"lag_ms": last["value"] if last else None, "at": last["at"] if last else None, "no_data": last is None}
