"""The balancer's opinion of each target, from Envoy's admin interface.

Reading: ``{"targets": {target: {"zone": str, "healthy": bool, "flags": [str]}}}``. A target is healthy when Envoy
sends traffic to it: no failed active health check, not ejected as an outlier, EDS status healthy.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

__all__ = ["health_check_settings", "target_health"]

TIMEOUT_S = 2.0

# An admin interface is asked directly: a proxy of the process's environment would answer for it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# Host health flags of Envoy's /clusters document that take a host out of balancing.
OUT_OF_BALANCING = (
    "failed_active_health_check",
    "failed_outlier_check",
    "failed_active_degraded_check",
    "pending_dynamic_removal",
    "pending_active_hc",
    "excluded_via_immediate_hc_fail",
    "active_hc_timeout",
)


def target_health(admin_url: str, cluster: str, target_names: dict[str, str] | None = None) -> dict[str, Any]:
    """What Envoy at *admin_url* holds of each host of *cluster*; *target_names* maps ``ip:port`` to a name.

    Raises `OSError` when the admin interface does not answer and `ValueError` when it does not know the cluster:
    no answer is not an answer.
    """
    document = _ask(admin_url, "/clusters?format=json")
    for status in document.get("cluster_statuses", []):
        if status.get("name") == cluster:
            return {"targets": dict(_target(host, target_names or {}) for host in status.get("host_statuses", []))}
    known = ", ".join(sorted(str(one.get("name")) for one in document.get("cluster_statuses", [])))
    raise ValueError(f"{admin_url} has no cluster {cluster!r}; it has: {known or 'none'}")


def health_check_settings(admin_url: str, cluster: str) -> dict[str, Any] | None:
    """How *cluster* checks its hosts, from Envoy's configuration; None when it does not.

    ``{"interval_s", "timeout_s", "unhealthy_threshold", "healthy_threshold", "counts_from"}``. Envoy counts the
    interval from the end of a check. Of several checks the first is given.
    """
    for resource, key in (("static_clusters", "cluster"), ("dynamic_active_clusters", "cluster")):
        for one in _ask(admin_url, f"/config_dump?resource={resource}").get("configs", []):
            if one.get(key, {}).get("name") == cluster and one[key].get("health_checks"):
                check = one[key]["health_checks"][0]
                return {
                    "interval_s": float(str(check["interval"]).removesuffix("s")),
                    "timeout_s": float(str(check["timeout"]).removesuffix("s")),
                    "unhealthy_threshold": int(check.get("unhealthy_threshold", 1)),
                    "healthy_threshold": int(check.get("healthy_threshold", 1)),
                    "counts_from": "end",
                }
    return None


def _ask(admin_url: str, path: str) -> dict[str, Any]:
    with _OPENER.open(admin_url + path, timeout=TIMEOUT_S) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def _target(host: dict[str, Any], names: dict[str, str]) -> tuple[str, dict[str, Any]]:
    address = host.get("address", {}).get("socket_address", {})
    where = f"{address.get('address')}:{address.get('port_value')}"
    health = host.get("health_status", {})
    flags = [flag for flag in OUT_OF_BALANCING if health.get(flag)]
    healthy = not flags and health.get("eds_health_status", "HEALTHY") == "HEALTHY"
    zone = host.get("locality", {}).get("zone", "")
    return names.get(where, where), {"zone": zone, "healthy": healthy, "flags": flags}
