"""The loss of an Availability Zone in AWS, as one fault: its parts in order, undone backwards to what was there before.

Everything that undo needs is in one ledger record before the first call. Wherever the act was cut off, each part finds
out for itself how far it came. docs/adr/0034-az-loss-in-aws.md says why the order is what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, reads
from stormproof.faults.aws_errors import reason_of
from stormproof.faults.dead_man import DeadMan, HasInverse, Inverse
from stormproof.faults.outage_balancers import OutageBalancers
from stormproof.faults.outage_caches import OutageCaches
from stormproof.faults.outage_databases import OutageDatabases
from stormproof.faults.outage_instances import OutageInstances
from stormproof.faults.outage_look import look_at_zone
from stormproof.faults.outage_network import OutageNetwork
from stormproof.faults.outage_scaling import OutageScaling
from stormproof.faults.protocol import Look
from stormproof.model.cloud import AZ_LOSS_PARTS

if TYPE_CHECKING:
    from stormproof.faults.outage_part import OutagePart
    from stormproof.model.cloud import CacheGroup
    from stormproof.model.environment import Environment, Instance

MODE = "outage"

# Part → the parts that must be back before it, and why it is left as it is when one of them is not.
_JUDGED = "left suspended: its instances would be judged, and replaced, as they are now"
_JUDGED_LATER_S = 900.0
_INTO_THE_DARK = "left where it is: its writer would go back into a zone without a network"
_DARK_NODE = "left where they are: their nodes would be back in a zone without a network"
_COLD = "left where it is: it would be led from a zone without a network"
_AFTER = {
    "balancers": {"network": _DARK_NODE},
    "scaling": {"instances": _JUDGED, "network": _JUDGED, "balancers": _JUDGED},
    "caches": {"network": _COLD},
    "databases": {"network": _INTO_THE_DARK},
}


def outage_target(
    zone: str, instances: tuple[Instance, ...], environment: Environment, *, only: tuple[str, ...], where: str
) -> dict[str, Any]:
    """The target of the loss of *zone* in an environment in AWS: its parts, of *only*, that there is anything to.

    Raises `InputError` when none is left.
    """
    cloud = environment.cloud
    assert cloud is not None, "the caller knows that it is in AWS"
    ids, place = [one.id for one in instances], cloud.zones[zone]
    wanted = [part for part in AZ_LOSS_PARTS if part in cloud.az_loss_parts and part in only]
    led = _led_from(cloud.cache_groups, place.az_name) if "caches" in wanted else {}
    parts: dict[str, dict[str, Any]] = {
        "databases": {"heirs": _heirs(cloud.clusters, place.az_name) if "databases" in wanted else {}},
        "caches": {"az_name": place.az_name, "primaries": led},
        "scaling": {"groups": {one.name: one.arn for one in cloud.scaling_groups}},
        "balancers": {"az_name": place.az_name, "arns": sorted(cloud.load_balancers.values())},
        "network": {"subnets": sorted(place.subnets), "owner": f"{environment.name}/{zone}"},
        "instances": {"instance_ids": ids},
    }
    there = {
        "databases": parts["databases"]["heirs"],
        "caches": led,
        "scaling": cloud.scaling_groups,
        "balancers": cloud.load_balancers,
        "network": place.subnets,
        "instances": ids,
    }
    chosen = {part: parts[part] for part in wanted if there[part]}
    if not {"network", "instances"} & set(chosen):
        raise InputError(
            where=where,
            what="faults: az-loss",
            expected=f"that zone {zone} of {environment.name!r} loses its network or its instances",
            got=f"az_loss.parts {', '.join(cloud.az_loss_parts)}, of which there is {', '.join(chosen) or 'nothing'}",
            hint="are the zone's subnets tagged?",
        )
    return {
        "zone": zone,
        "mode": MODE,
        "instance_ids": ids,
        "urls": [one.url for one in instances if one.url],
        "target_groups": list(cloud.target_groups.values()),
        "losses": chosen,
    }


def instances_target(kind: str, zone: str, instances: tuple[Instance, ...], environment: Environment) -> dict[str, Any]:
    """The target of a loss of *instances* of *zone* alone: their groups are kept from replacing them meanwhile."""
    cloud = environment.cloud
    assert cloud is not None, "the caller knows that it is in AWS"
    ids = [one.id for one in instances]
    groups = {one.name: one.arn for one in cloud.scaling_groups}
    return {
        "zone": zone,
        "mode": MODE,
        "kind": kind,
        "instance_ids": ids,
        "urls": [one.url for one in instances if one.url],
        "target_groups": list(cloud.target_groups.values()),
        "losses": {**({"scaling": {"groups": groups}} if groups else {}), "instances": {"instance_ids": ids}},
    }


def inverse_of(part: OutagePart, prior: Mapping[str, Any]) -> list[Inverse]:
    """What brings *part* back, if it has an inverse: databases have none that is worth a switch."""
    return list(part.inverse(prior)) if isinstance(part, HasInverse) else []


def _heirs(clusters: Any, az_name: str) -> dict[str, str]:
    """For each cluster whose writer is in the zone, the first member elsewhere; without one nothing can take over."""
    heirs = {}
    for cluster in clusters:
        if cluster.members.get(cluster.writer) == az_name:
            elsewhere = sorted(name for name, zone in cluster.members.items() if zone != az_name)
            if not elsewhere:
                raise FaultError(
                    f"az-loss: {cluster.name} has no member outside {az_name} that could take over",
                    hint="that is a finding of its own; leave `databases` out of az_loss.parts to go on",
                )
            heirs[cluster.name] = elsewhere[0]
    return heirs


def _led_from(groups: tuple[CacheGroup, ...], az_name: str) -> dict[str, str]:
    """The groups that are led from the zone, by name the member that leads; one must be able to take over elsewhere."""
    led, hint = {}, "leave `caches` out of az_loss.parts, or the group out of cache_groups, to go on"
    for group in groups:
        if az_name not in group.members.values():
            continue
        if not group.primary:
            raise FaultError(
                f"az-loss: ElastiCache does not say which member leads {group.name}, as of any with cluster mode",
                hint=hint,
            )
        if group.members[group.primary] == az_name:
            if set(group.members.values()) <= {az_name}:
                raise FaultError(
                    f"az-loss: {group.name} has no member outside {az_name} that could take over",
                    hint=f"that is a finding of its own; {hint}",
                )
            led[group.name] = group.primary
    return led


@dataclass(frozen=True, slots=True, kw_only=True)
class AzOutage:
    """A zone of an environment in AWS, bound."""

    zone: str
    instance_ids: list[str]
    urls: list[str]
    target_groups: list[str]
    losses: Mapping[str, Mapping[str, Any]]
    configuration: Mapping[str, Any]
    mode: str = MODE
    kind: str = "az-loss"

    gap_s: ClassVar[float] = 1.0  # each look may be a call to AWS
    felt_within_s: ClassVar[float] = 180.0  # a machine takes its time to stop, and a balancer to notice

    @property
    def gone_within_s(self) -> float:
        """A machine takes its time to start, and a cache that is filled anew takes longer."""
        return 1200.0 if "caches" in self.losses else 300.0

    @property
    def what(self) -> str:
        """In words."""
        return "; ".join(part.what for part in self._bound.values())

    @property
    def effect(self) -> dict[str, Any]:
        """The zone's share of the samples goes to nothing; of some instances alone nothing must show."""
        return {"kind": "zone-silent", "zone": self.zone} if self.kind == "az-loss" else {}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """Of its parts, and of its own look."""
        looks = ("sts:GetCallerIdentity", *(() if self.urls else ("elbv2:DescribeTargetHealth",)))
        switch = DeadMan.of("", self.configuration)
        calls = (call for part in self._bound.values() for call in part.api_calls)
        return (*reads(*looks), *calls, *(switch.api_calls if switch else ()))

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """Of each part."""
        return {name: part.prior() for name, part in self._bound.items()}

    def act(self) -> None:
        """Part by part."""
        for part in self._bound.values():
            part.act(part.prior())

    def look(self) -> Look:
        """Call each instance directly; where none can be reached from here, ask the target groups what they see."""
        return look_at_zone(self.instance_ids, self.urls, self.target_groups, self.configuration)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Part by part, backwards. A part that fails stops only those that would do harm without it (`_AFTER`).

        Raises one `FaultError` that names every part which is not back.
        """
        failed: dict[str, str] = {}
        for name in reversed(list(self._bound)):
            if name not in prior:
                continue
            if name in _AFTER and failed.keys() & _AFTER[name].keys():
                failed[name] = next(why for part, why in _AFTER[name].items() if part in failed)
                continue
            try:
                self._bound[name].revert(prior[name])
            except Exception as error:  # noqa: BLE001 - one part that fails must not keep the others broken
                failed[name] = str(error) if isinstance(error, FaultError) else reason_of(error)
        if failed:
            raise FaultError(f"{self.kind}: not back: " + "; ".join(f"{name}: {why}" for name, why in failed.items()))

    def inverse(self, prior: Mapping[str, Any]) -> list[Inverse]:
        """Of the parts that have one; groups judge their instances only when these have had time to come back."""
        found = [one for name, part in self._bound.items() if name in prior for one in inverse_of(part, prior[name])]
        return [replace(one, later_s=_JUDGED_LATER_S) if one.service == "autoscaling" else one for one in found]

    @property
    def _bound(self) -> dict[str, OutagePart]:
        """In the order in which they are done."""
        where, own, kind = self.configuration, self.losses, self.kind
        parts: dict[str, OutagePart] = {}
        if "databases" in own:
            parts["databases"] = OutageDatabases(zone=self.zone, configuration=where, kind=kind, **own["databases"])
        if "caches" in own:
            parts["caches"] = OutageCaches(zone=self.zone, configuration=where, kind=kind, **own["caches"])
        if "scaling" in own:
            parts["scaling"] = OutageScaling(
                instance_ids=self.instance_ids,
                target_groups=self.target_groups,
                configuration=where,
                kind=kind,
                **own["scaling"],
            )
        if "balancers" in own:
            parts["balancers"] = OutageBalancers(zone=self.zone, configuration=where, kind=kind, **own["balancers"])
        if "network" in own:
            parts["network"] = OutageNetwork(zone=self.zone, configuration=where, kind=kind, **own["network"])
        if "instances" in own:
            parts["instances"] = OutageInstances(zone=self.zone, configuration=where, kind=kind, **own["instances"])
        return parts
