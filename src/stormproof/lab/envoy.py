"""The bootstrap of the lab's Envoy: balancer in front of the shop, proxy in front of each dependency.

Pure: a topology and a variant in, the document out (tests/golden). What can be changed while Envoy runs, and how:

============================  =====================================================================
fault                         switch
============================  =====================================================================
delay, abort                  runtime keys per dependency (`topology.delay_percent_key` …), admin layer
throttle on/off               runtime key per dependency (`topology.throttle_key`), admin layer
bucket's size and rate        file per dependency (`topology.bucket_path`), extension config discovery
============================  =====================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stormproof.faults.envoy_rate_limit import LOCAL_RATE_LIMIT_TYPE, bucket_resource
from stormproof.lab.throttle_replies import REPLIES, ThrottleReply
from stormproof.lab.topology import (
    AWS_DEPENDENCIES,
    DEPENDENCIES,
    SHOP_CLUSTER,
    ZONES,
    Address,
    Topology,
    abort_percent_key,
    abort_status_key,
    access_log_path,
    bucket_name,
    bucket_path,
    delay_duration_key,
    delay_percent_key,
    throttle_key,
)
from stormproof.lab.variants import BalancerPolicy, Variant

_TYPE = "type.googleapis.com/envoy.extensions"
# What a bucket holds while nobody throttles: wide open, and disabled by its runtime key as well.
PRISTINE_RATE_PER_S = 1_000_000.0
PRISTINE_BURST = 1_000_000
# An idle connection to a server of ours is closed by Envoy long before the server would, so that no request is ever
# sent into a connection that the other side is just closing.
_UPSTREAM_IDLE_S = 30

# The columns of an arrival, as Envoy knows them. A single operator keeps its type, an absent value becomes null.
ACCESS_LOG_FORMAT = {
    "start_s": "%START_TIME(%s.%6f)%",
    "duration_ms": "%DURATION%",
    "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "target": "%REQ(X-AMZ-TARGET)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "invocation_id": "%REQ(AMZ-SDK-INVOCATION-ID)%",
    "sdk_request": "%REQ(AMZ-SDK-REQUEST)%",
    "op_id": "%REQ(X-OP-ID)%",
    "attempt": "%REQ(X-ATTEMPT)%",
    "canary": "%REQ(X-STORMPROOF-CANARY)%",
    "retry_after": "%RESP(RETRY-AFTER)%",
}


def bootstrap(topology: Topology, variant: Variant, directory: Path) -> dict[str, Any]:
    """The whole configuration, JSON-ready."""
    return {
        "node": {"id": topology.lab_id, "cluster": "stormproof-lab"},
        "admin": {"address": _socket_address(topology.admin)},
        # Only the admin layer is written to: what it holds is what is in force, and all of it is ours.
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
        "static_resources": {
            "listeners": [
                _balancer_listener(topology, variant.balancer),
                *(_egress_listener(name, topology, directory) for name in DEPENDENCIES),
            ],
            "clusters": [
                _shop_cluster(topology, variant.balancer),
                *(_static_cluster(f"to-{name}", address) for name, address in topology.backends.items()),
                _static_cluster("to-moto", topology.moto),
            ],
        },
    }


def pristine_bucket(dependency: str) -> dict[str, Any]:
    """The discovery document of *dependency*'s bucket while nobody throttles it."""
    return bucket_resource(
        bucket_name(dependency),
        rate_per_s=PRISTINE_RATE_PER_S,
        burst=PRISTINE_BURST,
        runtime_key=throttle_key(dependency),
    )


def _socket_address(address: Address) -> dict[str, Any]:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _endpoint(address: Address) -> dict[str, Any]:
    return {"endpoint": {"address": _socket_address(address)}}


def _listener(
    name: str,
    address: Address,
    *,
    route: dict[str, Any],
    http_filters: list[dict[str, Any]],
    settings: dict[str, Any],
) -> dict[str, Any]:
    connection_manager = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "HTTP1",
        "server_header_transformation": "PASS_THROUGH",
        "route_config": {
            "name": name,
            "virtual_hosts": [
                {"name": name, "domains": ["*"], **route},
            ],
        },
        "http_filters": [
            *http_filters,
            {"name": "router", "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"}},
        ],
        **settings,
    }
    return {
        "name": name,
        "address": _socket_address(address),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": connection_manager}]}],
    }


# The balancer -------------------------------------------------------------------------------------------------


def _balancer_listener(topology: Topology, policy: BalancerPolicy) -> dict[str, Any]:
    # A GET may be repeated whatever happened to it; a POST only when it cannot have reached the shop.
    reading = _shop_route(policy, retry_on="connect-failure,refused-stream,reset")
    writing = _shop_route(policy, retry_on="connect-failure,refused-stream,reset-before-request")
    is_read = {"name": ":method", "string_match": {"exact": "GET"}}
    route = {
        "routes": [
            {"match": {"prefix": "/", "headers": [is_read]}, "route": reading},
            {"match": {"prefix": "/"}, "route": writing},
        ]
    }
    return _listener("balancer", topology.balancer, route=route, http_filters=[], settings={})


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
                        "@type": f"{_TYPE}.retry.host.previous_hosts.v3.PreviousHostsPredicate",
                    },
                }
            ],
            "host_selection_retry_max_attempts": 5,
        }
    return action


def _shop_cluster(topology: Topology, policy: BalancerPolicy) -> dict[str, Any]:
    cluster: dict[str, Any] = {
        "name": SHOP_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "0.25s" if policy.retries else "5s",
        "lb_policy": "ROUND_ROBIN",
        "typed_extension_protocol_options": _upstream_http(),
        "load_assignment": {
            "cluster_name": SHOP_CLUSTER,
            "endpoints": [
                {
                    "locality": {"zone": zone},
                    "lb_endpoints": [_endpoint(i.address) for i in topology.instances if i.zone == zone],
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
                "http_health_check": {"path": "/healthz"},
            }
        ],
    }
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


# The proxies in front of the dependencies ---------------------------------------------------------------------


def _egress_listener(dependency: str, topology: Topology, directory: Path) -> dict[str, Any]:
    service = AWS_DEPENDENCIES.get(dependency)
    cluster = "to-moto" if service else f"to-{dependency}"
    settings: dict[str, Any] = {
        "access_log": [_access_log(access_log_path(directory, dependency))],
        # Who calls sets the time-out; the proxy adds none of its own.
        "stream_idle_timeout": "0s",
    }
    if service:
        settings["local_reply_config"] = _local_reply(REPLIES[service])
    # The bucket stands first, as a service throttles at its front door.
    return _listener(
        dependency,
        topology.proxies[dependency],
        route={"routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}]},
        http_filters=[_bucket_filter(dependency, directory), _fault_filter(dependency)],
        settings=settings,
    )


def _bucket_filter(dependency: str, directory: Path) -> dict[str, Any]:
    path = bucket_path(directory, dependency)
    return {
        "name": bucket_name(dependency),
        "config_discovery": {
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {"path": str(path), "watched_directory": {"path": str(path.parent)}},
            },
            "type_urls": [LOCAL_RATE_LIMIT_TYPE],
        },
    }


def _fault_filter(dependency: str) -> dict[str, Any]:
    never = {"numerator": 0, "denominator": "HUNDRED"}
    return {
        "name": "fault",
        "typed_config": {
            "@type": f"{_TYPE}.filters.http.fault.v3.HTTPFault",
            # The durations and statuses here count only once a percentage is raised at run time without them.
            "delay": {"fixed_delay": "1s", "percentage": never},
            "abort": {"http_status": 503, "percentage": never},
            "delay_percent_runtime": delay_percent_key(dependency),
            "delay_duration_runtime": delay_duration_key(dependency),
            "abort_percent_runtime": abort_percent_key(dependency),
            "abort_http_status_runtime": abort_status_key(dependency),
        },
    }


def _local_reply(reply: ThrottleReply) -> dict[str, Any]:
    return {
        "mappers": [
            {
                # Only the rate limit filter makes a 429 of its own here: an upstream 429 is not a local reply.
                "filter": {
                    "status_code_filter": {
                        "comparison": {
                            "op": "EQ",
                            "value": {"default_value": 429, "runtime_key": "lab.throttle_status"},
                        }
                    }
                },
                "status_code": reply.status,
                "headers_to_add": [
                    {
                        "header": {"key": key, "value": value},
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    }
                    for key, value in reply.headers.items()
                ],
                "body_format_override": {
                    "text_format_source": {"inline_string": reply.body},
                    "content_type": reply.content_type,
                },
            }
        ]
    }


def _access_log(path: Path) -> dict[str, Any]:
    return {
        "name": "file",
        "typed_config": {
            "@type": f"{_TYPE}.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {"json_format": ACCESS_LOG_FORMAT},
        },
    }


def _static_cluster(name: str, address: Address) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": _upstream_http(),
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [_endpoint(address)]}]},
    }


def _upstream_http() -> dict[str, Any]:
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"idle_timeout": f"{_UPSTREAM_IDLE_S}s"},
            "explicit_http_config": {"http_protocol_options": {}},
        }
    }
