"""Processes that die with their parent, and that are ended by who they are, not only by number."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from stormproof.kinship import die_with_parent

# A process is the recorded one if it started when that one did; psutil derives the time from the boot time, which
# moves a little with the clock.
_SAME_START_S = 1.0


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


@dataclass(slots=True)
class Adopted:
    """A process that another one forked and that is our child by now (`kinship.adopt_orphans`); used like a `Popen`."""

    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended, None while it runs."""
        if self.returncode is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Until it has ended; raises `subprocess.TimeoutExpired`."""
        give_up_at = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > give_up_at:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.005)
        return code

    def kill(self) -> None:
        """SIGKILL, unless it has ended: then its number may be another's."""
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM, likewise."""
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    pipes: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a child that dies with us; its output goes to *log*, with *pipes* its stdin and stdout to us."""
    parent = os.getpid()
    with log.open("ab") as sink:
        return subprocess.Popen(  # noqa: S603 - our own interpreter or the wheel's Envoy, arguments from the topology
            list(command),
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else sink,
            stderr=sink,
            env=dict(environment),
            preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509 - the supervisor has one thread
        )


def let_finish(child: subprocess.Popen[bytes] | Adopted, *, within_s: float = 0.5) -> None:
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
