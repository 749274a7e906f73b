"""One connect of our own to a dependency: how it is seen that nobody gets through to it any more."""

from __future__ import annotations

import socket

from stormproof.errors import FaultError

CONNECT_TIMEOUT_S = 1.0
ACCEPTED, NO_ANSWER = "accepted", "no answer"


def connect(host: str, port: int) -> str:
    """`ACCEPTED`, `NO_ANSWER` after a second, or what the operating system says."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S).close()
    except TimeoutError:
        return NO_ANSWER
    except OSError as error:
        return str(error.strerror or error)
    return ACCEPTED


def expect_accepted(host: str, port: int, *, kind: str) -> None:
    """`FaultError` unless a connect is accepted now: a canary that never gets there would see every fault."""
    outcome = connect(host, port)
    if outcome != ACCEPTED:
        raise FaultError(
            f"{kind}: expected a connect of our own to {host}:{port} to be accepted before the fault, got: {outcome}",
            hint="run it from where the dependency can be reached, or stormproof undo --list",
        )
