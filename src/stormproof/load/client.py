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
from dataclasses import dataclass
from functools import lru_cache
from http.cookiejar import CookieJar
from select import POLLIN
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, inet_pton
from time import monotonic
from typing import Any

from gevent import GreenletExit
from gevent.monkey import get_original
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.header import Headers
from geventhttpclient.response import HTTPSocketPoolResponse
from geventhttpclient.url import URL
from geventhttpclient.useragent import RetriesExceeded
from locust.contrib import fasthttp

from stormproof.load import answer_head
from stormproof.load.connection import Connection

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
    answer_head.install()
    ConnectionPool._create_tcp_socket = lambda _pool, *kind: Connection(*kind)  # noqa: SLF001
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


class SparingResponse(fasthttp.FastResponse):  # type: ignore[misc]
    """A response whose body is not asked how it is packed where nothing says that it is."""

    def _content(self) -> bytes | None:
        if self.headers is None or dict.__contains__(self.headers, "content-encoding"):
            packed: bytes | None = super()._content()
            return packed
        body: bytes = self._response.read()
        self.release()
        return body


class SparingRequest(fasthttp.FastRequest):  # type: ignore[misc]  # Locust has no types here
    """A request whose URL was read before; *sent_uri* is None for others, and once it was redirected."""

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


@dataclass(frozen=True, slots=True)
class Known:
    """A request that was answered before: itself, which nobody changes any more, and its bytes."""

    request: SparingRequest
    sent: str
    head: bytes


# Of all clients, because a closed load has one a user: by whatever makes up the bytes.
_known: dict[tuple[Any, ...], Known] = {}


class SparingUserAgent(fasthttp.LocustUserAgent):  # type: ignore[misc]
    """Sends a plain request that was answered before as the bytes that it was then."""

    request_type = SparingRequest
    response_type = SparingResponse

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        pool_options = self.clientpool.client_args
        self._proxy = (pool_options.get("proxy_host"), pool_options.get("proxy_port"))

    def urlopen(
        self, url: Any, method: str = "GET", headers: Any = None, payload: Any = None, **options: Any
    ) -> fasthttp.FastResponse:
        """As `UserAgent.urlopen`, which does whatever is not such a request."""
        plain = not (payload or options or headers is None or self.max_retries or self.cookiejar._cookies)  # noqa: SLF001
        if not plain:
            return super().urlopen(url, method=method, headers=headers, payload=payload, **options)
        key = (url, method, self._proxy, *dict.values(self.default_headers), *headers.items())
        try:
            known = _known.get(key)
        except TypeError:  # a header of several lines
            return super().urlopen(url, method=method, headers=headers, payload=payload)
        if known is not None:
            return self._again(known)
        response = super().urlopen(url, method=method, headers=headers, payload=payload)
        self._learn(key, response)
        return response

    def _learn(self, key: tuple[Any, ...], response: fasthttp.FastResponse) -> None:
        request = response.request
        if response.history or request.sent_uri is None or any(name in request.headers for name in _NO_PLAIN_HEAD):
            return
        if len(_known) >= KEPT_MAX:
            _known.clear()
        sent = response._sent_request  # noqa: SLF001
        _known[key] = Known(request, sent, sent.encode("latin-1"))

    def _again(self, known: Known) -> fasthttp.FastResponse:
        """The loop of `UserAgent.urlopen`, for a request without a body that is not sent a second time."""
        request, url = known.request, known.request.url
        history: list[fasthttp.FastResponse] = []
        for _ in range(self.max_redirects + 1):
            response = self._answered(request, None if history else known)
            location = response.headers.get("location")
            to_follow = isinstance(location, str) and location and self.max_redirects > 0
            if not to_follow or response.status_code not in self.redirect_response_codes:
                response._history = history  # noqa: SLF001
                return response
            if not history:
                request = SparingRequest(url, request.method, Headers(request.headers))
            history.append(response)
            response.release()
            try:
                request.redirect(response.status_code, location)
            except Exception as error:  # noqa: BLE001  # what becomes of it, the library says
                return self._given_up(url, error)
        return self._given_up(url, RetriesExceeded(url, f"Redirection limit reached ({self.max_redirects})"))

    def _answered(self, request: SparingRequest, known: Known | None) -> fasthttp.FastResponse:
        if known is None:
            self.cookiejar.add_cookie_header(request)
        try:
            started_mono_s = monotonic()
            response = self._urlopen(request) if known is None else self._sent(known)
            response._elapsed = monotonic() - started_mono_s  # noqa: SLF001
        except GreenletExit:
            raise
        except BaseException as error:  # noqa: BLE001  # whatever it is: what becomes of it, the library says
            error.request = request  # type: ignore[attr-defined]
            return self._given_up(request.url, error)
        self.cookiejar.extract_cookies(response, request)
        if response.status_code not in self.valid_response_codes:
            self._refuse(response, request)
        return response

    def _sent(self, known: Known) -> fasthttp.FastResponse:
        """What `HTTPClient.request` does once it knows the bytes."""
        request = known.request
        client = self.clientpool.clients.get(request.original_origin[1:])
        if client is None:
            client = self.clientpool.get_client(request.url_split)
        pool = client._connection_pool  # noqa: SLF001
        connection = pool.get_socket()
        try:
            if type(connection) is Connection:
                connection.send_all(known.head)
            else:  # TLS
                connection.sendall(known.head)
        except OSError as error:
            if error.errno not in _BROKEN:
                pool.release_socket(connection)
                raise
            # The peer closed: it may have answered before, and what reads the answer says so if it has not.
        if type(connection) is Connection:
            self._await(connection, pool)
        answer = HTTPSocketPoolResponse(
            connection, pool, block_size=client.block_size, method=request.method, headers_type=client.headers_type
        )
        answer._sent_request = known.sent  # noqa: SLF001
        return self.response_type(answer, request=request, sent_request=known.sent)

    @staticmethod
    def _await(connection: Connection, pool: ConnectionPool) -> None:
        """Let others go on, before the answer is asked for in vain."""
        try:
            connection.wait_for_answer()
        except BaseException:
            pool.release_socket(connection)
            raise

    def _refuse(self, response: fasthttp.FastResponse, request: SparingRequest) -> None:
        try:
            self._verify_status(response.status_code, url=request.url)
        except Exception as error:
            error.response, error.request = response, request  # type: ignore[attr-defined]
            error.http_log = self._conversation_str(request.url, response, payload=None)  # type: ignore[attr-defined]
            response.release()
            raise

    def _given_up(self, url: str, error: BaseException) -> Any:
        return self._handle_retries_exceeded(url, last_error=self._handle_error(error, url=url))
