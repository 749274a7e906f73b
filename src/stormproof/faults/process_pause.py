"""Processes that are alive and silent: SIGSTOP. The kernel accepts connections for them; nobody answers.

That is how a process looks that hangs in a lock, a long collection or a dead disk. It differs from those in that all
its threads stop, and in that it goes on at once where it was. The lab does not heal it: it has not ended.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import psutil

from stormproof.errors import FaultError
from stormproof.faults import processes
from stormproof.faults.binding import activities, resolved
from stormproof.faults.canary import ask
from stormproof.faults.instances import InstanceArguments, choose
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "process-pause"
SUMMARY = "Processes of the workload stop without ending: connections are accepted, nothing is answered."
CONFIRMED_BY = (
    "a call of our own to each instance, past the balancer, is connected and not answered; "
    "the workload's calls of its dependencies from these instances cease"
)
UNDONE_BY = "the same processes, by number and start time, get SIGCONT; each instance answers again"
ENVIRONMENTS = ("local",)
EXAMPLE: dict[str, Any] = {"zone": "a"}

LOOK_TIMEOUT_S = 0.5


class Arguments(InstanceArguments):
    """What the spec says of a `process-pause`."""


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to instances; `InputError` for an unknown zone, or one with fewer instances."""
    chosen = choose(arguments, environment, kind=KIND, where=where)
    ids = [instance.id for instance in chosen]
    target = {"instance_ids": ids, "urls": [instance.url for instance in chosen]}
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration={},
        targets=ids,
        undo="let the same processes go on and see the instances answer",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPause:
    """Instances, bound."""

    instance_ids: list[str]
    urls: list[str]
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        return f"pause the processes of {len(self.instance_ids)} instances: {', '.join(self.instance_ids)}"

    @property
    def effect(self) -> dict[str, Any]:
        """The instances no longer call their dependencies."""
        return {"kind": "client-silent", "clients": list(self.instance_ids)}

    def identify(self) -> None:
        """Nothing to ask: act finds the processes by their command line, revert by number and start time."""

    def prior(self) -> dict[str, Any]:
        """The process of each instance; one that is paused already is an error."""
        found = {instance: processes.find(instance) for instance in self.instance_ids}
        paused = [instance for instance, process in found.items() if process.status() == psutil.STATUS_STOPPED]
        if paused:
            raise FaultError(f"{KIND}: paused already: {', '.join(paused)}", hint="stormproof undo --list")
        return {"processes": {instance: processes.to_record(process) for instance, process in found.items()}}

    def act(self) -> None:
        """SIGSTOP to each."""
        for process in [processes.find(instance) for instance in self.instance_ids]:
            process.send_signal(signal.SIGSTOP)  # by psutil, which makes sure that the number was not used again

    def look(self) -> Look:
        """Call each instance directly; silent is connected and not answered in time."""
        with ThreadPoolExecutor(max_workers=len(self.urls)) as pool:
            replies = list(pool.map(lambda url: ask(f"{url}/healthz", timeout_s=LOOK_TIMEOUT_S), self.urls))
        silent = sum(reply.failure == "no answer" for reply in replies)
        whole = sum(not reply.failure for reply in replies)
        seen = Seen.BROKEN if silent == len(replies) else Seen.WHOLE if whole == len(replies) else Seen.PARTIAL
        evidence = {url: reply.evidence() for url, reply in zip(self.urls, replies, strict=True)}
        return Look(seen=seen, evidence={"called_directly": evidence})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """SIGCONT to the same processes; one that has ended since needs none."""
        for record in prior["processes"].values():
            process = processes.again(record)
            if process is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> ProcessPause:
    """The fault from the data in a plan or a ledger."""
    return ProcessPause(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
