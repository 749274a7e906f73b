"""The side-car that a workload in AWS calls its dependencies through: the lab's Envoy without the lab.

A workload reaches an AWS service through it by ``AWS_ENDPOINT_URL_<SERVICE>``. Such a call is signed for the side-car's
address, which the service would not accept; so the side-car takes that signature off and signs anew, with credentials
of its own: those of the task, pod or machine that it runs in, which are the workload's as well.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from stormproof.errors import InputError
from stormproof.faults.envoy_latency import no_latency
from stormproof.model.cloud import CloudDependency, CloudFile, Sidecar
from stormproof.model.environment import Dependency, Proxy
from stormproof.proxy import filters
from stormproof.proxy.parts import EXTENSION_TYPE, http_listener, socket_address, upstream_http
from stormproof.proxy.throttle_replies import REPLIES

BOOTSTRAP = "envoy.json"
_LISTENERS = "listeners/listeners.json"
# Of the caller's own signature. The names are those of SigV4.
_SIGNATURE = ("authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where calls are passed on to."""

    host: str
    port: int
    tls: bool
    signing_name: str | None = None  # SigV4's name of the service; None: not signed
    variable: str | None = None  # "AWS_ENDPOINT_URL_DYNAMODB": how an SDK is told to call the side-car

    @property
    def authority(self) -> str:
        """As a client of it would write it into `Host`."""
        return self.host if self.port == (443 if self.tls else 80) else f"{self.host}:{self.port}"


def proxy_of(sidecar: Sidecar) -> Proxy:
    """What faults need to know of it."""
    return Proxy(
        admin_url=sidecar.admin_url, node_id=sidecar.node_id, listeners_path=f"{sidecar.directory}/{_LISTENERS}"
    )


def dependency_of(sidecar: Sidecar, one: CloudDependency) -> Dependency:
    """*one* as faults know it: its listener, and the switches in front of it."""
    assert one.port is not None, "asked only of a dependency behind the side-car"
    key, folder = f"stormproof.{one.name}", sidecar.directory
    throttled = one.service in REPLIES
    return Dependency(
        name=one.name,
        url=f"http://{sidecar.host}:{one.port}",
        access_log=f"{folder}/arrivals/{one.name}.jsonl",
        service=one.service,
        canary_path=one.canary_path,
        delay_percent_key=f"{key}.delay_percent",
        delay_duration_key=f"{key}.delay_ms",
        throttle_enabled_key=f"{key}.throttle_percent" if throttled else None,
        throttle_config_path=f"{folder}/buckets/{one.name}.json" if throttled else None,
        abort_percent_key=f"{key}.abort_percent",
        abort_status_key=f"{key}.abort_status",
        latency_config_path=f"{folder}/latency/{one.name}.json",
        listener=one.name,
    )


def proxied_dependencies(file: CloudFile) -> dict[str, Dependency]:
    """By name, those of *file* that are called through its side-car."""
    sidecar = file.sidecar
    if sidecar is None:
        return {}
    return {name: dependency_of(sidecar, one) for name, one in file.dependencies.items() if one.port is not None}


def upstreams(file: CloudFile) -> dict[str, Upstream]:
    """Where each of them is. Raises `InputError` for a service that botocore does not know."""
    return {name: _upstream(one, file) for name, one in file.dependencies.items() if one.port is not None}


def sidecar_files(file: CloudFile) -> dict[str, dict[str, Any]]:
    """Everything that the side-car of *file* reads: path below its folder → JSON-ready document.

    Raises `InputError` when it has none, or nothing is called through it.
    """
    sidecar, dependencies = file.sidecar, proxied_dependencies(file)
    if sidecar is None or not dependencies:
        expected = "a section `proxy`, and a dependency with `proxy` among its keys"
        raise InputError(where=file.where, what="proxy", expected=expected, got="none")
    where = upstreams(file)
    files = {
        BOOTSTRAP: _bootstrap(sidecar, where),
        _LISTENERS: {
            "type_url": filters.LISTENER_TYPE,
            "resources": [
                {"@type": filters.LISTENER_TYPE, **_listener(one, where[name], file)}
                for name, one in sorted(dependencies.items())
            ],
        },
    }
    for one in dependencies.values():
        files[_below(sidecar, one.latency_config_path)] = no_latency(filters.latency_name(one.name))
        if one.throttle_config_path and one.throttle_enabled_key:
            bucket = filters.pristine_bucket(one.name, runtime_key=one.throttle_enabled_key)
            files[_below(sidecar, one.throttle_config_path)] = bucket
    return files


def command_line(sidecar: Sidecar) -> list[str]:
    """How the side-car is started. Arrivals are flushed while a run goes on."""
    options = ("--concurrency", "2", "--file-flush-interval-msec", "200", "--disable-hot-restart")
    return ["envoy", "-c", f"{sidecar.directory}/{BOOTSTRAP}", *options, *filters.DRAIN_OPTIONS]


def workload_settings(file: CloudFile) -> dict[str, str]:
    """How the workload is told to call its dependencies through the side-car: environment variable or name → URL."""
    where, dependencies = upstreams(file), proxied_dependencies(file)
    return {where[name].variable or name: one.url for name, one in dependencies.items()}


def _below(sidecar: Sidecar, path: str | None) -> str:
    assert path is not None, "every dependency here has its files"
    return str(PurePosixPath(path).relative_to(sidecar.directory))


def _upstream(one: CloudDependency, file: CloudFile) -> Upstream:
    endpoint, signing_name, variable = one.upstream, None, None
    if one.service:
        regional, signing_name, service_id = _service(one.service, file)
        endpoint = endpoint or file.endpoint_url or regional
        variable = f"AWS_ENDPOINT_URL_{service_id.upper().replace(' ', '_')}"
    parts = urllib.parse.urlsplit(endpoint or "")
    tls = parts.scheme == "https"
    return Upstream(
        host=parts.hostname or "",
        port=parts.port or (443 if tls else 80),
        tls=tls,
        signing_name=signing_name,
        variable=variable,
    )


def _service(name: str, file: CloudFile) -> tuple[str, str, str]:
    """Its regional endpoint, SigV4's name of it, and its id, as botocore has them."""
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    session: Any = botocore.session.Session()
    session.set_credentials("none", "none")  # nothing is called
    settings: dict[str, Any] = {"ignore_configured_endpoint_urls": True}  # of whoever asks, who may be behind a proxy
    try:
        client = session.create_client(name, region_name=file.region, config=Config(**settings))
    except BotoCoreError as error:
        expected = "an AWS service as botocore names it"
        raise InputError(where=file.where, what="dependencies", expected=expected, got=name) from error
    model = client.meta.service_model
    return str(client.meta.endpoint_url), str(model.signing_name), str(model.service_id)


def _bootstrap(sidecar: Sidecar, where: Mapping[str, Upstream]) -> dict[str, Any]:
    admin, listeners = urllib.parse.urlsplit(sidecar.admin_url), f"{sidecar.directory}/{_LISTENERS}"
    place = Upstream(host=admin.hostname or "", port=admin.port or 0, tls=False)
    return {
        "node": {"id": sidecar.node_id, "cluster": "stormproof"},
        "admin": {"address": socket_address(place)},
        # Only the admin layer is written to: what it holds is what is in force, and all of it is ours.
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
        "dynamic_resources": {
            "lds_config": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": listeners,
                    "watched_directory": {"path": str(PurePosixPath(listeners).parent)},
                },
            }
        },
        "static_resources": {"clusters": [_cluster(name, one, sidecar) for name, one in sorted(where.items())]},
    }


def _listener(one: Dependency, upstream: Upstream, file: CloudFile) -> dict[str, Any]:
    assert file.sidecar is not None, "the caller has one"
    replies = [filters.throttle_reply(REPLIES[one.service])] if one.service in REPLIES else []
    way: dict[str, Any] = {"cluster": f"to-{one.name}", "timeout": "0s"}
    if not upstream.signing_name:  # a signature fixes the host, and its filter has written it by then
        way["host_rewrite_literal"] = upstream.authority
    port = urllib.parse.urlsplit(one.url).port or 0
    return http_listener(
        one.name,
        Upstream(host=file.sidecar.host, port=port, tls=False),
        route={"routes": [{"match": {"prefix": "/"}, "route": way}]},
        http_filters=[
            *([filters.bucket_filter(one)] if one.throttle_config_path else []),
            *filters.latency_filters(one),
            filters.fault_filter(one),
            *(_signing_filters(upstream, file.region) if upstream.signing_name else []),
        ],
        settings={
            "access_log": [filters.access_log(Path(str(one.access_log)))],
            # Who calls sets the time-out; the proxy adds none of its own.
            "stream_idle_timeout": "0s",
            "local_reply_config": {"mappers": [*replies, filters.unavailable_reply()]},
        },
    )


def _signing_filters(upstream: Upstream, region: str) -> list[dict[str, Any]]:
    """Takes the caller's signature off, and signs for the service. Last of all: what it signs must not be changed.

    Envoy 1.40's signer overwrites the caller's by itself, which is documented nowhere, and so not relied on.
    """
    return [
        {
            "name": "unsign",
            "typed_config": {
                "@type": f"{EXTENSION_TYPE}.filters.http.header_mutation.v3.HeaderMutation",
                "mutations": {"request_mutations": [{"remove": name} for name in _SIGNATURE]},
            },
        },
        {
            "name": "sign",
            "typed_config": {
                "@type": f"{EXTENSION_TYPE}.filters.http.aws_request_signing.v3.AwsRequestSigning",
                "service_name": upstream.signing_name,
                "region": region,
                "host_rewrite": upstream.authority,
            },
        },
    ]


def _cluster(name: str, upstream: Upstream, sidecar: Sidecar) -> dict[str, Any]:
    member = {"endpoint": {"address": socket_address(upstream)}}
    cluster: dict[str, Any] = {
        "name": f"to-{name}",
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",  # a name's IPv6 address leads nowhere from many a subnet
        "connect_timeout": "5s",
        "typed_extension_protocol_options": upstream_http(),
        "load_assignment": {"cluster_name": f"to-{name}", "endpoints": [{"lb_endpoints": [member]}]},
    }
    if upstream.tls:
        cluster["transport_socket"] = {
            "name": "tls",
            "typed_config": {
                "@type": f"{EXTENSION_TYPE}.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": upstream.host,
                "common_tls_context": {
                    "validation_context": {
                        "trusted_ca": {"filename": sidecar.ca_path},
                        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": upstream.host}}],
                    }
                },
            },
        }
    return cluster
