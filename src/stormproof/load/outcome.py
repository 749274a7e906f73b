"""Foreign exceptions as a few short, stable words: the `error` column.

Words, not messages: they are grouped by and compared between runs, so no address, port or object id may be in them.
No import of the libraries whose exceptions these are; the class name is their stable part.
"""

from __future__ import annotations

import errno
import socket

TEXT_MAX = 120

_BY_CLASS = {
    "Timeout": "timeout",  # gevent.Timeout, requests.Timeout
    "ConnectTimeout": "timeout",
    "ReadTimeout": "timeout",
    "TimeoutError": "timeout",
    "ReadTimeoutError": "timeout",
    "ConnectTimeoutError": "timeout",
    "ConnectionRefusedError": "connection refused",
    "ConnectionResetError": "reset",
    "BrokenPipeError": "reset",
    "ConnectionAbortedError": "reset",
    "HTTPConnectionClosed": "closed",
    "RemoteDisconnected": "closed",
    "HTTPParseError": "malformed answer",
    "IncompleteRead": "malformed answer",
    "BadStatusLine": "malformed answer",
    "gaierror": "name not found",
    "NameResolutionError": "name not found",
    "SSLError": "tls",
    "SSLCertVerificationError": "tls",
}
_BY_ERRNO = {
    errno.ETIMEDOUT: "timeout",
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
}
# The generator's own shortage: no property of the workload, so no sample may carry it.
_OWN_ERRNO = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})


def error_text(exception: BaseException | None, status: int) -> str:
    """What went wrong with one request, "" when nothing did.

    A message that the locustfile gave itself (`response.failure("…")`) is kept, cut to `TEXT_MAX` characters.
    """
    if exception is None:
        return ""
    if type(exception).__name__ == "CatchResponseError":
        return " ".join(str(exception).split())[:TEXT_MAX]
    if status >= 400:
        return f"status {status}"
    for cause in _causes(exception):
        if text := _word(cause):
            return text
    return type(exception).__name__[:TEXT_MAX]


def is_own_shortage(exception: BaseException | None) -> bool:
    """Whether the generator itself ran out of sockets, ports or memory."""
    return exception is not None and any(
        isinstance(cause, OSError) and cause.errno in _OWN_ERRNO for cause in _causes(exception)
    )


def _word(cause: BaseException) -> str | None:
    if isinstance(cause, TimeoutError | socket.timeout):
        return "timeout"
    if isinstance(cause, OSError) and cause.errno in _BY_ERRNO:
        return _BY_ERRNO[cause.errno]
    if type(cause).__module__ == "zlib":  # its class is called "error"
        return "malformed answer"
    return next((_BY_CLASS[name] for name in (c.__name__ for c in type(cause).__mro__) if name in _BY_CLASS), None)


def _causes(exception: BaseException) -> list[BaseException]:
    """*exception* and what it wraps, innermost first: libraries put the real one in a different place each."""
    found: list[BaseException] = []
    queue: list[BaseException] = [exception]
    while queue and len(found) < 10:  # deeper than any library wraps
        current = queue.pop(0)
        if current in found:
            continue
        found.append(current)
        inner = [
            current.__cause__,
            current.__context__,
            getattr(current, "original", None),
            getattr(current, "reason", None),
        ]
        queue += [item for item in (*inner, *current.args) if isinstance(item, BaseException)]
    return found[::-1]
