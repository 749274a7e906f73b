"""FastHttpUser's client, with what it works out anew for each request worked out once.

A load sends the same few requests again and again, and for each of them the client parses the URL, quotes it, merges
the headers three times and checks every one with a regular expression, asks a cookie jar that is empty, and looks
whether the connection is open in a way that lets every other greenlet go first. That is a third of a worker's CPU
(bench/client_cost.py), and the last of it makes arrivals late.

A locustfile sees the same client: the same bytes on the wire, cookies, redirects, errors, `response.request`. What is
not a plain request (a body, parameters, a header of several lines, `Expect`) goes the library's own way.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import lru_cache
from http.cookiejar import CookieJar
from select import POLLIN
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, inet_pton
from typing import TYPE_CHECKING, Any

from gevent.monkey import get_original
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.response import HTTPSocketPoolResponse
from geventhttpclient.url import URL
from locust.contrib import fasthttp

if TYPE_CHECKING:
    from geventhttpclient.header import Headers

# What is kept at most, of each; a locustfile that draws its URLs at random must not fill the memory.
KEPT_MAX = 4096
_BROKEN = frozenset({errno.ECONNRESET, errno.EPIPE})
_NO_PLAIN_HEAD = ("expect", "transfer-encoding")  # the client sends these requests in several steps
_poll: Callable[[], Any] = get_original("select", "poll")


def install() -> None:
    """Have FastHttpUsers that are made from now on use this client. Once per process: it is for good."""
    fasthttp.CookieJar = SparingCookieJar
    fasthttp.LocustUserAgent = SparingUserAgent
    ConnectionPool._is_socket_alive = is_open  # noqa: SLF001 - there is no public way
    ConnectionPool._resolve = resolved_here(ConnectionPool._resolve)  # noqa: SLF001


def is_open(_pool: ConnectionPool, connection: Any) -> bool:
    """Whether an idle *connection* can be used again: nothing waits to be read on it, not even its end.

    geventhttpclient asks gevent's `select`, which gives way to every other greenlet before it answers, and knows no
    descriptor above 1,023: after a stall with more connections than that it would close each of them, used once.
    """
    try:
        descriptor = -1 if connection is None else connection.fileno()
        if descriptor < 0:
            return False
        waiting = _poll()
        waiting.register(descriptor, POLLIN)
        return not waiting.poll(0)
    except (OSError, ValueError):
        return False


def resolved_here(resolve: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """*resolve*, for names only: an address needs no resolver.

    gevent asks the resolver in a thread, and that thread waits up to 5 ms for an interpreter that is busy, once for
    each connection; meanwhile others are due, and open theirs.
    """

    def resolve_names(pool: Any) -> Any:
        host, port = pool._connection_host, pool._connection_port  # noqa: SLF001
        family = _family_of(host)
        if family is None or (pool.disable_ipv6 and family != AF_INET):
            return resolve(pool)
        address = (host, port) if family == AF_INET else (host, port, 0, 0)
        return [(family, SOCK_STREAM, IPPROTO_TCP, "", address)]

    return resolve_names


@lru_cache(maxsize=KEPT_MAX)
def _family_of(host: str) -> int | None:
    for family in (AF_INET, AF_INET6):
        try:
            inet_pton(family, host)
        except OSError:
            continue
        return family
    return None


class SparingCookieJar(CookieJar):
    """A jar that is not opened where there is nothing to put in or to take out."""

    def add_cookie_header(self, request: Any) -> None:
        """As `CookieJar` does."""
        if self._cookies:  # type: ignore[attr-defined]  # its one store, by domain
            super().add_cookie_header(request)

    def extract_cookies(self, response: Any, request: Any) -> None:
        """As `CookieJar` does."""
        headers = response.headers
        if dict.__contains__(headers, "set-cookie") or dict.__contains__(headers, "set-cookie2"):
            super().extract_cookies(response, request)


@lru_cache(maxsize=KEPT_MAX)
def _read(url: str) -> tuple[URL, str, tuple[str, str, int | None], str, str, str]:
    """All that a request asks its URL: parsed, host, origin, netloc, selector and the quoted form that is sent."""
    parsed = URL(url)
    origin = (parsed.scheme, parsed.host, parsed.port)
    return parsed, parsed.host, origin, parsed.netloc, parsed.request_uri or "/", parsed.quoted_uri


class SparingRequest(fasthttp.FastRequest):  # type: ignore[misc]  # Locust has no types here
    """A request whose URL was read before; *sent_uri* is None once it was redirected."""

    sent_uri: str | None = None

    def __init__(
        self,
        url: str | URL,
        method: str = "GET",
        headers: Headers | None = None,
        payload: Any = None,
        params: Any = None,
    ) -> None:
        if params is not None or type(url) is not str:
            super().__init__(url, method=method, headers=headers, payload=payload, params=params)
            return
        self.url = url
        self.url_split, host, self.original_origin, self.host, self.selector, self.sent_uri = _read(url)
        self.type = self.original_origin[0]
        self.original_host = self.origin_req_host = host
        self.method = method.upper()
        self.headers = headers
        self.unredirected_hdrs: dict[str, str] = {}
        self.unverifiable = False
        self._tunnel_host = None
        self.payload = payload

    def set_url(self, url: str | URL, params: Any = None) -> None:
        """As the library does: after a redirect, say."""
        self.sent_uri = None
        super().set_url(url, params=params)


class SparingUserAgent(fasthttp.LocustUserAgent):  # type: ignore[misc]
    """Sends a plain request that it has sent before as the bytes that it were then."""

    request_type = SparingRequest

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._heads: dict[tuple[Any, ...], tuple[str, bytes]] = {}

    def _urlopen(self, request: SparingRequest) -> Any:
        uri, headers = request.sent_uri, request.headers
        if uri is None or headers is None or request.payload:
            return super()._urlopen(request)
        _, host, port = request.original_origin
        client = self.clientpool.clients.get((host, port))
        key = (host, port, request.method, uri, *dict.values(headers))
        try:
            head = self._heads.get(key)
        except TypeError:  # a header of several lines
            return super()._urlopen(request)
        if client is None or head is None:
            response = super()._urlopen(request)
            self._keep(key, headers, response._sent_request)  # noqa: SLF001
            return response
        answer = _answer_of(client, request.method, head)
        return self.response_type(answer, request=request, sent_request=head[0])

    def _keep(self, key: tuple[Any, ...], headers: Headers, sent: str) -> None:
        if any(name in headers for name in _NO_PLAIN_HEAD):
            return
        if len(self._heads) >= KEPT_MAX:
            self._heads.clear()
        self._heads[key] = (sent, sent.encode("latin-1"))


def _answer_of(client: Any, method: str, head: tuple[str, bytes]) -> HTTPSocketPoolResponse:
    """What `HTTPClient.request` does once it knows the bytes, without its silent retries."""
    pool = client._connection_pool  # noqa: SLF001
    connection = pool.get_socket()
    try:
        connection.sendall(head[1])
    except OSError as error:
        if error.errno not in _BROKEN:
            pool.release_socket(connection)
            raise
        # The peer closed: it may have answered before, and what reads the answer says so if it has not.
    answer = HTTPSocketPoolResponse(
        connection, pool, block_size=client.block_size, method=method, headers_type=client.headers_type
    )
    answer._sent_request = head[0]  # noqa: SLF001
    return answer
