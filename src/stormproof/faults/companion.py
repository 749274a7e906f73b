"""A process of ours beside the workload's, for a fault that must be done again and again: how it starts and ends.

It is detached (it survives whoever injected), bounded (a lease of its own, which counts from the end of whoever
injected), and found by its command line: the module that it runs, and the ids of the instances that it works on, which
no other lab has. It begins only when its starter has seen it ready, and told it to: a starter that is killed before
leaves nothing that could begin after an undo.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import psutil

from stormproof.errors import FaultError
from stormproof.faults import processes

START_WITHIN_S = 10.0
END_WITHIN_S = 2.0  # after SIGTERM, then SIGKILL; and again for that
READY, GO, BEGUN = b"ready\n", b"go\n", b"begun\n"
ENDS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
RENEWED_EVERY_S = 1.0  # at most: a short lease is renewed four times while it lasts


def start(module: str, words: Sequence[str], *, lease_s: float) -> None:
    """Start ``python -m module words…``; it has begun when this returns. `FaultError` when it does not.

    It goes on for as long as the process that calls, and for *lease_s* seconds after that.
    """
    holder = processes.to_record(psutil.Process())
    lease = ["--lease-s", f"{lease_s:g}", "--holder", str(holder["pid"]), repr(holder["started_s"])]
    # Detached on purpose, and waited for: the process that we start forks, and ends when it has been told to go.
    starter = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", module, *lease, *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
    )  # fmt: skip
    assert starter.stdin is not None
    assert starter.stdout is not None
    try:
        with starter.stdin as orders, starter.stdout as said:
            _expect(READY, said.fileno(), module)
            os.write(orders.fileno(), GO)
            _expect(BEGUN, said.fileno(), module)
        starter.wait(timeout=START_WITHIN_S)
    except (FaultError, OSError, subprocess.TimeoutExpired) as error:
        starter.kill()
        starter.wait(timeout=START_WITHIN_S)
        raise FaultError(f"{module} did not start: {error}") from error


def begin() -> bool:
    """In the process that was started: detach once told to go; False when the starter is gone, or changed its mind.

    From here on the signals that end us are not handled but waited for (`told_to_end`): nothing is cut off half-way.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    os.write(1, READY)
    if os.read(0, len(GO)) != GO:
        return False
    if os.fork():
        os._exit(0)
    return True


def say_begun() -> None:
    """Tell the starter that the fault is in force, and let go of it."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, BEGUN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)


def told_to_end(within_s: float) -> bool:
    """Wait for *within_s* seconds, or for a signal that ends us; whether there was one."""
    return signal.sigtimedwait(ENDS, max(0.0, within_s)) is not None


@dataclass(slots=True, kw_only=True)
class Lease:
    """How long a companion may go on: *lease_s* after its *holder* was last seen there. Times are monotonic seconds."""

    lease_s: float
    holder: psutil.Process | None  # None: gone
    _until: float = 0.0
    _renew_at: float = 0.0

    def over(self, now: float) -> bool:
        """Whether it is over at *now*; begun by the first call, renewed by the later ones."""
        begins = not self._until
        if begins or (self.holder is not None and now >= self._renew_at):
            if self.holder is not None and not processes.is_alive(self.holder):
                self.holder = None
            if begins or self.holder is not None:
                self._until, self._renew_at = now + self.lease_s, now + min(RENEWED_EVERY_S, self.lease_s / 4)
        return now >= self._until

    @property
    def look_at(self) -> float:
        """When to ask again, at the latest."""
        return self._until if self.holder is None else self._renew_at


def add_lease(parser: ArgumentParser) -> None:
    """The words of the command line that `start` puts before all others."""
    parser.add_argument("--lease-s", type=float, required=True)
    parser.add_argument("--holder", nargs=2, required=True, metavar=("PID", "STARTED"))


def lease_of(options: Namespace) -> Lease:
    """The lease of a command line."""
    pid, started = options.holder
    return Lease(lease_s=options.lease_s, holder=processes.again({"pid": int(pid), "started_s": float(started)}))


def find(module: str, instance_ids: Iterable[str]) -> list[psutil.Process]:
    """The companions that run *module* for any of the instances."""
    return list(_found(module, frozenset(instance_ids)))


def end(module: str, instance_ids: Iterable[str]) -> None:
    """End them, and wait until they have ended: at first so that they clean up, then at all costs.

    `FaultError` when one would not go. What they had broken at that instant may still be: undo it afterwards.
    """
    ids = frozenset(instance_ids)
    for send in (signal.SIGTERM, signal.SIGKILL):
        for process in _found(module, ids):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(send)
        give_up_at = time.monotonic() + END_WITHIN_S
        while time.monotonic() < give_up_at:
            if not find(module, ids):
                return
            time.sleep(0.01)
    raise FaultError(f"{module}: still running: {[process.pid for process in find(module, ids)]}")


def _found(module: str, ids: frozenset[str]) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():  # of a zombie there is no command line
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words[1:3] == ["-m", module] and ids.intersection(words):
            yield process


def _expect(word: bytes, descriptor: int, module: str) -> None:
    ready, _, _ = select.select([descriptor], [], [], START_WITHIN_S)
    said = os.read(descriptor, len(word)) if ready else b"nothing"
    if said != word:
        raise FaultError(f"{module}: expected {word!r}, got {said!r}")
