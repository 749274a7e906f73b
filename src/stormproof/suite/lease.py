"""One suite per environment, held by the suite and by every run that it has started.

An flock on a file in this user's state folder. The runs inherit the descriptor, so the lease is free only when the
suite *and* its last run have ended, however they ended: whoever resumes after a SIGKILL waits here for the undo of the
run that was going on. The kernel's word, not a clock's: a lease that expired while its holder lived would be worse.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from stormproof.errors import UnavailableError
from stormproof.record.state import state_folder

WAIT_S = 0.2


@contextlib.contextmanager
def suite_lease(environment: str, *, suite_id: str, within_s: float = 0.0) -> Iterator[int]:
    """Hold *environment* for suite *suite_id*; yields the descriptor that its runs are to inherit.

    Raises `UnavailableError` when another suite, or a run that one left behind, still holds it after *within_s*.
    """
    path = _folder() / f"{environment}.lease"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, path, environment, within_s)
        about = {"pid": os.getpid(), "suite": suite_id, "since": time.time()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, orjson.dumps(about), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, environment: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                other = _holder(path)
                raise UnavailableError(
                    f"environment {environment!r}: suite {other.get('suite', 'unknown')} is going on there, or a run"
                    f" that it started (pid {other.get('pid', 'unknown')})",
                    hint="wait for it, or end it: a SIGTERM to that process lets it undo",
                ) from None
            time.sleep(WAIT_S)
        else:
            return


def _holder(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _folder() -> Path:
    folder = state_folder() / "suites"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
