"""What `lab status` says of processes to which something is done: nothing of it is "whole"."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from stormproof.faults import companion, duty_cycle, memory_pressure
from stormproof.lab.process_condition import process_faults
from stormproof.lab.processes import ProcessIdentity
from stormproof.lab.state import LabRecord
from stormproof.lab.topology import Reservations, choose_topology
from support.command import wait_for
from support.served import serving


@pytest.fixture
def lab() -> Iterator[tuple[str, psutil.Process, LabRecord]]:
    """An instance, the process that serves it, and the record of a lab that has no other."""
    reservations = Reservations()
    topology = choose_topology("hardened", reservations)
    instance = topology.instances[0].id
    try:
        with serving(instance) as process:
            record = LabRecord(processes={instance: ProcessIdentity.of(process.pid)}, topology=topology, ready=True)
            yield instance, process, record
    finally:
        reservations.close()


def whats(record: LabRecord) -> list[str]:
    return [fault["what"] for fault in process_faults(record)]


def test_a_process_that_is_left_alone_is_no_fault(lab: tuple[str, psutil.Process, LabRecord]) -> None:
    """Nothing is said of it, also when it has ended: that is told elsewhere."""
    _, process, record = lab
    assert whats(record) == []

    process.kill()
    process.wait(timeout=5)
    assert whats(record) == []


def test_paused(lab: tuple[str, psutil.Process, LabRecord]) -> None:
    """It stands still."""
    instance, process, record = lab
    process.suspend()
    wait_for("the process to stop", lambda: process.status() == psutil.STATUS_STOPPED, within_s=5)

    assert whats(record) == [f"the process of {instance} is paused"]


def test_kept_from_memory(lab: tuple[str, psutil.Process, LabRecord]) -> None:
    """Its limit is ours; one that somebody else has set is not a fault."""
    instance, process, record = lab
    hard = process.rlimit(psutil.RLIMIT_AS)[1]
    process.rlimit(psutil.RLIMIT_AS, (1 << 30, hard))
    assert whats(record) == []

    process.rlimit(psutil.RLIMIT_AS, (memory_pressure.marked(1 << 30), hard))
    assert whats(record) == [f"the process of {instance} may have 1024 MiB at most"]


def test_held_back(lab: tuple[str, psutil.Process, LabRecord]) -> None:
    """Also in the moment in which it runs: the companion is the fault."""
    instance, process, record = lab
    duty_cycle.begin({instance: process}, stopped_s=0.001, running_s=30.0, lease_s=30.0)
    try:
        (holding,) = companion.find(duty_cycle.MODULE, [instance])
        assert f"process {holding.pid} holds back {instance}" in whats(record)
    finally:
        companion.end(duty_cycle.MODULE, [instance])
    assert whats(record) == []
