"""Loss of an Availability Zone: its power, its network, or its speed.

*power*: every instance is stopped through EC2, at once and hard. *network*: a network ACL denies everything, so that
connections hang. *slow* is a grey failure: everything is alive and answers, health checks too, but late. The instances'
processes run for a moment, stand still for a while, and so on (SIGSTOP and SIGCONT, each at times of its own), so that
an answer waits between nothing and about twice the *latency*, evenly; *latency* on average. A page that waits for a
dependency meanwhile may wait twice. It is not a slow network: packets are neither delayed nor lost, connections are
accepted at once, and what a process does by itself stands still as well.

In AWS the loss has parts, and the environment's file says which (`az_outage`). There *slow* is a slow network, which
AWS FIS makes: each instance of the zone sends everything later by *latency* (`fis_slow`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stormproof.errors import InputError
from stormproof.faults import aws, instance_power
from stormproof.faults.az_network import AzNetworkLoss
from stormproof.faults.az_outage import MODE as OUTAGE
from stormproof.faults.az_outage import AzOutage, outage_target
from stormproof.faults.az_slow import LATENCY_MAX_S, LATENCY_MIN_S, AzSlow
from stormproof.faults.binding import activities, resolved
from stormproof.faults.fis_experiment import unwritten
from stormproof.faults.fis_outage import MODE as FIS
from stormproof.faults.fis_outage import FisOutage
from stormproof.faults.fis_slow import MODE as FIS_SLOW
from stormproof.faults.fis_slow import FisSlow
from stormproof.faults.instances import LEASE_S, Lease, lab_configuration, look_for_silence
from stormproof.faults.protocol import Look
from stormproof.model.cloud import AZ_LOSS_PARTS
from stormproof.model.environment import Environment, Instance
from stormproof.model.plan import ResolvedFault
from stormproof.spec.quantity import Duration

__all__ = ["confirm", "inject", "undo"]

KIND = "az-loss"
SUMMARY = (
    "An Availability Zone is lost: its instances all stop at once, its network swallows everything, or it becomes slow."
)
CONFIRMED_BY = (
    "no instance of the zone answers when called directly, past the balancer (network: the connect hangs); "
    "the workload's samples from the zone fall silent. Slow: direct calls to each instance come late; "
    "so do the workload's samples from the zone, and those from other zones do not"
)
UNDONE_BY = (
    "the instances that were running before are started again (network: the subnets get their ACLs back; "
    "slow: the companion ends and the processes go on); all of them answer when called directly"
)
ENVIRONMENTS = ("local", "aws")
EXAMPLE: dict[str, Any] = {"zone": "a"}
MODE_EXAMPLES = {"slow": {"zone": "a", "mode": "slow", "latency": "300ms"}}  # network has tests of its own

LATENCY_S = 0.3  # of a slow zone, unless the spec says otherwise

_UNDO = {
    "power": "start the same instances again and see them answer",
    "network": "give the subnets their network ACLs back and see the instances answer",
    "slow": "let the same processes go on without a break and see the instances answer at once",
}


class Arguments(BaseModel):
    """What the spec says of an `az-loss`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone: str = Field(description="the zone that is lost, by the environment's name for it", min_length=1)
    mode: Literal["power", "network", "slow"] = Field(
        default="power",
        description="power: the instances are stopped; network: a network ACL denies everything, connections hang; "
        "slow: everything answers, but late (in AWS through FIS)",
    )
    latency: Duration = Field(
        default=LATENCY_S,
        description="slow only: how much later answers come, on average",
        ge=LATENCY_MIN_S,
        le=LATENCY_MAX_S,
    )
    lease: Lease = Field(
        default=LEASE_S,
        description="slow only: how long it goes on once the process that injected it is gone; then it ends by itself",
    )

    @model_validator(mode="after")
    def _only_slow_is_late(self) -> Arguments:
        given = {"latency", "lease"} & self.model_fields_set
        if self.mode != "slow" and given:
            raise ValueError(f"no {' and no '.join(sorted(given))} with mode {self.mode}: that is for mode slow")
        return self


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the zone's instances; `InputError` for a zone that is unknown or empty."""
    instances = environment.zones.get(arguments.zone)
    if not instances:
        raise InputError(
            where=where,
            what=f"faults: {KIND}.zone",
            expected=f"a zone of {environment.name!r} that has instances: {', '.join(environment.zones) or 'none'}",
            got=repr(arguments.zone),
        )
    if environment.cloud is not None:
        return _resolve_in_aws(arguments, instances, environment, fault_id=fault_id, where=where)
    ids = [instance.id for instance in instances]
    bound: dict[str, Any] = {
        "zone": arguments.zone,
        "instance_ids": ids,
        "urls": [instance.url for instance in instances],
    }
    configuration: dict[str, Any] = environment.aws.configuration
    if arguments.mode != "power":
        bound["mode"] = arguments.mode
    if arguments.mode == "slow":
        bound |= {"latency_s": arguments.latency, "lease_s": arguments.lease}
        configuration = lab_configuration(environment)
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=bound,
        configuration=configuration,
        targets=ids,
        undo=_UNDO[arguments.mode],
    )


def _resolve_in_aws(
    arguments: Arguments, instances: tuple[Instance, ...], environment: Environment, *, fault_id: str, where: str
) -> ResolvedFault:
    if arguments.mode == "slow":
        return _resolve_slow_in_aws(arguments, instances, environment, fault_id=fault_id, where=where)
    only = AZ_LOSS_PARTS if arguments.mode == "power" else ("scaling", "network")
    target = outage_target(arguments.zone, instances, environment, only=only, where=where)
    fault = bind(target, environment.aws.configuration)
    return ResolvedFault(
        fault_id=fault_id,
        kind=KIND,
        module=__name__,
        target=target,
        configuration=environment.aws.configuration,
        targets=tuple(instance.id for instance in instances),
        what=fault.what,
        undo=f"backwards: {', '.join(reversed(target['losses']))}; each as it was before",
        effect=fault.effect,
    )


def _resolve_slow_in_aws(
    arguments: Arguments, instances: tuple[Instance, ...], environment: Environment, *, fault_id: str, where: str
) -> ResolvedFault:
    """Without its `request`, which is written by the plan: it knows for how long."""
    cloud = environment.cloud
    assert cloud is not None, "the caller knows that it is in AWS"
    urls = [one.url for one in instances if one.url.startswith("http://")]
    if cloud.fis is None or len(urls) != len(instances):
        raise InputError(
            where=where,
            what=f"faults: {KIND}.mode",
            expected=f"slow where {environment.name!r} has a section `fis`, which does it, and instances that can be"
            " called by HTTP, to see it",
            got="no `fis`" if cloud.fis is None else "instances.address none, or https",
        )
    target = {
        "zone": arguments.zone,
        "mode": FIS_SLOW,
        "instance_ids": [one.id for one in instances],
        "urls": urls,
        "latency_s": arguments.latency,
        "request": unwritten(cloud.fis.role_arn),
        "expected": {},
    }
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=environment.aws.configuration,
        targets=[one.id for one in instances],
        undo="stop the FIS experiment, delete its template, and see the instances answer at once",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AzLoss:
    """A zone's instances, bound."""

    zone: str
    instance_ids: list[str]
    urls: list[str]
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        return f"stop {len(self.instance_ids)} instances of zone {self.zone}: {', '.join(self.instance_ids)}"

    @property
    def effect(self) -> dict[str, Any]:
        """The zone's share of the samples goes to nothing."""
        return {"kind": "zone-silent", "zone": self.zone}

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


_Bound = AzLoss | AzNetworkLoss | AzSlow | AzOutage | FisOutage | FisSlow


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> _Bound:
    """The fault from the data in a plan or a ledger."""
    if target.get("mode") == FIS:
        return FisOutage(configuration=configuration, **target)
    if target.get("mode") == FIS_SLOW:
        return FisSlow(configuration=configuration, **target)
    if target.get("mode") == OUTAGE:
        return AzOutage(configuration=configuration, **target)
    if target.get("mode") == "slow":
        return AzSlow(configuration=configuration, **target)
    if target.get("mode") == "network":
        return AzNetworkLoss(configuration=configuration, **target)
    return AzLoss(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
