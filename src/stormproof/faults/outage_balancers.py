"""Part of the loss of a zone in AWS: load balancers leave it, and come back with the same subnets and addresses.

What is kept is each balancer's whole list of subnet mappings, as one call sets it. Not a part unless the environment's
file says so: in a zonal event a balancer goes on trying, and leaving the zone is what an operator does about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stormproof.errors import FaultError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, Purpose, reads
from stormproof.faults.dead_man import Inverse

_LEAST_LEFT = {"application": 2}  # zones that AWS asks of a balancer of this type; of others one
_ADDRESS_KEYS = ("AllocationId", "PrivateIPv4Address", "IPv6Address")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageBalancers:
    """The load balancers of the workload."""

    zone: str
    az_name: str
    arns: list[str]
    configuration: Mapping[str, Any]
    kind: str = "az-loss"  # of the fault that it is part of: what its errors begin with

    @property
    def what(self) -> str:
        """In words."""
        return f"take {', '.join(_name(arn) for arn in self.arns)} out of zone {self.zone}"

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """Elastic Load Balancing's, on these balancers."""
        purposes: tuple[Purpose, ...] = ("inject", "undo")
        return (
            *reads("elbv2:DescribeLoadBalancers"),
            *(
                ApiCall(service="elbv2", operation="SetSubnets", purpose=purpose, resources=tuple(self.arns))
                for purpose in purposes
            ),
        )

    def prior(self) -> dict[str, Any]:
        """The mappings of each; one that is not in the zone, or would be left with too few, is an error."""
        found = self._described()
        for arn in self.arns:
            zones = {row["ZoneName"] for row in found[arn]["AvailabilityZones"]} if arn in found else set()
            if self.az_name not in zones:
                got = ", ".join(sorted(zones)) or "no such balancer"
                raise FaultError(
                    f"{self.kind}: expected {_name(arn)} to be in {self.az_name}, got {got}",
                    hint="plan again, or stormproof undo --list",
                )
            least = _LEAST_LEFT.get(found[arn]["Type"], 1)
            if len(zones) <= least:
                raise FaultError(
                    f"{self.kind}: {_name(arn)} is in {len(zones)} zones, and AWS leaves it in {least} at least",
                    hint="that is a finding of its own; leave `balancers` out of az_loss.parts to go on",
                )
        return {"mappings": {arn: self._both(found[arn]) for arn in self.arns}}

    def act(self, prior: Mapping[str, Any]) -> None:
        """Set the subnets of the other zones."""
        for arn, row in prior["mappings"].items():
            self._set(arn, row["ours"])

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Set the former ones where ours are; balancers with others are named, after the others are back."""
        found, strangers = self._described(), {}
        for arn, row in prior["mappings"].items():
            now = _mappings(found[arn]) if arn in found else []
            if now == row["ours"]:
                self._set(arn, row["before"])
            elif now != row["before"]:
                strangers[_name(arn)] = [one["SubnetId"] for one in now]
        if strangers:
            raise FaultError(
                f"{self.kind}: load balancers have subnets that are neither ours nor the ones before: {strangers};"
                " somebody else changed them since; left alone"
            )

    def inverse(self, prior: Mapping[str, Any]) -> list[Inverse]:
        """Set the former subnets."""
        return [
            Inverse(
                service="elasticloadbalancingv2",
                operation="setSubnets",
                request={"LoadBalancerArn": arn, "SubnetMappings": row["before"]},
            )
            for arn, row in prior["mappings"].items()
        ]

    def _both(self, balancer: Mapping[str, Any]) -> dict[str, Any]:
        """Its mappings, and those of them that are elsewhere."""
        before = _mappings(balancer)
        here = {row["SubnetId"] for row in balancer["AvailabilityZones"] if row["ZoneName"] == self.az_name}
        return {"before": before, "ours": [one for one in before if one["SubnetId"] not in here]}

    def _set(self, arn: str, mappings: list[dict[str, str]]) -> None:
        self._client().set_subnets(LoadBalancerArn=arn, SubnetMappings=mappings)

    def _described(self) -> dict[str, dict[str, Any]]:
        """By ARN. Asked one by one: a call that names one which is gone fails for all."""
        client, found = self._client(), {}
        for arn in self.arns:
            try:
                rows = client.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]
            except client.exceptions.LoadBalancerNotFoundException:
                continue
            found[arn] = rows[0]
        return found

    def _client(self) -> Any:
        return aws.client("elbv2", self.configuration)


def _mappings(balancer: Mapping[str, Any]) -> list[dict[str, str]]:
    """As `SetSubnets` takes them, by subnet; addresses only where the balancer was given one."""
    rows = sorted(balancer["AvailabilityZones"], key=lambda row: str(row["SubnetId"]))
    return [{"SubnetId": row["SubnetId"], **_addresses(row)} for row in rows]


def _addresses(zone: Mapping[str, Any]) -> dict[str, str]:
    return {key: one[key] for one in zone.get("LoadBalancerAddresses", ()) for key in _ADDRESS_KEYS if one.get(key)}


def _name(arn: str) -> str:
    return arn.split("/")[-2]
