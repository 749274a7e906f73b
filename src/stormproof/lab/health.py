"""What the balancer says of its targets, read from Envoy's admin interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stormproof.lab.topology import SHOP_CLUSTER, Topology

# Envoy's reasons not to send a target traffic; an absent flag is false.
_UNFIT = ("failed_active_health_check", "pending_active_hc", "failed_outlier_check", "failed_active_degraded_check")


def target_health(clusters: Mapping[str, Any], topology: Topology) -> dict[str, bool]:
    """Instance id → whether Envoy sends it traffic, from the document behind ``/clusters?format=json``.

    An instance that Envoy does not know is not healthy.
    """
    ids = {instance.address.text: instance.id for instance in topology.instances}
    health = dict.fromkeys(ids.values(), False)
    for cluster in clusters.get("cluster_statuses", []):
        if cluster.get("name") != SHOP_CLUSTER:
            continue
        for host in cluster.get("host_statuses", []):
            place = host["address"]["socket_address"]
            instance = ids.get(f"{place['address']}:{place['port_value']}")
            if instance is not None:
                flags = host.get("health_status", {})
                health[instance] = not any(flags.get(flag) for flag in _UNFIT)
    return health
