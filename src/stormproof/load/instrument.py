"""What turns Locust's request events into samples: due instant, sending instant, total time-out, one attempt.

Runs inside the worker, after Locust was imported. Three things of the clients are changed, once per process:

- a request knows when it was due and when it was sent, both on the monotonic clock. FastHttpUser asks its user for a
  context just before it sends, and that is where we look at the clock: a wrapper around the request costs three times
  as much (bench/recorder_overhead.py);
- the time-out also ends a body that drips. The clients' own time-outs bound each read, so that one would never end;
- geventhttpclient's silent retries are off: it sends an idempotent request again, up to *concurrency* + 1 times,
  when the connection was closed before an answer, and a sample would hide all but the last attempt.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import gevent
from gevent import getcurrent
from geventhttpclient._parser import HTTPResponseParser
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.header import Headers
from geventhttpclient.response import HTTPSocketPoolResponse
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.user.users import HttpUser
from requests.exceptions import ReadTimeout

from stormproof.errors import LoadError
from stormproof.load.crew import Arrival
from stormproof.load.outcome import error_text, is_own_shortage
from stormproof.model.control import IN_CONTROL, NOT_IN_CONTROL
from stormproof.record.rows import ROW, RowWriter

_STAMP = "stormproof"
_CONTROL_STAMP = "stormproof_control"  # a key of its own, so that the hot path of all other requests need not look
_DEADLINE = "stormproof_deadline_mono_s"
_NO_CONTEXT: Mapping[str, Any] = {}
_ZONE = "x-zone"
_NO_ZONE = (_ZONE, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClock:
    """Wall time derived from the monotonic clock and one anchor, the same in all workers of a run.

    A step of the wall clock during the run moves no sample.
    """

    start_mono_s: float
    start_s: float  # Unix s

    def wall_s(self, mono_s: float) -> float:
        """*mono_s* as Unix seconds."""
        return self.start_s + (mono_s - self.start_mono_s)


class Recorder:
    """Notes when requests go out and writes a row when they end; nothing before `begin` starts the run's clock."""

    def __init__(self, rows: RowWriter, request_event: Any) -> None:
        self.rows = rows
        self._request_event = request_event
        self.sent_mono_s = array("d")  # open model: when the first request of each arrival went out …
        self.lateness_s = array("d")  # … and how long after its instant
        self.failure: str | None = None  # why this worker can no longer be trusted

    def begin(self, clock: RunClock) -> None:
        """Record from now on; requests of `on_start` before this were no load."""
        self._request_event.add_listener(self._listener(clock.start_s - clock.start_mono_s))

    def stamp_arrival(self) -> dict[str, Any]:
        """A request of the open model goes out now: a context that says when it was due and sent, monotonic s."""
        sent = monotonic()
        current = getcurrent()
        if type(current) is not Arrival or (due := current.due_mono_s) is None:
            return {_STAMP: (sent, sent)}  # a later request of the same task: due when it is sent
        current.due_mono_s = None
        self.sent_mono_s.append(sent)
        self.lateness_s.append(sent - due)
        return {_STAMP: (due, sent)}

    @staticmethod
    def stamp_request() -> dict[str, Any]:
        """The same for the closed model: there is no schedule, so a request is due when it is sent."""
        sent = monotonic()
        return {_STAMP: (sent, sent)}

    def mark(self, user: Any, header: str, *, in_control: bool) -> None:
        """Have every request of *user* say in *header* whether it is the control group's, and its rows say so too.

        Raises `LoadError` for a user whose client is neither of Locust's two.
        """
        value = IN_CONTROL if in_control else NOT_IN_CONTROL
        client = getattr(user, "client", None)
        if isinstance(client, HttpSession):
            client.headers[header] = value
            client.stormproof_in_control = in_control
        elif isinstance(client, FastHttpSession):
            client.client.default_headers.update({header: value})
            if in_control:
                context = user.context
                user.context = lambda: _as_control(context())
        else:
            raise LoadError(
                f"user class {type(user).__name__}: expected Locust's own client, which can be given the header of"
                f" the control group, got {type(client).__name__}"
            )

    def _listener(self, offset_s: float) -> Callable[..., None]:
        """What Locust's `request` event calls once a request. A closure: it is the hot path, and locals are fast."""
        rows, pack_into, row_bytes = self.rows, ROW.pack_into, ROW.size
        buffer, endpoints, zones = rows.buffer, rows.ids["endpoint"], rows.ids["zone"]
        header, record, stamp_key = dict.get, self._record, _STAMP
        no_error = rows.number_of("error", "")

        def on_request(  # noqa: PLR0913, PLR0917  # Locust's arguments
            name: str,
            response_time: float,
            exception: BaseException | None = None,
            response: Any = None,
            context: Mapping[str, Any] = _NO_CONTEXT,
            # named, though unused, because collecting them in a dictionary costs a fifth of this function
            request_type: str = "",  # noqa: ARG001
            start_time: float = 0.0,  # noqa: ARG001
            url: str = "",  # noqa: ARG001
            response_length: int = 0,  # noqa: ARG001
            **_: Any,
        ) -> None:
            try:  # what nearly every request is: well, by FastHttpUser, with texts that have their numbers
                if exception is None and type(headers := response.headers) is Headers:
                    due, sent = context[stamp_key]
                    pack_into(
                        buffer, rows.used,
                        due + offset_s, sent + offset_s, (sent - due) * 1000 + response_time, response_time,
                        response._response.get_code(),  # noqa: SLF001  # `status_code` is a call more
                        True, endpoints[name], zones[header(headers, _ZONE, _NO_ZONE)[1]], no_error,
                    )  # fmt: skip
                    rows.used += row_bytes
                    return
            except (KeyError, AttributeError, TypeError, struct.error):
                pass  # a new text, no answer, no stamp, two zones, a full buffer: nothing was packed
            record(offset_s, name, response_time, exception, response, context)

        return on_request

    def _record(
        self,
        offset_s: float,
        name: str,
        response_time: float,
        exception: BaseException | None,
        response: Any,
        context: Mapping[str, Any],
    ) -> None:
        """Write the row of any request at all."""
        stamp = context.get(_STAMP) or context.get(_CONTROL_STAMP)
        if stamp is None:  # fired by the locustfile itself: reckoned from the end
            due = sent = monotonic() - response_time / 1000
        else:
            due, sent = stamp
        status, zone, error = 0, "", ""
        if response is not None:
            status = response.status_code or 0
            if response.headers:
                zone = _zone_of(response.headers)
        if exception is not None:
            error = self._error_of(exception, status)
        try:
            self.rows.append(
                due + offset_s,
                sent + offset_s,
                (sent - due) * 1000 + response_time,
                response_time,
                status,
                exception is None,
                name,
                zone,
                error,
                _CONTROL_STAMP in context,
            )
        except OSError as problem:  # Locust would log and go on; a run without its samples must end
            self.failure = f"samples could not be written: {problem}"

    def _error_of(self, exception: BaseException, status: int) -> str:
        if is_own_shortage(exception):  # the sample is void, and with it the load: the worker ends at its next tick
            self.failure = f"the load generator ran out of sockets, ports or memory: {exception}"
        return error_text(exception, status)


def instrument_clients(recorder: Recorder, user_classes: Sequence[Any], *, timeout_s: float, open_model: bool) -> None:
    """Change *user_classes* and the HTTP clients as the module says. Once per process: it is for good."""
    stamp = recorder.stamp_arrival if open_model else recorder.stamp_request
    for user_class in user_classes:
        if not issubclass(user_class, HttpUser):
            own = user_class.context
            # Locust's own is empty: no need to ask for it
            is_locusts = own.__module__ == "locust.user.users"
            user_class.context = staticmethod(stamp) if is_locusts else stamped_context(own, stamp)
    HttpSession.request = _timed(HttpSession.request, stamp, timeout_s)
    ConnectionPool.__init__ = _without_retries(ConnectionPool.__init__)
    HTTPSocketPoolResponse.feed = bounded_feed(HTTPSocketPoolResponse.feed, timeout_s)


def _as_control(context: dict[str, Any]) -> dict[str, Any]:
    """*context*, its stamp that of a request of the control group."""
    context[_CONTROL_STAMP] = context.pop(_STAMP)
    return context


def stamped_context(
    context: Callable[[Any], dict[str, Any]], stamp: Callable[[], dict[str, Any]]
) -> Callable[[Any], dict[str, Any]]:
    """A user's `context` that adds the stamp to what the locustfile's own gives."""

    def stamped(user: Any) -> dict[str, Any]:
        return {**context(user), **stamp()}

    return stamped


def bounded_feed(feed: Callable[[Any, bytes], None], timeout_s: float) -> Callable[[Any, bytes], None]:
    """`feed` of geventhttpclient's responses, for a body that must be there *timeout_s* after the first bytes.

    Looked at only where one read did not bring it all; a single pause in it is bounded by the read time-out.
    Not a subclass, because that makes each response 2 % slower: its methods are looked up along one class more. And all
    that the library's `feed` adds to the parser's is to forgive a body after HEAD, so other methods need not go there.
    """
    parse = HTTPResponseParser.feed

    def bounded(response: Any, data: bytes) -> None:
        if response.method == "HEAD":
            feed(response, data)
        else:
            parse(response, data)
        if not response.message_complete:
            now = monotonic()
            deadline_mono_s = response.__dict__.setdefault(_DEADLINE, now + timeout_s)
            if now > deadline_mono_s:
                raise TimeoutError(f"the body was not complete {timeout_s:g} s after its first bytes")

    return bounded


def _zone_of(headers: Any) -> str:
    # geventhttpclient keeps (name, value), or a list of them, under the small name; its own get() costs a microsecond
    if type(headers) is Headers:
        found = dict.get(headers, _ZONE)
        if found is None:
            return ""
        return str(found[1] if type(found) is tuple else found[0][1])
    return str(headers.get(_ZONE) or "")


def _timed(request: Callable[..., Any], stamp: Callable[[], dict[str, Any]], timeout_s: float) -> Callable[..., Any]:
    """`HttpSession.request`, which asks for the context only after the answer: stamped and bounded around it."""

    def timed_request(
        session: Any, method: str, url: str, *args: Any, context: Mapping[str, Any] = _NO_CONTEXT, **options: Any
    ) -> Any:
        # requests' own exception, because HttpSession catches nothing else
        too_long = ReadTimeout("the request took longer than the load's timeout")
        stamped = {**context, **stamp()}
        if getattr(session, "stormproof_in_control", False):
            stamped = _as_control(stamped)
        with gevent.Timeout(timeout_s, too_long):
            return request(session, method, url, *args, context=stamped, **options)

    return timed_request


def _without_retries(initialise: Callable[..., None]) -> Callable[..., None]:
    def initialise_without_retries(pool: Any, *args: Any, **options: Any) -> None:
        initialise(pool, *args, **options)
        # Read in one place, HTTPClient.request: attempts_left = pool.size + 1. The semaphore keeps the true size.
        pool.size = -1

    return initialise_without_retries
