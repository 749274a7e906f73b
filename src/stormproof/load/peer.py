"""One connection between a conductor and a load worker on another machine: who it is, and messages nobody changed.

Both sides hold a token (`load.token`). Neither sends it: each answers the other's fresh number with an HMAC of both
numbers, labelled with its role, so that an answer cannot be sent back to whom it came from (Krawczyk et al., RFC 2104).
From the numbers come two keys, one a direction, and every frame bears an HMAC over its count, its kind and its content:
what was changed, left out, repeated or put in by somebody on the way is refused. Nothing is encrypted.

A frame is a header (content bytes, kind), the content, and 32 bytes of HMAC-SHA256.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import select
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from stormproof.errors import LoadError

MESSAGE, NAMES, ROWS = b"J", b"N", b"R"  # kinds of frames: a JSON object, lines of the names file, packed rows

_GREETING = b"stormproof-load-1\n"
_NONCE_BYTES = _MAC_BYTES = 32
_HEADER = struct.Struct(">Ic")
_COUNT = struct.Struct(">Q")
FRAME_BYTES_MAX = 8 << 20


@dataclass(frozen=True, slots=True)
class _Keys:
    sending: bytes
    receiving: bytes


class Peer:
    """The other end, proved to hold the token. Sending is for any thread, receiving for one.

    Every method but `close` raises `LoadError` once the other end is gone, silent, or not what it was.
    """

    def __init__(self, connection: socket.socket, keys: _Keys, *, send_within_s: float) -> None:
        self._socket, self._keys = connection, keys
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(send_within_s)  # of one `sendall`; reading has a deadline of its own
        self._lock = threading.Lock()
        self._sent = self._received = 0
        self.host = str(connection.getpeername()[0])

    def send(self, kind: bytes, content: bytes) -> None:
        """Send one frame."""
        with self._lock:
            frame = _HEADER.pack(len(content), kind) + content
            frame += _mac(self._keys.sending, _COUNT.pack(self._sent) + kind + content)
            self._sent += 1
            try:
                self._socket.sendall(frame)
            except OSError as error:
                raise LoadError(f"{self.host} does not take what it is sent: {_why(error)}") from error

    def send_message(self, message: Mapping[str, Any]) -> None:
        """Send a JSON object."""
        self.send(MESSAGE, orjson.dumps(message))

    def receive(self, within_s: float) -> tuple[bytes, bytes]:
        """The next frame: its kind and its content, whole within *within_s*."""
        deadline = time.monotonic() + within_s
        length, kind = _HEADER.unpack(_read(self._socket, _HEADER.size, deadline))
        if length > FRAME_BYTES_MAX:
            raise LoadError(f"{self.host} sent a frame of {length} bytes, at most {FRAME_BYTES_MAX} are taken")
        content = _read(self._socket, length, deadline)
        given = _read(self._socket, _MAC_BYTES, deadline)
        if not hmac.compare_digest(given, _mac(self._keys.receiving, _COUNT.pack(self._received) + kind + content)):
            raise LoadError(f"{self.host} sent what it did not sign, or somebody between changed it")
        self._received += 1
        return kind, content

    def receive_message(self, within_s: float) -> dict[str, Any]:
        """The next frame, which must be a JSON object."""
        kind, content = self.receive(within_s)
        try:
            message = orjson.loads(content) if kind == MESSAGE else None
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict) or "kind" not in message:
            raise LoadError(f"{self.host} sent a frame of kind {kind!r} where a message was due")
        return message

    def close(self) -> None:
        """Let go; a thread that receives meanwhile gets its `LoadError`."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def greet(connection: socket.socket, token: bytes, *, within_s: float, send_within_s: float) -> Peer:
    """The conductor's side of the handshake, with whoever has connected. `LoadError` when it holds another token."""
    deadline = time.monotonic() + within_s
    connection.settimeout(within_s)
    ours = secrets.token_bytes(_NONCE_BYTES)
    _write(connection, _GREETING + ours)
    theirs = _read(connection, _NONCE_BYTES, deadline)
    _expect(connection, _mac(token, b"worker" + ours + theirs), deadline)
    _write(connection, _mac(token, b"conductor" + ours + theirs))
    keys = _Keys(_mac(token, b"to worker" + ours + theirs), _mac(token, b"to conductor" + ours + theirs))
    return Peer(connection, keys, send_within_s=send_within_s)


def call_on(connection: socket.socket, token: bytes, *, within_s: float, send_within_s: float) -> Peer:
    """The worker's side. `LoadError` when the other end is no conductor, or one with another token."""
    deadline = time.monotonic() + within_s
    connection.settimeout(within_s)
    greeting = _read(connection, len(_GREETING), deadline)
    if greeting != _GREETING:
        raise LoadError(f"what answers there is no conductor of this version: it said {greeting!r}")
    theirs, ours = _read(connection, _NONCE_BYTES, deadline), secrets.token_bytes(_NONCE_BYTES)
    _write(connection, ours + _mac(token, b"worker" + theirs + ours))
    _expect(connection, _mac(token, b"conductor" + theirs + ours), deadline)
    keys = _Keys(_mac(token, b"to conductor" + theirs + ours), _mac(token, b"to worker" + theirs + ours))
    return Peer(connection, keys, send_within_s=send_within_s)


def _expect(connection: socket.socket, mac: bytes, deadline: float) -> None:
    if not hmac.compare_digest(_read(connection, _MAC_BYTES, deadline), mac):
        raise LoadError("the other end holds another token")


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")


def _write(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError as error:
        raise LoadError(f"the connection ended: {_why(error)}") from error


def _read(connection: socket.socket, length: int, deadline: float) -> bytes:
    """Exactly *length* bytes, by the deadline: whoever sends one byte a second is silent, too."""
    found = bytearray()
    waiting = select.poll()
    try:
        waiting.register(connection, select.POLLIN)
        while len(found) < length:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not waiting.poll(left_s * 1000):
                raise LoadError("nothing was heard in time")
            chunk = connection.recv(length - len(found))
            if not chunk:
                raise LoadError("the connection was closed")
            found += chunk
    except (OSError, ValueError) as error:  # reset; or closed by a thread of ours
        raise LoadError(f"the connection ended: {_why(error)}") from error
    return bytes(found)


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
