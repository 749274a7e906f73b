"""EC2 instances of a zone stop, hard: what a failed host, a spot interruption or a mistaken script does.

Always with the plan's instance ids, with ``Force``. In the lab through chaostoolkit-aws `stop_instances`; there an
instance *is* a process: it is killed, its address refuses connections, and it is not started again until EC2 calls it
running.

In AWS the environment's Auto Scaling groups neither replace nor terminate anything meanwhile, for a stopped instance
that its group has terminated cannot come back; Spot instances are refused. It is done as two of the parts of an AZ
loss (`az_outage`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stormproof.faults import aws, instance_power
from stormproof.faults.az_outage import MODE as OUTAGE
from stormproof.faults.az_outage import AzOutage, instances_target
from stormproof.faults.binding import activities, resolved
from stormproof.faults.instances import InstanceArguments, choose, look_for_silence
from stormproof.faults.protocol import Look
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "instance-stop"
SUMMARY = "Instances of a zone are stopped through EC2, at once and hard."
CONFIRMED_BY = (
    "none of the instances answers when called directly, past the balancer; "
    "the workload's calls of its dependencies from these instances cease (in AWS no effect is asked for)"
)
UNDONE_BY = (
    "the instances that were running before are started again; all of them answer when called directly (in AWS: then"
    " the groups' processes are resumed)"
)
ENVIRONMENTS = ("local", "aws")
EXAMPLE: dict[str, Any] = {"zone": "a"}


class Arguments(InstanceArguments):
    """What the spec says of an `instance-stop`."""


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to instances; `InputError` for an unknown zone, or one with fewer instances."""
    chosen = choose(arguments, environment, kind=KIND, where=where)
    ids = [instance.id for instance in chosen]
    if environment.cloud is not None:
        return resolved(
            bind,
            fault_id=fault_id,
            kind=KIND,
            target=instances_target(KIND, arguments.zone, chosen, environment),
            configuration=environment.aws.configuration,
            targets=ids,
            undo="start the same instances again, see them answer, and resume the groups' processes",
        )
    target = {"instance_ids": ids, "urls": [instance.url for instance in chosen]}
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=environment.aws.configuration,
        targets=ids,
        undo="start the same instances again and see them answer",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStop:
    """Instances, bound."""

    instance_ids: list[str]
    urls: list[str]
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        return f"stop {len(self.instance_ids)} instances: {', '.join(self.instance_ids)}"

    @property
    def effect(self) -> dict[str, Any]:
        """The instances no longer call their dependencies."""
        return {"kind": "client-silent", "clients": list(self.instance_ids)}

    def identify(self) -> None:
        """The caller's account is the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The state of each instance; all must be running."""
        return {"states": instance_power.running(self.instance_ids, self.configuration, kind=KIND)}

    def act(self) -> None:
        """Stop them all in one call."""
        instance_power.stop(self.instance_ids, self.configuration)

    def look(self) -> Look:
        """Call each instance directly."""
        return look_for_silence(dict(zip(self.instance_ids, self.urls, strict=True)))

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Start those that were running and are not."""
        instance_power.start_again(prior["states"], self.configuration, kind=KIND)


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> InstanceStop | AzOutage:
    """The fault from the data in a plan or a ledger."""
    if target.get("mode") == OUTAGE:
        return AzOutage(configuration=configuration, **target)
    return InstanceStop(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
