"""A canary tells apart what a caller can meet: an answer, a refusal, a reset, a hang, a quiet end."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from stormproof.faults.canary import ask, ask_together


def answer(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy")


def reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang(connection: socket.socket) -> None:
    while connection.recv(4096):  # until the caller has enough
        pass


def end(connection: socket.socket) -> None:
    connection.recv(4096)


@contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A real server on loopback that treats each connection with *behave*; its URL."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # closed: the test is over
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with connection:
            behave(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/healthz"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


@pytest.mark.parametrize(
    ("behave", "status", "failure"),
    [
        (answer, 503, ""),
        (reset, 0, "reset"),
        (hang, 0, "no answer"),
        (end, 0, "unreachable: Remote end closed connection without response"),
    ],
)
def test_each_end_has_a_name(behave: Callable[[socket.socket], None], status: int, failure: str) -> None:
    """A reset is not a quiet end, and an error is an answer."""
    with server(behave) as url:
        reply = ask(url, timeout_s=0.3)

    assert (reply.status, reply.failure) == (status, failure)
    assert reply.text == ("busy" if status else "")
    assert reply.took_ms >= (300 if behave is hang else 0)


def test_where_nobody_listens_a_canary_is_refused() -> None:
    """A port that is held and not listened at."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        reply = ask(f"http://127.0.0.1:{held.getsockname()[1]}/", timeout_s=1)

    assert reply.failure == "refused"


def test_canaries_that_are_held_back_wait_together() -> None:
    """Five that time out take about as long as one."""
    with server(hang) as url:
        replies = ask_together(url, 5, timeout_s=0.5)

    assert [reply.failure for reply in replies] == ["no answer"] * 5
    assert max(reply.took_ms for reply in replies) < 2000
