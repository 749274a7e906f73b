"""Envoy's word for a target, read from its own document."""

from __future__ import annotations

from typing import Any

from stormproof.lab.health import target_health
from stormproof.lab.topology import Reservations, choose_topology


def test_a_target_is_healthy_unless_envoy_has_a_reason() -> None:
    """A failed check, a pending one and an ejection are reasons; an instance Envoy does not know is not healthy."""
    reservations = Reservations()
    try:
        topology = choose_topology("naive", reservations)
    finally:
        reservations.close()
    flags: list[dict[str, Any]] = [
        {"eds_health_status": "HEALTHY"},
        {"failed_active_health_check": True},
        {"failed_outlier_check": True},
        {"pending_active_hc": True},
        {"failed_active_health_check": False},
    ]
    hosts = [
        {
            "address": {"socket_address": {"address": i.address.host, "port_value": i.address.port}},
            "health_status": status,
        }
        for i, status in zip(topology.instances, flags, strict=False)
    ]
    document = {
        "cluster_statuses": [{"name": "to-moto", "host_statuses": hosts[1:2]}, {"name": "shop", "host_statuses": hosts}]
    }

    found = target_health(document, topology)

    assert [found[i.id] for i in topology.instances] == [True, False, False, False, True, False]
