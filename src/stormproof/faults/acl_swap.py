"""Subnets that have a network ACL of ours for a while: what the loss of a zone and the cut of a dependency share.

An association of a subnet with an ACL has an id that does not survive a replacement. What is kept and brought back is
which ACL each subnet had; the association to replace is looked up each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stormproof.errors import FaultError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, Purpose, arn, reads
from stormproof.faults.dead_man import Inverse

Entry = dict[str, Any]  # as `CreateNetworkAclEntry` takes it, without the ACL's id

_BY_AWS = 32767  # from this number on AWS makes the entries itself, the same for every ACL
_GONE = "InvalidNetworkAclID.NotFound"
_ENTRY_KEYS = (
    "RuleNumber", "Egress", "RuleAction", "Protocol", "CidrBlock", "Ipv6CidrBlock", "PortRange", "IcmpTypeCode",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AclSwap:
    """The subnets, and how our ACLs are known."""

    subnets: list[str]
    tag: str  # on the ACLs that we make: how an undo in another process knows them
    owner: str  # its value
    cut: str  # what is cut off by them, in words
    configuration: Mapping[str, Any]
    kind: str  # of the fault that it is part of: what its errors begin with

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """EC2's. An ACL has no id before it is made; the ones that we make carry our tag."""
        acls = arn(self.configuration, "ec2", "network-acl/*")
        vpcs = arn(self.configuration, "ec2", "vpc/*")
        subnets = tuple(arn(self.configuration, "ec2", f"subnet/{one}") for one in self.subnets)
        swap: tuple[Purpose, ...] = ("inject", "undo")
        return (
            *reads("ec2:DescribeNetworkAcls"),
            ApiCall(
                service="ec2", operation="CreateNetworkAcl", purpose="inject", resources=(acls, vpcs),
                needs=("ec2:CreateTags",),
            ),
            *(
                ApiCall(
                    service="ec2", operation="ReplaceNetworkAclAssociation", purpose=purpose, resources=(acls, *subnets)
                )
                for purpose in swap
            ),
            self.call_on_ours("DeleteNetworkAcl", "undo"),
        )  # fmt: skip

    def call_on_ours(self, operation: str, purpose: Purpose) -> ApiCall:
        """A call that is made on our own ACLs only."""
        ours = {"StringEquals": {f"aws:ResourceTag/{self.tag}": self.owner}}
        acls = (arn(self.configuration, "ec2", "network-acl/*"),)
        return ApiCall(service="ec2", operation=operation, purpose=purpose, resources=acls, condition=ours)

    def prior(self) -> dict[str, str]:
        """The ACL of each subnet; a subnet without one, or an ACL of ours, are errors."""
        if ours := self._ours():
            raise FaultError(
                f"{self.kind}: {self.cut} is cut off already by {sorted(ours)}", hint="stormproof undo --list"
            )
        found = {subnet: acl for subnet, (_, acl, _) in self._associations().items()}
        if set(found) != set(self.subnets):
            raise FaultError(f"{self.kind}: expected an ACL on each of {sorted(self.subnets)}, got {found}")
        return found

    def entries(self, acls: Sequence[str]) -> dict[str, list[Entry]]:
        """The entries of each of *acls* but AWS's own, by direction and number."""
        pages = self._ec2().get_paginator("describe_network_acls").paginate(NetworkAclIds=sorted(acls))
        return {acl["NetworkAclId"]: _entries(acl) for page in pages for acl in page["NetworkAcls"]}

    def swap(self, subnets: Sequence[str], entries: Sequence[Entry]) -> None:
        """Give *subnets* ACLs with *entries*, one a VPC; no subnet has one before its last entry is there."""
        ec2 = self._ec2()
        found = {subnet: one for subnet, one in self._associations().items() if subnet in subnets}
        for vpc in sorted({vpc for _, _, vpc in found.values()}):
            tags = [{"Key": self.tag, "Value": self.owner}]
            made = ec2.create_network_acl(VpcId=vpc, TagSpecifications=[{"ResourceType": "network-acl", "Tags": tags}])
            ours = made["NetworkAcl"]["NetworkAclId"]
            for entry in entries:
                ec2.create_network_acl_entry(NetworkAclId=ours, **entry)
            for _, (association, _, its) in sorted(found.items()):
                if its == vpc:
                    ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=ours)

    def revert(self, before: Mapping[str, str], *, made: Sequence[Entry] = ()) -> None:
        """Put the ACLs *before* back where ours are, and delete ours.

        Raises `FaultError` for a subnet with a third ACL, and for one of ours that others use, or that has more
        entries than the *made* ones: these are left as they are, after all else is back.
        """
        ec2 = self._ec2()
        ours, now = self._ours(), self._associations()
        back = {subnet for subnet, (one, acl, _) in now.items() if acl in ours and self._give(one, before[subnet])}
        kept = {}
        for acl, described in ours.items():
            used = sorted({row["SubnetId"] for row in described["Associations"]} - back)
            more = [entry["RuleNumber"] for entry in _entries(described) if entry not in made]
            if used or more:
                kept[acl] = f"entries {more}" if more else f"subnets {used}"
            else:
                ec2.delete_network_acl(NetworkAclId=acl)
        strangers = {subnet: acl for subnet, (_, acl, _) in now.items() if acl not in (before.get(subnet), *ours)}
        missing = sorted(set(before) - set(now))
        if strangers or missing:
            raise FaultError(
                f"{self.kind}: expected the ACLs {dict(before)} or ours, got {strangers or missing};"
                " somebody else changed them since; left alone"
            )
        if kept:
            raise FaultError(
                f"{self.kind}: ACLs of ours have what is not ours, or the ACL before them is gone: {kept};"
                " somebody else changed them since; left alone",
                hint="give these subnets the ACL that they shall have, and delete ours by hand",
            )

    def inverse(self, before: Mapping[str, str]) -> list[Inverse]:
        """Put each ACL of *before* back; known only once ours are there, whose associations have ids of their own."""
        ours = self._ours()
        return [
            Inverse(
                service="ec2",
                operation="replaceNetworkAclAssociation",
                request={"AssociationId": association, "NetworkAclId": before[subnet]},
            )
            for subnet, (association, acl, _) in (self._associations() if ours else {}).items()
            if acl in ours
        ]

    def described(self) -> list[dict[str, Any]]:
        """EC2's description of each subnet."""
        pages = self._ec2().get_paginator("describe_subnets").paginate(SubnetIds=self.subnets)
        return [one for page in pages for one in page["Subnets"]]

    def _give(self, association: str, acl: str) -> bool:
        """Whether the subnet has *acl* now; not when somebody has deleted it, which nothing of ours kept from that."""
        from botocore.exceptions import ClientError

        try:
            self._ec2().replace_network_acl_association(AssociationId=association, NetworkAclId=acl)
        except ClientError as error:
            if error.response["Error"]["Code"] != _GONE:
                raise
            return False
        return True

    def _ec2(self) -> Any:
        return aws.client("ec2", self.configuration)

    def _associations(self) -> dict[str, tuple[str, str, str]]:
        """Subnet → (association, ACL, VPC)."""
        where = [{"Name": "association.subnet-id", "Values": sorted(self.subnets)}]
        return {
            row["SubnetId"]: (row["NetworkAclAssociationId"], acl["NetworkAclId"], acl["VpcId"])
            for page in self._ec2().get_paginator("describe_network_acls").paginate(Filters=where)
            for acl in page["NetworkAcls"]
            for row in acl["Associations"]
            if row["SubnetId"] in self.subnets
        }

    def _ours(self) -> dict[str, dict[str, Any]]:
        """Our ACLs, by id."""
        where = [{"Name": f"tag:{self.tag}", "Values": [self.owner]}]
        pages = self._ec2().get_paginator("describe_network_acls").paginate(Filters=where)
        return {acl["NetworkAclId"]: acl for page in pages for acl in page["NetworkAcls"]}


def _entries(acl: Mapping[str, Any]) -> list[Entry]:
    rows = [{key: row[key] for key in _ENTRY_KEYS if key in row} for row in acl.get("Entries", ())]
    ordered = sorted(rows, key=lambda row: (row["Egress"], row["RuleNumber"]))
    return [row for row in ordered if row["RuleNumber"] < _BY_AWS]
