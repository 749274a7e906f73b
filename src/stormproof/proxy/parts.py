"""Pieces that every Envoy of ours is made of: addresses, clusters, HTTP listeners."""

from __future__ import annotations

from typing import Any, Protocol

EXTENSION_TYPE = "type.googleapis.com/envoy.extensions"
# An idle connection to a server of ours is closed by Envoy long before the server would, so that no request is ever
# sent into a connection that the other side is just closing.
_UPSTREAM_IDLE_S = 30


class Address(Protocol):
    """A host and a port."""

    @property
    def host(self) -> str:
        """An address or, where Envoy looks it up, a name."""
        ...

    @property
    def port(self) -> int:
        """Its port."""
        ...


def socket_address(address: Address) -> dict[str, Any]:
    """An address as Envoy writes it."""
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def endpoint(address: Address) -> dict[str, Any]:
    """A cluster's member."""
    return {"endpoint": {"address": socket_address(address)}}


def upstream_http() -> dict[str, Any]:
    """HTTP/1.1 towards a server of ours, with the idle time-out above."""
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{EXTENSION_TYPE}.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"idle_timeout": f"{_UPSTREAM_IDLE_S}s"},
            "explicit_http_config": {"http_protocol_options": {}},
        }
    }


def static_cluster(name: str, address: Address) -> dict[str, Any]:
    """A cluster of one member that is never health-checked: what it does is what the caller gets."""
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": upstream_http(),
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint(address)]}]},
    }


def http_listener(
    name: str,
    address: Address,
    *,
    route: dict[str, Any],
    http_filters: list[dict[str, Any]],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """A listener that speaks HTTP/1.1; *route* is the virtual host's, *settings* go into the connection manager."""
    connection_manager = {
        "@type": f"{EXTENSION_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
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
            {"name": "router", "typed_config": {"@type": f"{EXTENSION_TYPE}.filters.http.router.v3.Router"}},
        ],
        **settings,
    }
    return {
        "name": name,
        "address": socket_address(address),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": connection_manager}]}],
    }
