"""Slow, whole, or neither: calls of our own to servers that answer late, at once, in part, or not at all."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from stormproof.faults.protocol import Seen
from stormproof.faults.slowness import look_for_slowness

SLOW_S, CYCLE_S = 0.15, 0.3


@contextlib.contextmanager
def server(*delays_s: float) -> Iterator[str]:
    """Answers each request after the next of the delays, over and over."""
    delays = itertools.cycle(delays_s)
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ended.wait(next(delays))
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}"
    finally:
        ended.set()
        listening.shutdown()
        thread.join()
        listening.server_close()


@pytest.mark.parametrize(
    ("delays_s", "seen"),
    [
        pytest.param((0.0,), Seen.WHOLE, id="at once"),
        pytest.param((0.25,), Seen.BROKEN, id="late"),
        pytest.param((0.25, 0.0), Seen.BROKEN, id="every second one late"),
        pytest.param((0.25, 0.0, 0.0), Seen.PARTIAL, id="every third one late"),
        pytest.param((0.25, 0.0, 0.0, 0.0, 0.0, 0.0), Seen.WHOLE, id="a single late one"),
        pytest.param((5.0,), Seen.BROKEN, id="later than our patience"),
    ],
)
def test_half_of_the_calls_must_be_late(delays_s: tuple[float, ...], seen: Seen) -> None:
    """Broken is half of them or more, whole is one at most."""
    with server(*delays_s) as url:
        assert look_for_slowness([url], cycle_s=CYCLE_S, slow_s=SLOW_S).seen is seen


def test_every_instance_must_be_late() -> None:
    """One that is and one that is not are neither broken nor whole."""
    with server(0.25) as late, server(0.0) as quick:
        look = look_for_slowness([late, quick], cycle_s=CYCLE_S, slow_s=SLOW_S)

    assert look.seen is Seen.PARTIAL
    assert look.evidence["called_directly"][late]["late"] > look.evidence["called_directly"][quick]["late"]


def test_gone_is_not_slow() -> None:
    """An instance that refuses is another fault's doing, and certainly not whole."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"

        assert look_for_slowness([url], cycle_s=CYCLE_S, slow_s=SLOW_S).seen is Seen.PARTIAL
