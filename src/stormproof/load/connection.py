"""The connections of a load: what is due goes out before the answers that came in are looked at.

Where a worker has little CPU to spare, answers come in by the dozen, and gevent's loop hands each of them to its
greenlet before it looks at its timers again. An arrival that falls due meanwhile waits for all of them and is then sent
together with those behind it, and their answers come in by the dozen again. So the schedule is asked before each
answer. One arrival an answer and no more: a worker that is too slow must fall behind its schedule, which shows and
makes the run invalid, and not behind its answers.

And a time-out costs two entries in a table, not an object, a timer and an exception for each wait: hardly any wait
ever comes to it.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import gevent.socket
from gevent import get_hub, getcurrent
from gevent.exceptions import ConcurrentObjectUseError, InvalidSwitchError

_send_one: Callable[[], object] | None = None


def before_each_answer(send_one: Callable[[], object] | None) -> None:
    """Have every connection call *send_one* before it hands on what came in: in the hub, where nothing may wait."""
    global _send_one  # noqa: PLW0603  # one process, one schedule
    _send_one = send_one


class Connection(gevent.socket.socket):  # type: ignore[misc]  # gevent has no types
    """A socket whose waits are as above; else gevent's own."""

    def send_all(self, data: bytes) -> None:
        """`sendall`, without its preparations: a request that is sent again and again fits into one packet."""
        sent = self.send(data)
        if sent < len(data):
            self.sendall(data[sent:])

    def wait_for_answer(self) -> None:
        """Until something can be read. `TimeoutError` after the socket's time-out."""
        self._wait(self._read_event)

    def _wait(self, watcher: Any, timeout_exc: BaseException | None = None) -> None:
        """What gevent's sockets call when they would block."""
        if watcher is None or watcher.callback is not None:
            raise ConcurrentObjectUseError("this connection is used by another greenlet, or was closed by it")
        wait = _Wait(getcurrent(), timeout_exc)
        patience = _patience_of(self.timeout)
        patience.begin(wait)
        watcher.start(wait.switch)
        try:
            if get_hub().switch() is not wait:
                raise InvalidSwitchError("woken by something that was not waited for")
        finally:
            watcher.stop()
            patience.end(wait)


class _Wait:
    """One greenlet that waits for its socket."""

    __slots__ = ("_greenlet", "_too_long")

    def __init__(self, greenlet: Any, too_long: BaseException | None) -> None:
        self._greenlet, self._too_long = greenlet, too_long

    def switch(self) -> None:
        """It has come to something: the loop calls this."""
        if _send_one is not None:
            _send_one()
        self._greenlet.switch(self)

    def throw(self, *error: Any) -> None:
        """It has come to nothing: gevent calls this where the socket is closed meanwhile."""
        self._greenlet.throw(*error)

    def give_up(self) -> None:
        """It has taken too long."""
        self._greenlet.throw(self._too_long or TimeoutError("timed out"))


class _Patience:
    """Ends waits that last *timeout_s*: all have the same time, so the first to begin is the first to end."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._until_mono_s: dict[_Wait, float] = {}  # in the order of their instants
        self._timer: Any = None

    def begin(self, wait: _Wait) -> None:
        """*wait* begins now."""
        self._until_mono_s[wait] = monotonic() + self._timeout_s
        if self._timer is None:
            self._look_in(self._timeout_s)

    def end(self, wait: _Wait) -> None:
        """It has ended, however it did."""
        self._until_mono_s.pop(wait, None)

    def _look_in(self, seconds: float) -> None:
        self._timer = get_hub().loop.timer(seconds)
        self._timer.start(self._look, update=True)

    def _look(self) -> None:
        self._timer.close()
        self._timer = None
        now = monotonic()
        for wait, until_mono_s in list(self._until_mono_s.items()):
            if until_mono_s > now:
                self._look_in(until_mono_s - now)
                return
            self.end(wait)
            wait.give_up()


class _Endless:
    """For a socket without a time-out."""

    def begin(self, wait: _Wait) -> None:
        """Nothing to note."""

    def end(self, wait: _Wait) -> None:
        """Nothing was noted."""


_patiences: dict[float | None, Any] = {None: _Endless()}


def _patience_of(timeout_s: float | None) -> Any:
    patience = _patiences.get(timeout_s)
    if patience is None:
        assert timeout_s is not None
        patience = _patiences[timeout_s] = _Patience(timeout_s)
    return patience
