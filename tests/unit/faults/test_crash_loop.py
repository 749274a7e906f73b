"""A crash loop: every successor dies, its neighbour lives, and at the end of it life goes on."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from stormproof.errors import FaultError, IdentityError
from stormproof.faults import companion, crash_loop, process_kill, processes
from support.command import wait_for
from support.served import SHOP

SHORT_LEASE_S = 0.4
# Starts a process for each of its arguments, and again whenever one has ended; counts the starts in a file.
SUPERVISOR = f"""
import pathlib, subprocess, sys, time
path, *names = sys.argv[1:]
command = lambda name: [sys.executable, "-c", "import time; time.sleep(60)", {SHOP!r}, "--instance", name]
children = dict.fromkeys(names)
while True:
    for name, child in children.items():
        if child is None or child.poll() is not None:
            children[name] = subprocess.Popen(command(name))
            with pathlib.Path(path).open("a") as log:
                log.write(name + chr(10))
    time.sleep(0.02)
"""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two instances of one supervisor."""

    victim: str
    neighbour: str
    log: Path

    @property
    def starts(self) -> int:
        return self.log.read_text().split().count(self.victim)

    def fault(self, *, lease_s: float = 30.0) -> process_kill.ProcessKill:
        target = {"instance_ids": [self.victim], "urls": ["http://127.0.0.1:9"], "lease_s": lease_s}
        return process_kill.bind(target, {})


def is_served(instance: str) -> bool:
    with contextlib.suppress(IdentityError):
        return processes.find(instance).is_running()
    return False


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Both served; gone at the end."""
    mark = uuid.uuid4().hex[:12]
    one = Pair(victim=f"i-{mark}v", neighbour=f"i-{mark}n", log=tmp_path / "starts")
    words = [sys.executable, "-c", SUPERVISOR, str(one.log), one.victim, one.neighbour]
    with subprocess.Popen(words) as supervisor:
        try:
            for name in (one.victim, one.neighbour):
                wait_for(f"{name} to be served", lambda name=name: is_served(name), within_s=10)  # type: ignore[misc]
            yield one
        finally:
            supervisor.kill()
            companion.end(crash_loop.MODULE, [one.victim])
            for name in (one.victim, one.neighbour):
                with contextlib.suppress(IdentityError, psutil.NoSuchProcess):
                    processes.find(name).kill()


def test_every_successor_dies_and_the_neighbour_does_not(pair: Pair) -> None:
    """Killed, started again, killed again; the other child of the same parent is not touched."""
    neighbour = processes.find(pair.neighbour)
    prior = pair.fault().prior()
    pair.fault().act()
    wait_for("three successors", lambda: pair.starts >= 4, within_s=20)

    assert neighbour.is_running()
    with pytest.raises(FaultError, match="killed already"):
        pair.fault().prior()
    pair.fault().revert(prior)
    assert companion.find(crash_loop.MODULE, [pair.victim]) == []
    wait_for("a successor", lambda: is_served(pair.victim), within_s=10)
    living = processes.find(pair.victim)
    pair.fault().revert(prior)
    assert living.is_running()


def test_the_first_kill_has_happened_when_the_act_returns(pair: Pair) -> None:
    """What is acted has been done: the very process of before does not run any more."""
    before = processes.find(pair.victim)
    prior = pair.fault().prior()
    pair.fault().act()
    pair.fault().revert(prior)

    assert not before.is_running() or before.status() == psutil.STATUS_ZOMBIE


def test_it_outlasts_its_lease_while_whoever_injected_lives(pair: Pair) -> None:
    """A fault phase longer than the lease keeps its fault: successors go on dying."""
    pair.fault(lease_s=SHORT_LEASE_S).act()
    begun, starts = time.monotonic(), pair.starts
    wait_for("three leases", lambda: time.monotonic() > begun + 3 * SHORT_LEASE_S, within_s=10)

    assert companion.find(crash_loop.MODULE, [pair.victim])
    wait_for("one more successor", lambda: pair.starts > starts + 1, within_s=10)


def test_it_ends_when_there_is_nobody_left_to_start_anything(pair: Pair) -> None:
    """With the parent the crash loop ends, long before its lease does."""
    pair.fault().act()
    (parent,) = {process for process in psutil.process_iter() if _is_supervisor(process, pair)}
    parent.kill()

    wait_for("the companion's end", lambda: not companion.find(crash_loop.MODULE, [pair.victim]), within_s=10)


def _is_supervisor(process: psutil.Process, pair: Pair) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()[1:3] == ["-c", SUPERVISOR] and pair.victim in process.cmdline()
    return False
