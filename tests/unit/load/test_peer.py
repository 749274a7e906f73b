"""The connection between a conductor and a worker elsewhere: who may take part, and what is believed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from stormproof.errors import InputError, LoadError
from stormproof.load import peer as peers
from stormproof.load.peer import MESSAGE, ROWS, Peer, call_on, greet
from stormproof.load.token import read_token

TOKEN, OTHER = b"0123456789abcdef0123456789abcdef", b"fedcba9876543210fedcba9876543210"


class Tap:
    """Two TCP connections with a thread between them that keeps what passes, and may change it."""

    def __init__(self, change: Callable[[bytes], bytes] = lambda data: data) -> None:
        self.heard = bytearray()
        self._change = change
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.conductor = socket.create_connection(server.getsockname())
            one, _ = server.accept()
            self.worker = socket.create_connection(server.getsockname())
            other, _ = server.accept()
        self._inner = (one, other)
        for source, target in ((one, other), (other, one)):
            threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self.heard += data
                target.sendall(self._change(data))
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        for one in (self.conductor, self.worker, *self._inner):
            one.close()


@pytest.fixture
def tap() -> Iterator[Tap]:
    tap = Tap()
    yield tap
    tap.close()


def shake(tap: Tap, theirs: bytes = TOKEN) -> tuple[Future[Peer], Future[Peer]]:
    """Both sides of the handshake at once; the conductor holds `TOKEN`, the worker *theirs*."""
    with ThreadPoolExecutor(2) as pool:
        conductor = pool.submit(greet, tap.conductor, TOKEN, within_s=2, send_within_s=2)
        worker = pool.submit(call_on, tap.worker, theirs, within_s=2, send_within_s=2)
        if conductor.exception() is not None:
            tap.conductor.shutdown(socket.SHUT_WR)
    return conductor, worker


def test_both_sides_prove_the_token_and_never_send_it(tap: Tap) -> None:
    """With one token, frames pass both ways; neither the token nor a key of it is on the wire."""
    conductor, worker = (side.result() for side in shake(tap))

    conductor.send_message({"kind": "start"})
    worker.send(ROWS, b"rows")

    assert worker.receive_message(2) == {"kind": "start"}
    assert conductor.receive(2) == (ROWS, b"rows")
    assert TOKEN not in tap.heard


def test_another_token_is_refused_by_both_sides(tap: Tap) -> None:
    """The conductor turns the worker away, and the worker believes no conductor that could not answer."""
    conductor, worker = shake(tap, theirs=OTHER)

    with pytest.raises(LoadError, match="another token"):
        conductor.result()
    with pytest.raises(LoadError):
        worker.result()


def test_a_conductor_that_only_repeats_what_it_heard_is_refused() -> None:
    """Whoever has no token and sends the worker's own proof back is not believed."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1) as pool:
        worker = pool.submit(call_on, theirs, TOKEN, within_s=2, send_within_s=2)
        ours.sendall(b"stormproof-load-1\n" + bytes(32))
        heard = ours.recv(64, socket.MSG_WAITALL)
        ours.sendall(heard[32:])

        with pytest.raises(LoadError, match="another token"):
            worker.result()


def test_what_is_no_conductor_is_named(tap: Tap) -> None:
    """A worker that dials something else says what it heard."""
    tap.conductor.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with pytest.raises(LoadError, match="no conductor of this version: it said b'HTTP/1"):
        call_on(tap.worker, TOKEN, within_s=2, send_within_s=2)


@pytest.mark.parametrize("harm", ["changed", "repeated"])
def test_a_frame_that_somebody_touched_is_refused(harm: str) -> None:
    """One bit changed, or one frame sent twice, ends the connection."""
    armed = threading.Event()

    def change(data: bytes) -> bytes:
        if not armed.is_set():
            return data
        return data * 2 if harm == "repeated" else data[:8] + bytes([data[8] ^ 1]) + data[9:]

    tap = Tap(change)
    conductor, worker = (side.result() for side in shake(tap))
    armed.set()
    conductor.send_message({"kind": "stop", "drain_s": 1})

    if harm == "repeated":
        worker.receive_message(2)
    with pytest.raises(LoadError, match="did not sign"):
        worker.receive_message(2)
    tap.close()


def test_a_left_out_frame_shows_with_the_next() -> None:
    """Frames are counted: the one after a lost one does not fit."""
    dropping = threading.Event()
    tap = Tap(lambda data: b"" if dropping.is_set() else data)
    conductor, worker = (side.result() for side in shake(tap))
    dropping.set()
    conductor.send_message({"kind": "stop"})
    with pytest.raises(LoadError, match="in time"):
        worker.receive(0.05)
    dropping.clear()
    conductor.send_message({"kind": "beat"})

    with pytest.raises(LoadError, match="did not sign"):
        worker.receive(2)
    tap.close()


def test_a_frame_that_drips_is_silence(tap: Tap) -> None:
    """The deadline is of the whole frame: a byte now and then does not keep a load alive."""
    worker = shake(tap)[1].result()
    tap.conductor.sendall(bytes([0, 0, 0, 9]) + MESSAGE + b"{")

    with pytest.raises(LoadError, match="nothing was heard in time"):
        worker.receive(0.1)


def test_a_frame_too_long_is_not_waited_for(tap: Tap) -> None:
    """A length beyond the limit is refused before anything of it is kept."""
    worker = shake(tap)[1].result()
    tap.conductor.sendall((peers.FRAME_BYTES_MAX + 1).to_bytes(4, "big") + MESSAGE)

    with pytest.raises(LoadError, match="at most"):
        worker.receive(2)


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (TOKEN + b"\n", 0o600, None),
        (TOKEN, 0o640, "only its owner may read, got mode 0640"),
        (b"short", 0o600, "32 to 4096 characters that nobody can guess, got 5"),
        (None, 0o600, "a token file, got No such file"),
    ],
    ids=["good", "read by others", "short", "missing"],
)
def test_a_token_file_is_private_and_long(tmp_path: Path, content: bytes | None, mode: int, says: str | None) -> None:
    """What others can read, or guess, is no token."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)

    if says is None:
        assert read_token(path) == TOKEN
    else:
        with pytest.raises(InputError, match=says):
            read_token(path)
