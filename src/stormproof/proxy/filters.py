"""What stands in the listener in front of a dependency, so that it can be broken while Envoy runs, and what it logs.

Each switch is a runtime key of Envoy's admin layer, or a file that it watches; `model.environment.Dependency` names
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stormproof.faults.envoy_latency import LUA_TYPE
from stormproof.faults.envoy_rate_limit import LOCAL_RATE_LIMIT_TYPE, bucket_resource
from stormproof.model.environment import Dependency
from stormproof.proxy.parts import EXTENSION_TYPE
from stormproof.proxy.throttle_replies import ThrottleReply

LISTENER_TYPE = "type.googleapis.com/envoy.config.listener.v3.Listener"
# What a bucket holds while nobody throttles: wide open, and disabled by its runtime key as well.
PRISTINE_RATE_PER_S = 1_000_000.0
PRISTINE_BURST = 1_000_000
# A listener that is taken away or exchanged keeps its connections this long, and asks on each of them for the next
# request to come over a new one: a refused or reset dependency is then so for connections that were open before, too.
DRAIN_OPTIONS = ("--drain-time-s", "1", "--drain-strategy", "immediate")

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


def bucket_name(dependency: str) -> str:
    """The name of the token bucket's filter in front of *dependency*."""
    return f"throttle.{dependency}"


def latency_name(dependency: str) -> str:
    """The name of the filter that draws the latency of each call to *dependency*."""
    return f"latency.{dependency}"


def pristine_bucket(dependency: str, *, runtime_key: str) -> dict[str, Any]:
    """The discovery document of *dependency*'s bucket while nobody throttles it."""
    return bucket_resource(
        bucket_name(dependency), rate_per_s=PRISTINE_RATE_PER_S, burst=PRISTINE_BURST, runtime_key=runtime_key
    )


def bucket_filter(dependency: Dependency) -> dict[str, Any]:
    """The token bucket; it stands first, as a service throttles at its front door."""
    return _discovered_filter(bucket_name(dependency.name), dependency.throttle_config_path, LOCAL_RATE_LIMIT_TYPE)


def latency_filters(dependency: Dependency) -> list[dict[str, Any]]:
    """One that draws the latency of a request, and one that delays by what was drawn."""
    return [
        _discovered_filter(latency_name(dependency.name), dependency.latency_config_path, LUA_TYPE),
        _drawn_delay_filter(),
    ]


def _discovered_filter(name: str, path: str | None, type_url: str) -> dict[str, Any]:
    """A filter whose configuration Envoy reads from a file, again whenever a rename puts a new one there."""
    assert path is not None, "a dependency has a file for each filter that it has"
    return {
        "name": name,
        "config_discovery": {
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {"path": path, "watched_directory": {"path": str(Path(path).parent)}},
            },
            "type_urls": [type_url],
        },
    }


def fault_filter(dependency: Dependency) -> dict[str, Any]:
    """Delays and answers in the dependency's place, by runtime keys."""
    never = {"numerator": 0, "denominator": "HUNDRED"}
    return {
        "name": "fault",
        "typed_config": {
            "@type": f"{EXTENSION_TYPE}.filters.http.fault.v3.HTTPFault",
            # The durations and statuses here count only once a percentage is raised at run time without them.
            "delay": {"fixed_delay": "1s", "percentage": never},
            "abort": {"http_status": 503, "percentage": never},
            "delay_percent_runtime": dependency.delay_percent_key,
            "delay_duration_runtime": dependency.delay_duration_key,
            "abort_percent_runtime": dependency.abort_percent_key,
            "abort_http_status_runtime": dependency.abort_status_key,
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


def throttle_reply(reply: ThrottleReply) -> dict[str, Any]:
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


def unavailable_reply() -> dict[str, Any]:
    """Why the proxy could not reach the dependency, in the answer: the reason of a failed handshake is evidence."""
    text = "%LOCAL_REPLY_BODY% (%RESPONSE_FLAGS%; %UPSTREAM_TRANSPORT_FAILURE_REASON%)\n"
    return {
        "filter": _status_is(503, runtime_key="lab.unavailable_status"),
        "body_format_override": {"text_format_source": {"inline_string": text}},
    }


def _status_is(status: int, *, runtime_key: str) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": runtime_key}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def access_log(path: Path) -> dict[str, Any]:
    """The arrivals, a line each."""
    return {
        "name": "file",
        "typed_config": {
            "@type": f"{EXTENSION_TYPE}.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {"json_format": ACCESS_LOG_FORMAT},
        },
    }
