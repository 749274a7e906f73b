"""Lets processes run for a part of the time only: SIGSTOP and SIGCONT in turn, as `cpulimit` does.

``python -m stormproof.faults.duty_cycle LEASE --stopped-ms N --running-ms N --process INSTANCE PID STARTED …``, started
by `companion`. Ends when its lease is over, when it is told to, or when none of the processes is left;
whichever it is, those that it has stopped go on. If it is killed, whoever undoes the fault lets them go on.

Several processes are stopped together at first, and from then on not in step: their turns are spread over the cycle.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

from stormproof.errors import FaultError
from stormproof.faults import companion, processes

MODULE = "stormproof.faults.duty_cycle"
# However late we were woken, and however much is owed: with less than this a process does not get to run at all.
RUN_S_MIN = 0.001
DEBT_CYCLES_MAX = 4.0


def begin(found: Mapping[str, psutil.Process], *, stopped_s: float, running_s: float, lease_s: float) -> None:
    """Start a companion that does this to the process of each instance."""
    words = [
        "--stopped-ms",
        f"{stopped_s * 1000:g}",
        "--running-ms",
        f"{running_s * 1000:g}",
    ]
    for instance, process in found.items():
        record = processes.to_record(process)
        words += ["--process", instance, str(record["pid"]), repr(record["started_s"])]
    companion.start(MODULE, words, lease_s=lease_s)


def prior(instance_ids: Sequence[str], *, kind: str) -> dict[str, Any]:
    """The process of each instance, as a ledger needs it; `FaultError` for one that is held back already."""
    if companion.find(MODULE, instance_ids):
        raise FaultError(f"{kind}: held back already: {', '.join(instance_ids)}", hint="stormproof undo --list")
    found = {instance: processes.find(instance) for instance in instance_ids}
    if paused := [name for name, process in found.items() if process.status() == psutil.STATUS_STOPPED]:
        raise FaultError(f"{kind}: paused already: {', '.join(paused)}", hint="stormproof undo --list")
    return {"processes": {instance: processes.to_record(process) for instance, process in found.items()}}


def revert(instance_ids: Sequence[str], before: Mapping[str, Any]) -> None:
    """End the companion, then let the processes go on that it may have left stopped; harmless when there is none."""
    companion.end(MODULE, instance_ids)
    for record in before["processes"].values():
        process = processes.again(record)
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


@dataclass(slots=True, kw_only=True)
class Turns:
    """One process and whose turn it is; times are monotonic seconds."""

    process: psutil.Process
    stopped_s: float
    running_s: float
    next_at: float = 0.0
    is_stopped: bool = False
    gone: bool = False
    _since: float = field(default=0.0)
    _debt_s: float = 0.0  # how much longer than its due it has run: we are woken late on a busy machine

    def begin(self, now: float, *, sooner_by: float) -> None:
        """Stop it at once, and for the first time shorter, by a share of the usual."""
        self.take(now)
        self.next_at = now + self.stopped_s * (1 - sooner_by)

    def take(self, now: float) -> None:
        """Stop it, or let it go on."""
        try:
            self.process.send_signal(signal.SIGCONT if self.is_stopped else signal.SIGSTOP)
            self.gone = self.process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:  # also when its number is somebody else's by now
            self.gone = True
        if self.gone:
            return
        if self.is_stopped:
            run_s = max(RUN_S_MIN, self.running_s - self._debt_s)
            self.next_at = now + run_s
        else:
            if self._since:
                debt_s = self._debt_s + (now - self._since) - self.running_s
                self._debt_s = min(max(0.0, debt_s), DEBT_CYCLES_MAX * self.running_s)
            self.next_at = now + self.stopped_s
        self.is_stopped, self._since = not self.is_stopped, now

    def let_go(self) -> None:
        """It goes on, whatever it is doing."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process.send_signal(signal.SIGCONT)


def play(turns: Sequence[Turns], *, lease: companion.Lease) -> None:
    """Take turns until the lease is over, until told to end, or until nobody is left."""
    try:
        while left := [one for one in turns if not one.gone]:
            now = time.monotonic()
            if lease.over(now):
                return
            for one in left:
                if one.next_at <= now:
                    one.take(now)
            if companion.told_to_end(min(lease.look_at, *(one.next_at for one in left)) - time.monotonic()):
                return
    finally:
        for one in turns:
            one.let_go()


def main(arguments: Sequence[str] | None = None) -> None:
    """Hold back the processes of the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    companion.add_lease(parser)
    for name in ("--stopped-ms", "--running-ms"):
        parser.add_argument(name, type=float, required=True)
    parser.add_argument("--process", nargs=3, action="append", required=True, metavar=("INSTANCE", "PID", "STARTED"))
    options = parser.parse_args(arguments)
    records = [{"pid": int(pid), "started_s": float(started)} for _, pid, started in options.process]
    found = [process for record in records if (process := processes.again(record)) is not None]
    stopped_s, running_s = options.stopped_ms / 1000, options.running_ms / 1000
    if not found or not companion.begin():
        return
    turns = [Turns(process=process, stopped_s=stopped_s, running_s=running_s) for process in found]
    begun = time.monotonic()
    for number, one in enumerate(turns):
        one.begin(begun, sooner_by=number / len(turns))
    companion.say_begun()
    play(turns, lease=companion.lease_of(options))


if __name__ == "__main__":
    main()
