"""One line of an access log → one arrival, or None where it is none.

Times are Unix seconds. A client that gave up before an answer is a `hang`: the ALB writes 460, NGINX 499, Envoy the
flag DC.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import shlex
from typing import Any

__all__ = ["NAMES", "alb_line", "envoy_line", "nginx_line"]

NAMES = {"alb_line": "an ALB access log", "envoy_line": "an Envoy JSON access log", "nginx_line": "an NGINX JSON log"}

# type time elb client:port target:port request_processing target_processing response_processing elb_status … "request"
# "user_agent" ssl_cipher ssl_protocol target_group "trace_id" "domain" "cert" priority request_creation_time …
_ALB_FIELDS_MIN = 22
_ALB_CLIENT, _ALB_STATUS, _ALB_AGENT, _ALB_TRACE, _ALB_CREATED = 3, 8, 13, 17, 21
_ROOT = re.compile(r"\bRoot=([0-9a-fA-F-]+)")
_APP = re.compile(r"\bapp/([^\s;,)]+)")
_ATTEMPT = re.compile(r"\battempt=(\d+)")
# Envoy's response flags, by what the caller saw of an exchange that has no status.
_HANG_FLAGS = frozenset({"DC", "SI", "DPE", "UT"})
_RESET_FLAGS = frozenset({"LR", "UR", "UC", "UF"})
_ABSENT = ("", "-")


def alb_line(line: bytes) -> dict[str, Any] | None:
    """A line of an Application Load Balancer's log, whose fields are separated by blanks and quoted where they
    have some.
    """
    try:
        fields = shlex.split(line.decode("utf-8", "replace"), posix=True)
    except ValueError:  # a quotation that is not closed: the line is torn
        return None
    if len(fields) < _ALB_FIELDS_MIN:
        return None
    end, start = _instant(fields[1]), _instant(fields[_ALB_CREATED])
    if end is None or start is None:
        return None
    status = fields[_ALB_STATUS]
    root = _ROOT.search(fields[_ALB_TRACE])
    return _row(
        client=f"{fields[_ALB_CLIENT].rpartition(':')[0]} {fields[_ALB_AGENT]}",
        op=root.group(1) if root else "",
        start_s=start,
        end_s=end,
        outcome="hang" if status in {"460", *_ABSENT} else status,
    )


def envoy_line(line: bytes) -> dict[str, Any] | None:
    """A line of our own Envoy log, or of one whose keys are called as Envoy's operators (start_time,
    response_code, …).
    """
    entry = _entry(line)
    if entry is None:
        return None
    start = _number(entry, "start_s")
    start = _instant(_text(entry, "start_time")) if start is None else start
    if start is None or _text(entry, "canary").lower() not in ("", "0", "false"):
        return None
    micros = _number(entry, "duration_us")
    millis = _first_number(entry, "duration_ms", "duration") if micros is None else micros / 1000
    status = int(_first_number(entry, "status", "response_code") or 0)
    flags = set((_text(entry, "flags") or _text(entry, "response_flags")).split(","))
    agent = _text(entry, "user_agent")
    app = _APP.search(agent)
    address = _text(entry, "downstream_remote_address").rpartition(":")[0]
    sdk = _ATTEMPT.search(_text(entry, "sdk_request"))
    callers = _text(entry, "invocation_id") or _text(entry, "op_id")
    outcome = str(status) if status else "hang" if flags & _HANG_FLAGS else "reset" if flags & _RESET_FLAGS else "close"
    return _row(
        client=app.group(1) if app else f"{address} {agent}".strip(),
        op=callers or _text(entry, "x_request_id") or _text(entry, "request_id"),
        is_callers=bool(callers),
        attempt=int(sdk.group(1)) if sdk else int(_number(entry, "attempt") or 0),
        start_s=start,
        end_s=start + (millis or 0.0) / 1000,
        outcome=outcome,
        retry_after_s=_number(entry, "retry_after"),
        dependency=_text(entry, "dependency"),
    )


def nginx_line(line: bytes) -> dict[str, Any] | None:
    """A line of an NGINX `log_format … escape=json`, keys called as its variables. It is written when the request
    ends.
    """
    entry = _entry(line)
    if entry is None:
        return None
    end = _first_number(entry, "msec", "timestamp")
    end = _instant(_text(entry, "time_iso8601") or _text(entry, "time")) if end is None else end
    if end is None:
        return None
    status = int(_number(entry, "status") or 0)
    return _row(
        client=f"{_text(entry, 'remote_addr')} {_text(entry, 'http_user_agent')}".strip(),
        op=_text(entry, "http_x_request_id") or _text(entry, "request_id"),
        start_s=end - (_number(entry, "request_time") or 0.0),
        end_s=end,
        outcome="hang" if status == 499 else str(status) if status else "close",
        retry_after_s=_first_number(entry, "sent_http_retry_after", "upstream_http_retry_after"),
    )


def _row(  # noqa: PLR0913 - the columns of an arrival, by name
    *,
    client: str,
    op: str,
    start_s: float,
    end_s: float,
    outcome: str,
    attempt: int = 0,
    is_callers: bool = False,
    retry_after_s: float | None = None,
    dependency: str = "",
) -> dict[str, Any]:
    return {
        "client": client,
        "op": op,
        "attempt": attempt,
        "t_start_s": start_s,
        "t_end_s": end_s,
        "outcome": outcome,
        "retry_after_s": math.nan if retry_after_s is None else retry_after_s,
        "is_callers": is_callers,
        "dependency": dependency,
    }


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:  # the last line may be torn: the proxy is still writing
        return None
    return entry if isinstance(entry, dict) else None


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    return "" if value is None or value == "-" else str(value)


def _number(entry: dict[str, Any], key: str) -> float | None:
    try:
        number = float(_text(entry, key))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _first_number(entry: dict[str, Any], *keys: str) -> float | None:
    return next((number for key in keys if (number := _number(entry, key)) is not None), None)


def _instant(text: str) -> float | None:
    """ISO 8601 → Unix seconds; UTC where it names no zone."""
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return (instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)).timestamp()
