"""Processes of the workload die, and die again: SIGKILL to each, and to whatever is started in its place.

EC2 goes on calling the instances running, and whoever looks after the processes goes on starting them: a crash loop. A
process that is killed once is back within two seconds in the lab, so there would be nothing to hold, and nothing to
undo. Here a companion kills every successor before it can serve (it needs a tenth of the time that one takes to start).
The undo ends the companion. It starts nothing: the lab does, as it did all along, within a second or two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stormproof.errors import FaultError
from stormproof.faults import companion, crash_loop, processes
from stormproof.faults.binding import activities, resolved
from stormproof.faults.instances import (
    LEASE_S,
    InstanceArguments,
    Lease,
    choose,
    identify_lab,
    lab_configuration,
    look_for_silence,
)
from stormproof.faults.protocol import Look
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "process-kill"
SUMMARY = "Processes of the workload are killed, and so is whatever is started in their place: a crash loop."
CONFIRMED_BY = (
    "none of the instances answers when called directly, past the balancer, while EC2 calls them running; "
    "the workload's calls of its dependencies from these instances cease"
)
UNDONE_BY = "the killing ends; what the workload starts in place of the dead lives, and answers when called directly"
ENVIRONMENTS = ("local",)
EXAMPLE: dict[str, Any] = {"zone": "a"}


class Arguments(InstanceArguments):
    """What the spec says of a `process-kill`."""

    lease: Lease = LEASE_S


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to instances; `InputError` for an unknown zone, or one with fewer instances."""
    chosen = choose(arguments, environment, kind=KIND, where=where)
    ids = [instance.id for instance in chosen]
    target = {"instance_ids": ids, "urls": [instance.url for instance in chosen], "lease_s": arguments.lease}
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=lab_configuration(environment),
        targets=ids,
        undo="stop killing, and see the instances answer once they have been started again",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessKill:
    """Instances, bound."""

    instance_ids: list[str]
    urls: list[str]
    lease_s: float
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        ids = ", ".join(self.instance_ids)
        return f"kill the processes of {len(self.instance_ids)} instances, again and again: {ids}"

    @property
    def effect(self) -> dict[str, Any]:
        """The instances no longer call their dependencies."""
        return {"kind": "client-silent", "clients": list(self.instance_ids)}

    def identify(self) -> None:
        """The lab is the plan's; processes are known by what they serve and whose children they are."""
        identify_lab(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The process of each instance, for the record; one that is being killed already is an error."""
        if companion.find(crash_loop.MODULE, self.instance_ids):
            raise FaultError(f"{KIND}: killed already: {', '.join(self.instance_ids)}", hint="stormproof undo --list")
        return {
            "processes": {instance: processes.to_record(processes.find(instance)) for instance in self.instance_ids}
        }

    def act(self) -> None:
        """Start the companion; its first kill has happened when this returns."""
        found = [processes.find(instance) for instance in self.instance_ids]
        crash_loop.begin(found, self.instance_ids, lease_s=self.lease_s)

    def look(self) -> Look:
        """Call each instance directly."""
        return look_for_silence(dict(zip(self.instance_ids, self.urls, strict=True)))

    def revert(self, prior: Mapping[str, Any]) -> None:
        """End the companion. The dead are not to be brought back: their successors come from the workload itself."""
        companion.end(crash_loop.MODULE, prior["processes"])


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> ProcessKill:
    """The fault from the data in a plan or a ledger."""
    return ProcessKill(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
