"""The bootstrap of the lab's Envoy: the balancer in front of the shop, and where the rest is read from.

Pure: a topology and a variant in, the document out. What stands in front of the dependencies, and can be changed while
Envoy runs, is in `envoy_egress`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stormproof.lab.envoy_egress import egress_clusters
from stormproof.lab.topology import CONTROL_HEADER, CONTROL_ZONE, SHOP_CLUSTER, ZONES, Topology, listeners_path
from stormproof.lab.variants import BalancerPolicy, Variant
from stormproof.model.control import IN_CONTROL, NOT_IN_CONTROL
from stormproof.proxy.parts import EXTENSION_TYPE, endpoint, http_listener, socket_address, upstream_http

GROUPS = (IN_CONTROL, NOT_IN_CONTROL)


def bootstrap(topology: Topology, variant: Variant, directory: Path) -> dict[str, Any]:
    """The whole configuration, JSON-ready."""
    listeners = listeners_path(directory)
    return {
        "node": {"id": topology.lab_id, "cluster": "stormproof-lab"},
        "admin": {"address": socket_address(topology.admin)},
        # Only the admin layer is written to: what it holds is what is in force, and all of it is ours.
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
        "dynamic_resources": {
            "lds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": str(listeners), "watched_directory": {"path": str(listeners.parent)}},
            }
        },
        "static_resources": {
            "listeners": [_balancer_listener(topology, variant.balancer)],
            "clusters": [_shop_cluster(topology, variant.balancer), *egress_clusters(topology, directory)],
        },
    }


def _balancer_listener(topology: Topology, policy: BalancerPolicy) -> dict[str, Any]:
    # A GET may be repeated whatever happened to it; a POST only when it cannot have reached the shop.
    reading = _shop_route(policy, retry_on="connect-failure,refused-stream,reset")
    if policy.try_timeout_s:  # not for a POST: an attempt that hangs may have arrived, so giving it up gains nothing
        reading["retry_policy"]["per_try_timeout"] = f"{policy.try_timeout_s}s"
    writing = _shop_route(policy, retry_on="connect-failure,refused-stream,reset-before-request")
    is_read = {"name": ":method", "string_match": {"exact": "GET"}}
    # A run with a control group marks all its requests, and each group has instances of its own; the rest have all.
    groups = [*(({"name": CONTROL_HEADER, "string_match": {"exact": group}}, group) for group in GROUPS), None]
    routes = []
    for group in groups:
        marks, chosen = ([group[0]], {"metadata_match": _metadata(group[1])}) if group else ([], {})
        routes += [
            {"match": {"prefix": "/", "headers": [*marks, is_read]}, "route": {**reading, **chosen}},
            {"match": {"prefix": "/", "headers": marks}, "route": {**writing, **chosen}},
        ]
    return http_listener("balancer", topology.balancer, route={"routes": routes}, http_filters=[], settings={})


def _shop_route(policy: BalancerPolicy, *, retry_on: str) -> dict[str, Any]:
    action: dict[str, Any] = {"cluster": SHOP_CLUSTER, "timeout": f"{policy.request_timeout_s}s"}
    if policy.retries:
        action["retry_policy"] = {
            "retry_on": retry_on,
            "num_retries": policy.retries,
            "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
            # Not again to the target that just failed.
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": f"{EXTENSION_TYPE}.retry.host.previous_hosts.v3.PreviousHostsPredicate",
                    },
                }
            ],
            "host_selection_retry_max_attempts": 5,
        }
    return action


def _metadata(group: str) -> dict[str, Any]:
    """What says that an instance answers this group, and what a route asks for."""
    return {"filter_metadata": {"envoy.lb": {CONTROL_HEADER: group}}}


def _group_of(zone: str) -> str:
    return IN_CONTROL if zone == CONTROL_ZONE else NOT_IN_CONTROL


def _shop_cluster(topology: Topology, policy: BalancerPolicy) -> dict[str, Any]:
    cluster: dict[str, Any] = {
        "name": SHOP_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "0.25s" if policy.retries else "5s",
        "lb_policy": "ROUND_ROBIN",
        # What belongs to no group may go anywhere; a group whose instances are gone must not borrow the other's.
        "lb_subset_config": {
            "fallback_policy": "ANY_ENDPOINT",
            "subset_selectors": [{"keys": [CONTROL_HEADER], "fallback_policy": "NO_FALLBACK"}],
        },
        "typed_extension_protocol_options": upstream_http(),
        "load_assignment": {
            "cluster_name": SHOP_CLUSTER,
            "endpoints": [
                {
                    "locality": {"zone": zone},
                    "lb_endpoints": [
                        {**endpoint(i.address), "metadata": _metadata(_group_of(zone))}
                        for i in topology.instances
                        if i.zone == zone
                    ],
                }
                for zone in ZONES
            ],
        },
        "health_checks": [
            {
                "interval": f"{policy.health_interval_s}s",
                # Envoy checks a cluster that has had no traffic every 60 s unless told otherwise.
                "no_traffic_interval": f"{policy.health_interval_s}s",
                "timeout": f"{policy.health_timeout_s}s",
                "unhealthy_threshold": policy.unhealthy_threshold,
                "healthy_threshold": policy.healthy_threshold,
                "http_health_check": {
                    "path": "/healthz",
                    # Without this Envoy ejects at the first answer that is not 200, whatever the threshold says.
                    "retriable_statuses": [{"start": 400, "end": 600}],
                },
            }
        ],
        "common_lb_config": {"healthy_panic_threshold": {"value": policy.panic_percent}},
    }
    if policy.least_request:
        cluster |= {"lb_policy": "LEAST_REQUEST", "least_request_lb_config": {"choice_count": 3}}
    if policy.retries:
        # Envoy lets three retries be under way at once by default: too few when a third of the targets is gone.
        cluster["circuit_breakers"] = {"thresholds": [{"max_retries": 64}]}
    if policy.outlier_failures:
        cluster["outlier_detection"] = {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": policy.outlier_failures,
            "enforcing_consecutive_local_origin_failure": 100,
            # An error page of the shop is no reason to take a target out: only connections count.
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "interval": "0.5s",
            "base_ejection_time": "1s",
            "max_ejection_time": "2s",
            "max_ejection_percent": 50,
        }
    return cluster
