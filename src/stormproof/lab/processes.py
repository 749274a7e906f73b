"""Processes that die with their parent, and that are ended by who they are, not only by number."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

# A process is the recorded one if it started when that one did; psutil derives the time from the boot time, which
# moves a little with the clock.
_SAME_START_S = 1.0
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
# Loaded here, because between fork and exec nothing may be imported.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """A process number and when that process began, Unix s: together they are never used twice."""

    pid: int
    started_s: float

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """The process that has *pid* now; raises `psutil.NoSuchProcess`."""
        return cls(pid=pid, started_s=psutil.Process(pid).create_time())

    def is_alive(self) -> bool:
        """Whether that very process still runs (a zombie does not)."""
        return self.find() is not None

    def find(self) -> psutil.Process | None:
        """That very process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_s) < _SAME_START_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


class Owner(ProcessIdentity):
    """The process for whose sake a lab exists; the lab goes when it goes."""

    __slots__ = ()

    @classmethod
    def this_process(cls) -> Owner:
        """The process that calls."""
        return cls(pid=os.getpid(), started_s=psutil.Process().create_time())


def die_with_parent() -> None:
    """Ask Linux for SIGKILL when the parent's main thread ends, however it ends; elsewhere does nothing.

    For ``preexec_fn``: the parent is single-threaded.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    pipes: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a child that dies with us; its output goes to *log*, with *pipes* its stdin and stdout to us."""
    with log.open("ab") as sink:
        return subprocess.Popen(  # noqa: S603 - our own interpreter or the wheel's Envoy, arguments from the topology
            list(command),
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else sink,
            stderr=sink,
            env=dict(environment),
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the supervisor has one thread
        )


def let_finish(child: subprocess.Popen[bytes], *, within_s: float = 0.5) -> None:
    """Ask a child to finish what it has begun and to end; it may still run when this returns."""
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=within_s)


def end(identities: Iterable[ProcessIdentity], *, within_s: float = 5.0) -> list[int]:
    """SIGKILL those that still run, and wait; the numbers of those that would not go."""
    found = [process for identity in identities if (process := identity.find()) is not None]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _, alive = psutil.wait_procs(found, timeout=within_s)
    return [process.pid for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def child_environment(base: Mapping[str, str]) -> dict[str, str]:
    """*base* without anything of AWS or of proxies, and with credentials that are worth nothing.

    Nothing in the lab may reach AWS, not even with the credentials of whoever starts it.
    """
    kept = {
        key: value
        for key, value in base.items()
        if not key.upper().startswith("AWS_") and not key.upper().endswith("_PROXY")
    }
    return {
        **kept,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONUNBUFFERED": "1",
    }


def to_record(identity: ProcessIdentity) -> dict[str, Any]:
    """As it stands in ``lab.json``."""
    return {"pid": identity.pid, "started_s": identity.started_s}


def from_record(record: Mapping[str, Any]) -> ProcessIdentity:
    """Read back what `to_record` wrote."""
    return ProcessIdentity(pid=int(record["pid"]), started_s=float(record["started_s"]))
