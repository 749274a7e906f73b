"""Part of the loss of a zone in AWS: where an ElastiCache replication group is led from the zone, a replica takes over.

`TestFailover` names no heir: ElastiCache promotes the replica that is least behind, and replaces the former primary's
node. To be told whom to promote, it must have its automatic failover switched off first, which nobody wants left
behind by an undo that was cut off. So the undo asks for a failover again until the former primary leads, twice at
most. With one replica that is the way back; with more it may not be, and is then said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stormproof.errors import FaultError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, arn, reads
from stormproof.faults.outage_part import wait_until

PROMOTED_WITHIN_S = 300.0
SETTLED_WITHIN_S = 600.0  # a node that is replaced is filled from the new primary
TRIES_BACK = 2  # ElastiCache allows 15 in 24 hours, over all groups


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageCaches:
    """The replication groups that are led from the zone: by name, the member that leads."""

    zone: str
    az_name: str
    primaries: dict[str, str]
    configuration: Mapping[str, Any]
    kind: str = "az-loss"  # of the fault that it is part of: what its errors begin with

    @property
    def what(self) -> str:
        """In words."""
        led = ", ".join(f"{group} (led by {primary})" for group, primary in self.primaries.items())
        return f"have a replica elsewhere take over {led}"

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """ElastiCache's, on these groups."""
        own = tuple(arn(self.configuration, "elasticache", f"replicationgroup:{one}") for one in self.primaries)
        return (
            *reads("elasticache:DescribeReplicationGroups"),
            ApiCall(service="elasticache", operation="TestFailover", purpose="inject", resources=own),
            ApiCall(service="elasticache", operation="TestFailover", purpose="undo", resources=own),
        )

    def prior(self) -> dict[str, Any]:
        """Who leads; every group must be available, able to fail over, and led as planned."""
        for group, primary in self.primaries.items():
            found = self._group(group)
            state = {"status": found["Status"], "automatic failover": found["AutomaticFailover"]}
            if state != {"status": "available", "automatic failover": "enabled"} or _primary(found) != primary:
                raise FaultError(
                    f"{self.kind}: expected {group} to be available, with automatic failover, and led by {primary},"
                    f" got {state}, led by {_primary(found) or 'nobody'}",
                    hint="plan again, or stormproof undo --list",
                )
        return {"primaries": dict(self.primaries)}

    def act(self, prior: Mapping[str, Any]) -> None:
        """Ask for a failover of each, and wait until another member leads; `FaultError` for one in the zone itself."""
        for group, primary in prior["primaries"].items():
            self._fail_over(group, primary)
            found = self._group(group)
            heir = _primary(found)
            if _zones(found)[heir] == self.az_name:
                raise FaultError(
                    f"{self.kind}: ElastiCache made {heir} lead {group}, which is in zone {self.zone} as well",
                    hint="it chooses by itself: keep one replica, elsewhere, or leave `caches` out of az_loss.parts",
                )

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Fail over until the former primaries lead again; those that do not are named, after the others are back."""
        left = {}
        for group, primary in prior["primaries"].items():
            if why := self._bring_back(group, primary):
                left[group] = why
        if left:
            raise FaultError(
                f"{self.kind}: " + "; ".join(f"{group} {why}" for group, why in left.items()),
                hint="undo again tries again; or have another one lead by hand: automatic failover off,"
                " ModifyReplicationGroup with PrimaryClusterId, and on again",
            )

    def _bring_back(self, group: str, primary: str) -> str:
        """Why *primary* does not lead again; "" when it does."""
        self._settle(group)
        for _ in range(TRIES_BACK):
            found = self._group(group)
            if _primary(found) == primary:
                return ""
            if primary not in _zones(found):
                return f"has no member {primary} any more: somebody else changed it since; left alone"
            self._fail_over(group, _primary(found))
            self._settle(group)
        heir = _primary(self._group(group))
        return "" if heir == primary else f"is led by {heir}, which ElastiCache chose, and not by {primary}"

    def _fail_over(self, group: str, primary: str) -> None:
        found = self._group(group)
        client: Any = aws.client("elasticache", self.configuration, attempts=1)  # asked twice, it fails over twice
        client.test_failover(ReplicationGroupId=group, NodeGroupId=found["NodeGroups"][0]["NodeGroupId"])
        wait_until(
            f"another member than {primary} to lead {group}",
            lambda: _primary(self._group(group)) not in ("", primary),
            within_s=PROMOTED_WITHIN_S,
        )

    def _settle(self, group: str) -> None:
        wait_until(
            f"{group} to be available",
            lambda: str(self._group(group)["Status"]) == "available",
            within_s=SETTLED_WITHIN_S,
        )

    def _group(self, name: str) -> dict[str, Any]:
        client: Any = aws.client("elasticache", self.configuration)
        found: dict[str, Any] = client.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0]
        return found


def _members(group: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for shard in group["NodeGroups"] for one in shard["NodeGroupMembers"]]


def _primary(group: Mapping[str, Any]) -> str:
    return next((str(one["CacheClusterId"]) for one in _members(group) if one.get("CurrentRole") == "primary"), "")


def _zones(group: Mapping[str, Any]) -> dict[str, str]:
    return {str(one["CacheClusterId"]): str(one.get("PreferredAvailabilityZone", "")) for one in _members(group)}
