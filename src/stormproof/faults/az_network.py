"""An Availability Zone cut off: its machines run, and nothing reaches them. Connections hang.

The subnets of the zone's instances get a network ACL without entries, which denies everything. That is also how a zone
is cut off for an exercise on AWS; unlike a real loss of network it spares what is not in those subnets. In the lab the
supervisor makes the ACL true at the sockets (docs/adr/0012-zone-faults.md); traffic between instances of the zone,
which a NACL lets pass within a subnet, does not exist there.
"""

from __future__ import annotations

import socket
import urllib.parse
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from stormproof.errors import FaultError
from stormproof.faults import aws
from stormproof.faults.canary import ask
from stormproof.faults.protocol import Look, Seen

CONNECT_TIMEOUT_S = 0.4
ANSWER_TIMEOUT_S = 0.5
_TAG = "stormproof-az-loss"  # on the ACLs that we make: how an undo in another process knows them


@dataclass(frozen=True, slots=True, kw_only=True)
class AzNetworkLoss:
    """A zone's subnets and instances, bound."""

    zone: str
    instance_ids: list[str]
    urls: list[str]
    configuration: Mapping[str, Any]
    mode: str = "network"

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        return f"cut {len(self.instance_ids)} instances of zone {self.zone} off the network: {self._names}"

    @property
    def effect(self) -> dict[str, Any]:
        """The zone's share of the samples goes to nothing."""
        return {"kind": "zone-silent", "zone": self.zone}

    def identify(self) -> None:
        """The caller's account is the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The ACL of each subnet; instances that do not run, or an ACL of ours, are errors."""
        ec2 = self._ec2()
        states, subnets = self._instances(ec2)
        if set(states) != set(self.instance_ids) or set(states.values()) != {"running"}:
            raise FaultError(f"az-loss: expected every instance of zone {self.zone} to be running, got {states}")
        ours = self._ours(ec2)
        if ours:
            raise FaultError(f"az-loss: zone {self.zone} is cut off already by {ours}", hint="stormproof undo --list")
        found = {subnet: acl for subnet, (_, acl) in self._associations(ec2, subnets).items()}
        if set(found) != set(subnets):
            raise FaultError(f"az-loss: expected an ACL on each of {sorted(subnets)}, got {found}")
        return {"acls": found}

    def act(self) -> None:
        """Give the subnets an ACL without entries."""
        ec2 = self._ec2()
        _, subnets = self._instances(ec2)
        for vpc in sorted(set(subnets.values())):
            tags = [{"Key": _TAG, "Value": self.zone}]
            made = ec2.create_network_acl(VpcId=vpc, TagSpecifications=[{"ResourceType": "network-acl", "Tags": tags}])
            acl = made["NetworkAcl"]["NetworkAclId"]
            own = [subnet for subnet, its_vpc in subnets.items() if its_vpc == vpc]
            for association, _ in self._associations(ec2, own).values():
                ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)

    def look(self) -> Look:
        """Connect to each instance directly: to be cut off is to hang; refused is something else."""
        with ThreadPoolExecutor(max_workers=len(self.urls)) as pool:
            answers = dict(zip(self.urls, pool.map(_connects, self.urls), strict=True))
        if all(answer == "the connect hangs" for answer in answers.values()):
            seen = Seen.BROKEN
        elif all(answer == "answered" for answer in answers.values()):
            seen = Seen.WHOLE
        else:
            seen = Seen.PARTIAL
        return Look(seen=seen, evidence={"called_directly": answers})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the former ACLs back where ours are, and delete ours."""
        ec2, before = self._ec2(), dict(prior["acls"])
        ours = self._ours(ec2)
        now = self._associations(ec2, before)
        strangers = {subnet: acl for subnet, (_, acl) in now.items() if acl not in (before[subnet], *ours)}
        for subnet, (association, acl) in now.items():
            if acl in ours:
                ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=before[subnet])
        for acl in ours:
            ec2.delete_network_acl(NetworkAclId=acl)
        if strangers:
            raise FaultError(
                f"az-loss: subnets have ACLs that are neither ours nor the ones before ({before}): {strangers};"
                " somebody else changed them since; left alone"
            )

    @property
    def _names(self) -> str:
        return ", ".join(self.instance_ids)

    def _ec2(self) -> Any:
        return aws.client("ec2", self.configuration)

    def _instances(self, ec2: Any) -> tuple[dict[str, str], dict[str, str]]:
        """State by instance, VPC by subnet."""
        states, subnets = {}, {}
        pages = ec2.get_paginator("describe_instances")
        for page in pages.paginate(InstanceIds=list(self.instance_ids)):
            for reservation in page["Reservations"]:
                for one in reservation["Instances"]:
                    states[one["InstanceId"]] = one["State"]["Name"]
                    if one.get("SubnetId"):  # a terminated one has none
                        subnets[one["SubnetId"]] = one["VpcId"]
        return states, subnets

    def _associations(self, ec2: Any, subnets: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Subnet → (association, ACL)."""
        wanted = sorted(subnets)
        acls = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": wanted}])
        return {
            row["SubnetId"]: (row["NetworkAclAssociationId"], acl["NetworkAclId"])
            for acl in acls["NetworkAcls"]
            for row in acl["Associations"]
            if row["SubnetId"] in wanted
        }

    def _ours(self, ec2: Any) -> list[str]:
        acls = ec2.describe_network_acls(Filters=[{"Name": f"tag:{_TAG}", "Values": [self.zone]}])
        return [acl["NetworkAclId"] for acl in acls["NetworkAcls"]]


def _connects(url: str) -> str:
    """What became of a connection to *url*: "answered", "the connect hangs", or another outcome in words."""
    parts = urllib.parse.urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=CONNECT_TIMEOUT_S).close()
    except TimeoutError:
        return "the connect hangs"
    except OSError as error:
        return str(error)
    reply = ask(f"{url}/healthz", timeout_s=ANSWER_TIMEOUT_S)
    return reply.failure or "answered"
