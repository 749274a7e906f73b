"""Requests that reach what they name: no proxy of the process's environment stands in between."""

from __future__ import annotations

import urllib.request
from http.client import HTTPResponse

# With HTTP_PROXY set, a confirmation would otherwise ask the proxy, and believe it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def open_direct(request: urllib.request.Request | str, *, timeout_s: float) -> HTTPResponse:
    """The answer to *request*; raises what `urllib.request.urlopen` raises."""
    answer: HTTPResponse = _OPENER.open(request, timeout=timeout_s)
    return answer
