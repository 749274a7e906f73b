"""Instances that get no more memory: what their processes have they keep, what they ask for they are refused.

The process's own limit on its address space (`RLIMIT_AS`, through prlimit(2)) is lowered to what it uses now and a
little *headroom*. Nothing is used up, so no other process of the machine has less. It is how a process feels that runs
into the limit of a machine without overcommitment; where the kernel promises memory that it does not have, it would be
killed instead: that is `process-kill`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import psutil
from pydantic import Field

from stormproof.errors import FaultError
from stormproof.faults import processes
from stormproof.faults.binding import activities, resolved
from stormproof.faults.canary import ask
from stormproof.faults.instances import InstanceArguments, choose, identify_lab, lab_configuration
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault
from stormproof.spec.quantity import Size, format_size

__all__ = ["confirm", "inject", "undo"]

KIND = "memory-pressure"
SUMMARY = "Processes of the workload are refused more memory than they have."
CONFIRMED_BY = (
    "a page that needs memory, asked of each instance directly, is no longer answered 200; "
    "the zone gives the workload answers that it did not give before, and that other zones do not give"
)
UNDONE_BY = "the same processes, by number and start time, get their former limit back; the page is answered 200 again"
ENVIRONMENTS = ("local",)
EXAMPLE: dict[str, Any] = {"zone": "a", "headroom": "4MiB"}

HEADROOM_MIN_BYTES, HEADROOM_MAX_BYTES = 1 << 20, 1 << 30
LOOK_TIMEOUT_S = 1.0
# A process may be measured while it uses memory that it gives back at once: the least of several readings counts.
READINGS, READINGS_OVER_S = 10, 0.1
# Our limits end in these bits, below the size of a page, where they limit nothing: how an undo knows them as ours.
PAGE_BYTES = 4096
MARK = 0x5A7


class Arguments(InstanceArguments):
    """What the spec says of a `memory-pressure`."""

    headroom: Size = Field(
        default=4 << 20,
        description="what each process may still get, beyond what it has",
        ge=HEADROOM_MIN_BYTES,
        le=HEADROOM_MAX_BYTES,
    )
    path: str = Field(
        default="/picture/1",
        description="a page of the workload that needs more memory than that, for as long as it takes to answer",
        pattern=r"^/[\x21-\x7e]*$",
        max_length=200,
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to instances; `InputError` for an unknown zone, or one with fewer instances."""
    chosen = choose(arguments, environment, kind=KIND, where=where)
    ids = [instance.id for instance in chosen]
    target = {
        "zone": arguments.zone,
        "instance_ids": ids,
        "urls": [instance.url + arguments.path for instance in chosen],
        "headroom_bytes": int(arguments.headroom),
    }
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=lab_configuration(environment),
        targets=ids,
        undo="give the same processes their former limit back and see the page answered",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPressure:
    """Instances, bound; *urls* are those of the page that needs memory."""

    zone: str
    instance_ids: list[str]
    urls: list[str]
    headroom_bytes: int
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        ids = ", ".join(self.instance_ids)
        return f"leave {format_size(self.headroom_bytes)} of memory to {len(self.instance_ids)} instances: {ids}"

    @property
    def effect(self) -> dict[str, Any]:
        """The zone answers otherwise than before, and than the others."""
        return {"kind": "zone-otherwise", "zone": self.zone}

    def identify(self) -> None:
        """The lab is the plan's; processes are known by what they serve, and by number and start time."""
        identify_lab(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The process of each instance and its limit in bytes; one that has ours already is an error."""
        if not hasattr(psutil, "RLIMIT_AS"):
            raise FaultError(f"{KIND}: expected a system with prlimit(2), such as Linux")
        before = {}
        for instance in self.instance_ids:
            process = processes.find(instance)
            soft = _limits(process)[0]
            if is_ours(soft):
                raise FaultError(f"{KIND}: {instance} is under pressure already", hint="stormproof undo --list")
            before[instance] = {**processes.to_record(process), "soft_bytes": soft}
        return {"processes": before}

    def act(self) -> None:
        """Lower the limit of each."""
        for process in [processes.find(instance) for instance in self.instance_ids]:
            _, hard = _limits(process)
            soft = marked(_used_bytes(process) + self.headroom_bytes)
            if hard != psutil.RLIM_INFINITY and soft > hard:
                raise FaultError(f"{KIND}: process {process.pid} may have {hard} bytes at most already")
            _limit(process, soft, hard)

    def look(self) -> Look:
        """Ask each instance for the page, directly."""
        with ThreadPoolExecutor(max_workers=len(self.urls)) as pool:
            replies = list(pool.map(lambda url: ask(url, timeout_s=LOOK_TIMEOUT_S), self.urls))
        refused = sum(reply.status not in (0, 200) for reply in replies)  # silence would be another fault
        whole = sum(reply.status == 200 for reply in replies)
        seen = Seen.BROKEN if refused == len(replies) else Seen.WHOLE if whole == len(replies) else Seen.PARTIAL
        evidence = {url: reply.evidence() for url, reply in zip(self.urls, replies, strict=True)}
        return Look(seen=seen, evidence={"called_directly": evidence})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Give the same processes their limit back; one that has ended since took ours with it.

        `FaultError` for a limit that is neither ours nor the one before: somebody else has changed it since.
        """
        strangers = {}
        for instance, record in prior["processes"].items():
            process = processes.again(record)
            if process is None:
                continue
            try:
                soft, hard = _limits(process)
                if is_ours(soft):
                    _limit(process, int(record["soft_bytes"]), hard)
                elif soft != record["soft_bytes"]:
                    strangers[instance] = soft
            except psutil.NoSuchProcess:
                continue
        if strangers:
            raise FaultError(
                f"{KIND}: the limit of {strangers} is neither ours nor the one before: somebody else changed it since;"
                " left alone"
            )


def marked(size_bytes: int) -> int:
    """The limit, rounded down to whole pages, with our mark in the bits that limit nothing."""
    return size_bytes // PAGE_BYTES * PAGE_BYTES + MARK


def is_ours(limit_bytes: int) -> bool:
    """Whether a limit carries our mark."""
    return limit_bytes != psutil.RLIM_INFINITY and limit_bytes % PAGE_BYTES == MARK


def _used_bytes(process: psutil.Process) -> int:
    readings = []
    for _ in range(READINGS):
        readings.append(int(process.memory_info().vms))
        time.sleep(READINGS_OVER_S / READINGS)
    return min(readings)


def _limits(process: psutil.Process) -> tuple[int, int]:
    return process.rlimit(psutil.RLIMIT_AS)


def _limit(process: psutil.Process, soft: int, hard: int) -> None:
    try:
        process.rlimit(psutil.RLIMIT_AS, (soft, hard))
    except psutil.AccessDenied as error:
        raise FaultError(f"{KIND}: not allowed to limit process {process.pid}: {error}") from error


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> MemoryPressure:
    """The fault from the data in a plan or a ledger."""
    return MemoryPressure(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
