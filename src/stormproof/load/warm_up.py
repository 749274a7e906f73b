"""Requests of a worker to itself, before it says that it is ready.

The first connection of a process imports a resolver and codecs, some 60 ms on a slow machine in which nothing else is
sent. Without this the first arrivals of each load were late by that, and late is what the workload would be blamed for.
"""

from __future__ import annotations

import secrets
from typing import Any

from gevent.server import StreamServer
from locust.contrib.fasthttp import FastHttpSession
from locust.event import EventHook

REQUESTS = 50
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def warm_up() -> None:
    """Ask ourselves, over loopback and a socket that is closed again, as the load will ask the workload."""
    path = f"/{secrets.token_urlsafe(16)}"  # nobody else gets an answer
    server = StreamServer(("127.0.0.1", 0), lambda connection, _: _answer(connection, path))
    server.start()
    try:
        session = FastHttpSession(f"http://127.0.0.1:{server.server_port}", EventHook(), None)
        for _ in range(REQUESTS):
            session.get(path).raise_for_status()
        session.client.close()
    finally:
        server.stop(timeout=1)


def _answer(connection: Any, path: str) -> None:
    wanted = f"GET {path} ".encode()
    while connection.recv(4096).startswith(wanted):
        connection.sendall(_ANSWER)
