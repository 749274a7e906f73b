"""The process of an instance, found by what it says it serves, and known again by number and start time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from stormproof.errors import FaultError, IdentityError

# psutil derives a start time from the boot time, which moves a little with the clock.
_SAME_START_S = 1.0


def find(instance_id: str) -> psutil.Process:
    """The one process whose command line says that it serves *instance_id*; `IdentityError` when there is not one."""
    found = [one for one in psutil.process_iter(["cmdline"]) if serves(one.info["cmdline"] or [], [instance_id])]
    if len(found) != 1:
        raise IdentityError(f"expected one process that serves {instance_id}, got {[one.pid for one in found]}")
    return found[0]


def serves(words: Sequence[str], instance_ids: Sequence[str]) -> bool:
    """Whether a command line says that its process serves one of the instances."""
    pairs = set(itertools.pairwise(words))
    return "stormproof.lab.shop" in words and any(("--instance", name) in pairs for name in instance_ids)


def to_record(process: psutil.Process) -> dict[str, Any]:
    """As it stands in a ledger: a number alone may be somebody else's by the time of the undo."""
    try:
        return {"pid": process.pid, "started_s": process.create_time()}
    except psutil.NoSuchProcess as error:
        raise FaultError(f"process {process.pid} ended while we looked") from error


def again(record: Mapping[str, Any]) -> psutil.Process | None:
    """The very process of *record*, None when it has ended."""
    try:
        process = psutil.Process(int(record["pid"]))
        same = abs(process.create_time() - float(record["started_s"])) < _SAME_START_S
        return process if same and is_alive(process) else None
    except psutil.NoSuchProcess:
        return None


def is_alive(process: psutil.Process) -> bool:
    """Whether that very process still runs; one that only waits for its parent to hear of its end does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
