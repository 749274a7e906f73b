"""Instances starved of CPU, never the machine: their processes may run for a small part of the time only.

A companion stops and continues the process (SIGSTOP, SIGCONT) so that it gets its share of every 250 ms. That is how a
container fares that has used up its quota, and much like an instance out of CPU credits; unlike there, time that the
process does not use is lost. Nothing is burnt: other processes have more of the machine, not less. Why not load:
docs/adr/0016-process-faults.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from stormproof.faults import duty_cycle, processes
from stormproof.faults.binding import activities, resolved
from stormproof.faults.instances import LEASE_S, InstanceArguments, Lease, choose, identify_lab, lab_configuration
from stormproof.faults.protocol import Look
from stormproof.faults.slowness import look_for_slowness
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault
from stormproof.spec.quantity import Share, format_share

__all__ = ["confirm", "inject", "undo"]

KIND = "cpu-stress"
SUMMARY = "Instances of a zone get a small share of a processor: they are alive, and too slow for their traffic."
CONFIRMED_BY = (
    "direct calls of our own, past the balancer, spread over the cycle, come late; "
    "so does a share of the workload's samples from the zone, and of those from other zones it does not, "
    "or the balancer has noticed: the instances make far fewer of the calls to the dependencies than before"
)
UNDONE_BY = (
    "the companion ends; the same processes, by number and start time, get SIGCONT; the instances answer at once again"
)
ENVIRONMENTS = ("local",)
EXAMPLE: dict[str, Any] = {"zone": "a", "cpu": "5%"}

PERIOD_S = 0.25  # less than the hardened lab's health check waits: starved instances pass it
CPU_MIN, CPU_MAX = 0.01, 0.2  # above, most answers are not late enough to be told from those of a busy machine
# Of the time that the process is stopped: what waited as long has met it. A call of ours, of which half must be late;
# and a sample, of which few may be left, to be told from those of a busy machine.
CALL_SLOW_SHARE, SAMPLE_SLOW_SHARE = 0.25, 0.75


class Arguments(InstanceArguments):
    """What the spec says of a `cpu-stress`."""

    cpu: Share = Field(
        default=0.05, description="what is left to each instance, of one processor", ge=CPU_MIN, le=CPU_MAX
    )
    lease: Lease = LEASE_S


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to instances; `InputError` for an unknown zone, or one with fewer instances."""
    chosen = choose(arguments, environment, kind=KIND, where=where)
    ids = [instance.id for instance in chosen]
    target = {
        "zone": arguments.zone,
        "instance_ids": ids,
        "urls": [instance.url for instance in chosen],
        "cpu": arguments.cpu,
        "lease_s": arguments.lease,
    }
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=lab_configuration(environment),
        targets=ids,
        undo="give the same processes all of their time and see the instances answer at once",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuStress:
    """Instances, bound."""

    zone: str
    instance_ids: list[str]
    urls: list[str]
    cpu: float  # 0…1, of one processor
    lease_s: float
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        ids = ", ".join(self.instance_ids)
        return f"leave {format_share(self.cpu)} of a processor to {len(self.instance_ids)} instances: {ids}"

    @property
    def effect(self) -> dict[str, Any]:
        """A share of the zone's samples comes late, not of the other zones'; or the instances do less of the work."""
        slow_ms = round(SAMPLE_SLOW_SHARE * self._stopped_s * 1000, 3)
        return {"kind": "instances-starved", "zone": self.zone, "slow_ms": slow_ms, "clients": list(self.instance_ids)}

    def identify(self) -> None:
        """The lab is the plan's; processes are known by what they serve, and by number and start time."""
        identify_lab(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The process of each instance; one that is held back or paused already is an error."""
        return duty_cycle.prior(self.instance_ids, kind=KIND)

    def act(self) -> None:
        """Start the companion that holds them back."""
        found = {instance: processes.find(instance) for instance in self.instance_ids}
        duty_cycle.begin(found, stopped_s=self._stopped_s, running_s=self.cpu * PERIOD_S, lease_s=self.lease_s)

    def look(self) -> Look:
        """Time calls to each instance."""
        return look_for_slowness(self.urls, cycle_s=PERIOD_S, slow_s=CALL_SLOW_SHARE * self._stopped_s)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """End the companion; the processes go on."""
        duty_cycle.revert(self.instance_ids, prior)

    @property
    def _stopped_s(self) -> float:
        return (1 - self.cpu) * PERIOD_S


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> CpuStress:
    """The fault from the data in a plan or a ledger."""
    return CpuStress(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
