"""Which node of X-Ray's service graph faults by itself: it fails, and what it calls does not.

Reading: ``{"origins": [name], "nodes": {name: {"type": str, "requests": int, "faults": int, "errors": int, "throttles":
int}}, "no_data": bool}``. Faults are 5xx and exceptions, as X-Ray counts them; a node that only passes on the faults of
what it calls is no origin.
"""

from __future__ import annotations

from typing import Any

from stormprobes._aws_client import pages
from stormprobes._instant import instant

__all__ = ["xray_faulty_node"]


def xray_faulty_node(
    start: str | float, end: str | float, region: str, endpoint_url: str | None = None
) -> dict[str, Any]:
    """The graph of the traces between *start* and *end* (Unix seconds, or ISO 8601; X-Ray takes six hours at most).

    A graph without a single request is no data, and names nobody. Raises `OSError` when X-Ray does not answer or
    refuses.
    """
    services = [
        one
        for page in pages(
            "xray", region, endpoint_url, "get_service_graph", StartTime=instant(start), EndTime=instant(end)
        )
        for one in page["Services"]
        if one.get("Type") != "client"  # who calls from outside has no faults of its own
    ]
    nodes = {int(one["ReferenceId"]): _node(one) for one in services}
    faulty = {number for number, node in nodes.items() if node["faults"]}
    origins = sorted(
        nodes[int(one["ReferenceId"])]["name"]
        for one in services
        if int(one["ReferenceId"]) in faulty and not _passed_on(one, faulty)
    )
    return {
        "origins": origins,
        "nodes": {node.pop("name"): node for node in nodes.values()},
        "no_data": not any(node["requests"] for node in nodes.values()),
    }


def _node(service: dict[str, Any]) -> dict[str, Any]:
    counts = service.get("SummaryStatistics") or {}
    return {
        "name": str(service.get("Name", "")),
        "type": str(service.get("Type", "")),
        "requests": int(counts.get("TotalCount", 0)),
        "faults": int((counts.get("FaultStatistics") or {}).get("TotalCount", 0)),
        "errors": int((counts.get("ErrorStatistics") or {}).get("TotalCount", 0)),
        "throttles": int((counts.get("ErrorStatistics") or {}).get("ThrottleCount", 0)),
    }


def _passed_on(service: dict[str, Any], faulty: set[int]) -> bool:
    """Whether a call of it to a node that faults faulted as well."""
    return any(
        int(edge["ReferenceId"]) in faulty
        and ((edge.get("SummaryStatistics") or {}).get("FaultStatistics") or {}).get("TotalCount", 0)
        for edge in service.get("Edges", ())
    )
