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

from stormproof.faults.envoy_latency import no_latency
from stormproof.lab.tls import AUTHORITY_FILE, HOST_NAME
from stormproof.lab.topology import (
    AWS_DEPENDENCIES,
    CERTIFICATES,
    DEPENDENCIES,
    RESET_CLUSTER,
    SLOWED_DEPENDENCIES,
    Topology,
    access_log_path,
    bucket_path,
    dependency_of,
    dns_percent_key,
    latency_path,
    listeners_path,
    throttle_key,
    tls_path,
    tls_percent_key,
)
from stormproof.lab.variants import variant_named
from stormproof.proxy import filters
from stormproof.proxy.filters import LISTENER_TYPE
from stormproof.proxy.parts import EXTENSION_TYPE, http_listener, socket_address, static_cluster
from stormproof.proxy.throttle_replies import REPLIES

UNRESOLVED_CLUSTER = "unresolved"


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
        files[latency_path(directory, dependency)] = no_latency(filters.latency_name(dependency))
    return files


def pristine_bucket(dependency: str) -> dict[str, Any]:
    """The discovery document of *dependency*'s bucket while nobody throttles it."""
    return filters.pristine_bucket(dependency, runtime_key=throttle_key(dependency))


def pristine_listeners(topology: Topology, directory: Path) -> dict[str, Any]:
    """The discovery document of all listeners in front of dependencies."""
    return {
        "type_url": LISTENER_TYPE,
        "resources": [
            {"@type": LISTENER_TYPE, **_egress_listener(name, topology, directory)} for name in sorted(DEPENDENCIES)
        ],
    }


def _egress_listener(dependency: str, topology: Topology, directory: Path) -> dict[str, Any]:
    service, one = AWS_DEPENDENCIES.get(dependency), dependency_of(dependency, topology, directory)
    settings: dict[str, Any] = {
        "access_log": [filters.access_log(access_log_path(directory, dependency))],
        # Who calls sets the time-out; the proxy adds none of its own.
        "stream_idle_timeout": "0s",
    }
    replies = [filters.throttle_reply(REPLIES[service])] if service else []
    settings["local_reply_config"] = {"mappers": [*replies, filters.unavailable_reply()]}
    return http_listener(
        dependency,
        topology.proxies[dependency],
        route={
            "routes": _routes(dependency, "to-moto" if service else f"to-{dependency}", _retries(dependency, topology))
        },
        http_filters=[
            filters.bucket_filter(one),
            *(filters.latency_filters(one) if dependency in SLOWED_DEPENDENCIES else []),
            filters.fault_filter(one),
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


def _lookup_filter(topology: Topology) -> dict[str, Any]:
    """Looks the host of a request up, for routes to the `UNRESOLVED_CLUSTER` only."""
    return {
        "name": "lookup",
        "typed_config": {
            "@type": f"{EXTENSION_TYPE}.filters.http.dynamic_forward_proxy.v3.FilterConfig",
            "dns_cache_config": _dns_cache(topology),
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
