"""Processes that are held back: whose turn it is, and that they go on whatever becomes of who held them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import psutil
import pytest

from stormproof.errors import FaultError
from stormproof.faults import companion, duty_cycle
from support.command import wait_for
from support.served import serving

LONG_S = 30.0  # a lease that no test waits for
SHORT_LEASE_S = 0.4


@dataclass
class Signalled:
    """Stands for a process: what it was told, and whether it is there to be told."""

    told: list[int] = field(default_factory=list)
    is_there: bool = True

    def send_signal(self, number: int) -> None:
        if not self.is_there:
            raise psutil.NoSuchProcess(1)
        self.told.append(number)

    def status(self) -> str:
        return psutil.STATUS_RUNNING


def turns_of(process: Signalled) -> duty_cycle.Turns:
    return duty_cycle.Turns(process=cast("psutil.Process", process), stopped_s=0.9, running_s=0.1)


def test_stop_and_go_on_in_turn() -> None:
    """It stands still for as long as it should, then runs for as long as it should."""
    process = Signalled()
    turns = turns_of(process)
    ends = []
    for _ in range(4):
        turns.take(turns.next_at)
        ends.append(turns.next_at)

    assert process.told == [signal.SIGSTOP, signal.SIGCONT, signal.SIGSTOP, signal.SIGCONT]
    assert ends == pytest.approx([0.9, 1.0, 1.9, 2.0])


def test_several_are_stopped_together_at_first() -> None:
    """All stand still at once; then each goes on at a time of its own."""
    processes = [Signalled(), Signalled(), Signalled()]
    turns = [turns_of(process) for process in processes]
    for number, one in enumerate(turns):
        one.begin(0.0, sooner_by=number / len(turns))

    assert [process.told for process in processes] == [[signal.SIGSTOP]] * 3
    assert [one.next_at for one in turns] == pytest.approx([0.9, 0.6, 0.3])


def test_time_that_it_had_too_much_is_taken_back() -> None:
    """Whoever is woken late to stop it gives it less the next time: its share is its share in the long run."""
    turns = turns_of(Signalled())
    turns.take(0.0)  # stopped
    turns.take(0.9)  # runs, until 1.0
    turns.take(1.06)  # stopped, 60 ms late
    turns.take(1.96)

    assert turns.next_at == pytest.approx(1.96 + 0.04)


def test_a_process_that_is_gone_is_told_nothing_more() -> None:
    """It is dropped, and letting it go is harmless."""
    turns = turns_of(Signalled(is_there=False))
    turns.take(0.0)
    turns.let_go()

    assert turns.gone


@pytest.fixture
def instance() -> str:
    """An id that no other test has."""
    return f"i-{uuid.uuid4().hex[:17]}"


@pytest.fixture
def held(instance: str) -> Iterator[tuple[psutil.Process, dict[str, object]]]:
    """A process that is held back nearly all of the time, and what the ledger says of it."""
    with serving(instance) as process:
        prior = json.loads(json.dumps(duty_cycle.prior([instance], kind="test")))
        duty_cycle.begin({instance: process}, stopped_s=5.0, running_s=0.01, lease_s=LONG_S)
        try:
            wait_for("the process to stop", lambda: process.status() == psutil.STATUS_STOPPED, within_s=5)
            yield process, prior
        finally:
            companion.end(duty_cycle.MODULE, [instance])


def test_it_is_refused_twice_and_undone_twice(held: tuple[psutil.Process, dict[str, object]], instance: str) -> None:
    """What is held back already is not to be held back again; the undo, from the ledger's JSON, can be repeated."""
    process, prior = held
    with pytest.raises(FaultError, match="held back already"):
        duty_cycle.prior([instance], kind="test")

    for _ in range(2):
        duty_cycle.revert([instance], prior)
        assert process.status() != psutil.STATUS_STOPPED
        assert companion.find(duty_cycle.MODULE, [instance]) == []


def test_a_companion_that_is_killed_leaves_nothing_that_the_undo_does_not_heal(
    held: tuple[psutil.Process, dict[str, object]], instance: str
) -> None:
    """kill -9 while the process stands still: only the undo can let it go on, and does."""
    process, prior = held
    (found,) = companion.find(duty_cycle.MODULE, [instance])
    found.kill()
    wait_for("the companion's end", lambda: not companion.find(duty_cycle.MODULE, [instance]), within_s=5)
    assert process.status() == psutil.STATUS_STOPPED

    duty_cycle.revert([instance], prior)
    assert process.status() != psutil.STATUS_STOPPED


# Holds a process back as a player does, by a lease that no fault phase is as short as; then waits to be killed.
HOLDER = """
import sys
from stormproof.faults import duty_cycle, processes
duty_cycle.begin({sys.argv[1]: processes.find(sys.argv[1])}, stopped_s=60.0, running_s=0.01, lease_s=float(sys.argv[2]))
print("begun", flush=True)
input()
"""


def test_it_goes_on_as_long_as_its_holder_and_ends_by_itself_a_lease_after(instance: str) -> None:
    """Whoever injected lives for several leases: the fault stays. It is killed: the process goes on a lease later."""
    words = [sys.executable, "-c", HOLDER, instance, str(SHORT_LEASE_S)]
    with serving(instance) as process:
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"begun\n"
            begun = time.monotonic()
            wait_for("three leases", lambda: time.monotonic() > begun + 3 * SHORT_LEASE_S, within_s=10)
            assert companion.find(duty_cycle.MODULE, [instance])
            holder.kill()
        wait_for("the companion's end", lambda: not companion.find(duty_cycle.MODULE, [instance]), within_s=10)

        assert process.status() != psutil.STATUS_STOPPED


@dataclass
class Living:
    """Stands for the process that injected."""

    lives: bool = True

    def is_running(self) -> bool:
        return self.lives

    def status(self) -> str:
        return psutil.STATUS_RUNNING


def test_a_lease_counts_from_when_its_holder_was_last_seen() -> None:
    """Renewed while it lives, also when asked late; then it runs out, and nobody asks in vain until it does."""
    holder = Living()
    lease = companion.Lease(lease_s=10.0, holder=cast("psutil.Process", holder))
    assert [lease.over(now) for now in (100.0, 109.0, 200.0)] == [False] * 3
    assert lease.look_at == pytest.approx(201.0)

    holder.lives = False
    assert not lease.over(201.0)
    assert lease.look_at == pytest.approx(210.0)
    assert not lease.over(209.9)
    assert lease.over(210.0)


def test_it_ends_with_the_process(held: tuple[psutil.Process, dict[str, object]], instance: str) -> None:
    """Where nobody is left to be held back, nobody holds."""
    process, _ = held
    process.kill()

    # it looks when the next turn is due
    wait_for("the companion's end", lambda: not companion.find(duty_cycle.MODULE, [instance]), within_s=15)


def test_whoever_is_not_told_to_go_does_nothing(instance: str) -> None:
    """A starter that dies before it says so leaves a companion that ends: nothing can begin after an undo."""
    with serving(instance) as process:
        words = ["--lease-s", "30", "--holder", str(os.getpid()), repr(psutil.Process().create_time())]
        words += ["--stopped-ms", "1000", "--running-ms", "1"]
        words += ["--process", instance, str(process.pid), repr(process.create_time())]
        started = subprocess.Popen(
            [sys.executable, "-m", duty_cycle.MODULE, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert started.stdout is not None
        assert started.stdin is not None
        with started.stdout, started:
            assert os.read(started.stdout.fileno(), 100) == companion.READY
            started.stdin.close()  # as the kernel does when the starter is killed
            assert started.wait(timeout=10) == 0

        assert process.status() != psutil.STATUS_STOPPED
        assert companion.find(duty_cycle.MODULE, [instance]) == []


def test_a_stranger_with_the_number_is_not_held_back(instance: str) -> None:
    """A process that has the number but not the start time gets no companion."""
    with serving(instance) as process:
        words = ["--stopped-ms", "1000", "--running-ms", "1"]
        words += ["--process", instance, str(process.pid), repr(process.create_time() - 3600)]
        with pytest.raises(FaultError, match="did not start"):
            companion.start(duty_cycle.MODULE, words, lease_s=LONG_S)

        assert process.status() != psutil.STATUS_STOPPED
