"""Envoy as the proxy in front of each dependency: listeners, what they log, and every way in which they can be broken.

============================  ================================================================================
fault                         switch
============================  ================================================================================
delay, abort                  runtime keys per dependency (`topology.delay_percent_key` …), admin layer
throttle on/off               runtime key per dependency (`topology.throttle_key`), admin layer
bucket's size and rate        file per dependency (`topology.bucket_path`), extension config discovery
latency with jitter           file per dependency (`topology.latency_path`), extension config discovery
failed handshake, failed DNS  runtime keys per dependency (`topology.tls_percent_key` …): another route
refused, reset                file of all listeners (`topology.listeners_path`), listener discovery
============================  ================================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stormproof.faults.envoy_latency import LUA_TYPE, no_latency
from stormproof.faults.envoy_rate_limit import LOCAL_RATE_LIMIT_TYPE, bucket_resource
from stormproof.lab.envoy_parts import EXTENSION_TYPE, http_listener, socket_address, static_cluster
from stormproof.lab.throttle_replies import REPLIES, ThrottleReply
from stormproof.lab.tls import AUTHORITY_FILE, HOST_NAME
from stormproof.lab.topology import (
    AWS_DEPENDENCIES,
    CERTIFICATES,
    DEPENDENCIES,
    RESET_CLUSTER,
    SLOWED_DEPENDENCIES,
    Topology,
    abort_percent_key,
    abort_status_key,
    access_log_path,
    bucket_name,
    bucket_path,
    delay_duration_key,
    delay_percent_key,
    dns_percent_key,
    latency_name,
    latency_path,
    listeners_path,
    throttle_key,
    tls_path,
    tls_percent_key,
)
from stormproof.lab.variants import variant_named

_LISTENER_TYPE = "type.googleapis.com/envoy.config.listener.v3.Listener"
# What a bucket holds while nobody throttles: wide open, and disabled by its runtime key as well.
PRISTINE_RATE_PER_S = 1_000_000.0
PRISTINE_BURST = 1_000_000
UNRESOLVED_CLUSTER = "unresolved"

# The columns of an arrival, as Envoy knows them. A single operator keeps its type, an absent value becomes null.
ACCESS_LOG_FORMAT = {
    "start_s": "%START_TIME(%s.%6f)%",
    "duration_ms": "%DURATION%",
    "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "transport_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
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


def egress_clusters(topology: Topology, directory: Path) -> list[dict[str, Any]]:
    """Where the requests go: the dependencies, and the places that refuse them."""
    return [
        *(_backend_cluster(name, topology) for name in topology.backends),
        static_cluster("to-moto", topology.moto),
        static_cluster(RESET_CLUSTER, topology.resetter),
        *(_tls_cluster(certificate, topology, directory) for certificate in CERTIFICATES),
        _unresolved_cluster(topology),
    ]


def _backend_cluster(name: str, topology: Topology) -> dict[str, Any]:
    cluster = static_cluster(f"to-{name}", topology.backends[name])
    if _retries(name, topology):
        # Envoy lets three retries be under way at once by default, which would make the layer a thin one.
        cluster["circuit_breakers"] = {"thresholds": [{"max_retries": 1024}]}
    return cluster


def watched_files(topology: Topology, directory: Path) -> dict[Path, dict[str, Any]]:
    """What Envoy reads beside its bootstrap and watches, as it is while nothing is broken; path → JSON-ready."""
    files = {listeners_path(directory): pristine_listeners(topology, directory)}
    for dependency in DEPENDENCIES:
        files[bucket_path(directory, dependency)] = pristine_bucket(dependency)
    for dependency in SLOWED_DEPENDENCIES:
        files[latency_path(directory, dependency)] = no_latency(latency_name(dependency))
    return files


def pristine_bucket(dependency: str) -> dict[str, Any]:
    """The discovery document of *dependency*'s bucket while nobody throttles it."""
    return bucket_resource(
        bucket_name(dependency),
        rate_per_s=PRISTINE_RATE_PER_S,
        burst=PRISTINE_BURST,
        runtime_key=throttle_key(dependency),
    )


def pristine_listeners(topology: Topology, directory: Path) -> dict[str, Any]:
    """The discovery document of all listeners in front of dependencies."""
    return {
        "type_url": _LISTENER_TYPE,
        "resources": [
            {"@type": _LISTENER_TYPE, **_egress_listener(name, topology, directory)} for name in sorted(DEPENDENCIES)
        ],
    }


def _egress_listener(dependency: str, topology: Topology, directory: Path) -> dict[str, Any]:
    service = AWS_DEPENDENCIES.get(dependency)
    settings: dict[str, Any] = {
        "access_log": [_access_log(access_log_path(directory, dependency))],
        # Who calls sets the time-out; the proxy adds none of its own.
        "stream_idle_timeout": "0s",
    }
    latency = [
        _discovered_filter(latency_name(dependency), latency_path(directory, dependency), LUA_TYPE),
        _drawn_delay_filter(),
    ]
    replies = [_throttle_reply(REPLIES[service])] if service else []
    settings["local_reply_config"] = {"mappers": [*replies, _unavailable_reply()]}
    return http_listener(
        dependency,
        topology.proxies[dependency],
        route={
            "routes": _routes(dependency, "to-moto" if service else f"to-{dependency}", _retries(dependency, topology))
        },
        http_filters=[
            # The bucket stands first, as a service throttles at its front door.
            _discovered_filter(bucket_name(dependency), bucket_path(directory, dependency), LOCAL_RATE_LIMIT_TYPE),
            *(latency if dependency in SLOWED_DEPENDENCIES else []),
            _fault_filter(dependency),
            _lookup_filter(topology),
        ],
        settings=settings,
    )


def _retries(dependency: str, topology: Topology) -> int:
    """How often the proxy itself retries: a layer of its own, in front of *prices* only."""
    return variant_named(topology.variant).calls.proxy_of_prices_retries if dependency == "prices" else 0


def _routes(dependency: str, cluster: str, retries: int) -> list[dict[str, Any]]:
    """The detours that runtime keys open, then the way that is taken otherwise."""
    detours: list[dict[str, Any]] = [
        {
            "match": _for_percent(tls_percent_key(dependency, certificate)),
            "route": {"cluster": _tls_name(certificate), "timeout": "0s"},
        }
        for certificate in CERTIFICATES
    ]
    detours.append(
        {
            "match": _for_percent(dns_percent_key(dependency)),
            "route": {"cluster": UNRESOLVED_CLUSTER, "timeout": "0s"},
            "typed_per_filter_config": {
                "lookup": {
                    "@type": f"{EXTENSION_TYPE}.filters.http.dynamic_forward_proxy.v3.PerRouteConfig",
                    "host_rewrite_literal": f"{dependency}.lab.test",
                }
            },
        }
    )
    way: dict[str, Any] = {"cluster": cluster, "timeout": "0s"}
    if retries:
        way["retry_policy"] = {
            "retry_on": "5xx",
            "num_retries": retries,
            "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
        }
    return [*detours, {"match": {"prefix": "/"}, "route": way}]


def _for_percent(runtime_key: str) -> dict[str, Any]:
    never = {"numerator": 0, "denominator": "HUNDRED"}
    return {"prefix": "/", "runtime_fraction": {"default_value": never, "runtime_key": runtime_key}}


def _discovered_filter(name: str, path: Path, type_url: str) -> dict[str, Any]:
    """A filter whose configuration Envoy reads from a file, again whenever a rename puts a new one there."""
    return {
        "name": name,
        "config_discovery": {
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {"path": str(path), "watched_directory": {"path": str(path.parent)}},
            },
            "type_urls": [type_url],
        },
    }


def _fault_filter(dependency: str) -> dict[str, Any]:
    never = {"numerator": 0, "denominator": "HUNDRED"}
    return {
        "name": "fault",
        "typed_config": {
            "@type": f"{EXTENSION_TYPE}.filters.http.fault.v3.HTTPFault",
            # The durations and statuses here count only once a percentage is raised at run time without them.
            "delay": {"fixed_delay": "1s", "percentage": never},
            "abort": {"http_status": 503, "percentage": never},
            "delay_percent_runtime": delay_percent_key(dependency),
            "delay_duration_runtime": delay_duration_key(dependency),
            "abort_percent_runtime": abort_percent_key(dependency),
            "abort_http_status_runtime": abort_status_key(dependency),
        },
    }


def _drawn_delay_filter() -> dict[str, Any]:
    """Delays by what the filter before it drew (`faults.envoy_latency`); without that header it does nothing."""
    return {
        "name": "drawn-delay",
        "typed_config": {
            "@type": f"{EXTENSION_TYPE}.filters.http.fault.v3.HTTPFault",
            "delay": {"header_delay": {}, "percentage": {"numerator": 100, "denominator": "HUNDRED"}},
        },
    }


def _lookup_filter(topology: Topology) -> dict[str, Any]:
    """Looks the host of a request up, for routes to the `UNRESOLVED_CLUSTER` only."""
    return {
        "name": "lookup",
        "typed_config": {
            "@type": f"{EXTENSION_TYPE}.filters.http.dynamic_forward_proxy.v3.FilterConfig",
            "dns_cache_config": _dns_cache(topology),
        },
    }


def _throttle_reply(reply: ThrottleReply) -> dict[str, Any]:
    """What the service says when it throttles, in place of what the rate limit filter says."""
    return {
        # Only the rate limit filter makes a 429 of its own here: an upstream 429 is not a local reply.
        "filter": _status_is(429, runtime_key="lab.throttle_status"),
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


def _unavailable_reply() -> dict[str, Any]:
    """Why the proxy could not reach the dependency, in the answer: the reason of a failed handshake is evidence."""
    text = "%LOCAL_REPLY_BODY% (%RESPONSE_FLAGS%; %UPSTREAM_TRANSPORT_FAILURE_REASON%)\n"
    return {
        "filter": _status_is(503, runtime_key="lab.unavailable_status"),
        "body_format_override": {"text_format_source": {"inline_string": text}},
    }


def _status_is(status: int, *, runtime_key: str) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": runtime_key}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _access_log(path: Path) -> dict[str, Any]:
    return {
        "name": "file",
        "typed_config": {
            "@type": f"{EXTENSION_TYPE}.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {"json_format": ACCESS_LOG_FORMAT},
        },
    }


def _tls_name(certificate: str) -> str:
    return f"tls-{certificate}"


def _tls_cluster(certificate: str, topology: Topology, directory: Path) -> dict[str, Any]:
    """An endpoint of ours over TLS, verified as one verifies: the lab's own authority, and the host's name."""
    return {
        **static_cluster(_tls_name(certificate), topology.tls[certificate]),
        "transport_socket": {
            "name": "tls",
            "typed_config": {
                "@type": f"{EXTENSION_TYPE}.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": HOST_NAME,
                "common_tls_context": {
                    "validation_context": {
                        "trusted_ca": {"filename": str(tls_path(directory) / AUTHORITY_FILE)},
                        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": HOST_NAME}}],
                    }
                },
            },
        },
    }


def _unresolved_cluster(topology: Topology) -> dict[str, Any]:
    """Goes where the lookup says, and the lookup says that there is no such name."""
    return {
        "name": UNRESOLVED_CLUSTER,
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.dynamic_forward_proxy",
            "typed_config": {
                "@type": f"{EXTENSION_TYPE}.clusters.dynamic_forward_proxy.v3.ClusterConfig",
                "dns_cache_config": _dns_cache(topology),
            },
        },
    }


def _dns_cache(topology: Topology) -> dict[str, Any]:
    """Asks the lab's own name server and no other, and does not remember for long what it said."""
    soon = {"base_interval": "1s", "max_interval": "1s"}
    return {
        "name": "lab",
        "dns_lookup_family": "V4_ONLY",
        "host_ttl": "1s",
        "dns_refresh_rate": "1s",
        "dns_failure_refresh_rate": soon,
        "typed_dns_resolver_config": {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": f"{EXTENSION_TYPE}.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                "resolvers": [socket_address(topology.resolver)],
                # Over TCP, because only a TCP port can be held for a server that is not listening yet.
                "dns_resolver_options": {"use_tcp_for_dns_lookups": True, "no_default_search_domain": True},
            },
        },
    }
