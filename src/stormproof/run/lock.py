"""One run per environment: a lock file with an owner, released by the kernel's word that the owner is gone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil

from stormproof.errors import UnavailableError
from stormproof.model.environment import Environment
from stormproof.record.atomic import write_json
from stormproof.record.state import state_folder

# A run outlives its limit only if its conductor hangs; by then nobody may rely on its lock.
GRACE_S = 120.0


def lock_folder() -> Path:
    """Where the locks of this user's environments are."""
    folder = state_folder() / "locks"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def holder(environment: str) -> dict[str, Any] | None:
    """Who runs in *environment* now: ``{"pid", "created", "run", "expires_at"}``; None for nobody.

    A lock whose process is gone, or that has expired, is nobody's.
    """
    return _owner(lock_folder() / f"{environment}.json")


def refuse_if_held(environment: str) -> None:
    """`UnavailableError` when a run is going on in *environment*."""
    if (other := holder(environment)) is not None:
        raise UnavailableError(
            f"environment {environment!r}: a run is going on ({other['run']}, pid {other['pid']})",
            hint="wait for it, or end it: stormproof abort",
        )


def lock_name(environment: Environment) -> str:
    """What a run holds: the environment; of a lab that lab, of one in AWS that account and region (two do not meet)."""
    if environment.cloud is not None:
        return f"{environment.name}-{environment.aws.account}-{environment.aws.region}"
    return f"{environment.name}-{environment.proxy.node_id}" if environment.proxy else environment.name


def holders() -> list[dict[str, Any]]:
    """Who runs in any environment now, as this user."""
    return [owner for path in sorted(lock_folder().glob("*.json")) if (owner := _owner(path)) is not None]


def _owner(path: Path) -> dict[str, Any] | None:
    try:
        owner: dict[str, Any] = orjson.loads(path.read_bytes())
        process = psutil.Process(int(owner["pid"]))
        alive = abs(process.create_time() - float(owner["created"])) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, psutil.NoSuchProcess):
        return None
    return owner if alive and time.time() < float(owner["expires_at"]) else None


@contextlib.contextmanager
def environment_lock(environment: str, *, run: Path, duration_s_max: float) -> Iterator[None]:
    """Hold *environment* for one run; `UnavailableError` when another run holds it."""
    path = lock_folder() / f"{environment}.json"
    guard = os.open(path.with_suffix(".guard"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        import fcntl

        fcntl.flock(guard, fcntl.LOCK_EX)  # two runs that start in the same instant
        refuse_if_held(environment)
        write_json(
            path,
            {
                "pid": os.getpid(),
                "created": psutil.Process().create_time(),
                "run": str(run),
                "expires_at": time.time() + duration_s_max + GRACE_S,
            },
        )
    finally:
        os.close(guard)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
