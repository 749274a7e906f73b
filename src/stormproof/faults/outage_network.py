"""Part of the loss of a zone in AWS: its subnets get a network ACL without entries, which denies everything.

An association of a subnet with an ACL has an id that does not survive a replacement. What is kept and brought back is
which ACL each subnet had; the association to replace is looked up each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stormproof.errors import FaultError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, Purpose, arn, reads
from stormproof.faults.dead_man import Inverse

TAG = "stormproof-az-loss"  # on the ACLs that we make: how an undo in another process knows them


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageNetwork:
    """The subnets of the zone."""

    zone: str
    subnets: list[str]
    owner: str  # the environment and zone: the tag's value
    configuration: Mapping[str, Any]
    kind: str = "az-loss"  # of the fault that it is part of: what its errors begin with

    @property
    def what(self) -> str:
        """In words."""
        return f"deny everything into and out of {len(self.subnets)} subnets: {', '.join(self.subnets)}"

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """EC2's. An ACL has no id before it is made; the ones that we make carry our tag."""
        acls = arn(self.configuration, "ec2", "network-acl/*")
        vpcs = arn(self.configuration, "ec2", "vpc/*")
        subnets = tuple(arn(self.configuration, "ec2", f"subnet/{one}") for one in self.subnets)
        ours = {"StringEquals": {f"aws:ResourceTag/{TAG}": self.owner}}
        swap: tuple[Purpose, ...] = ("inject", "undo")
        return (
            *reads("ec2:DescribeNetworkAcls", "ec2:DescribeSubnets"),
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
            ApiCall(service="ec2", operation="DeleteNetworkAcl", purpose="undo", resources=(acls,), condition=ours),
        )  # fmt: skip

    def prior(self) -> dict[str, Any]:
        """The ACL of each subnet; a subnet without one, or an ACL of ours, are errors."""
        ec2 = self._ec2()
        if ours := self._ours(ec2):
            raise FaultError(
                f"{self.kind}: zone {self.zone} is cut off already by {ours}", hint="stormproof undo --list"
            )
        found = {subnet: acl for subnet, (_, acl) in self._associations(ec2).items()}
        if set(found) != set(self.subnets):
            raise FaultError(f"{self.kind}: expected an ACL on each of {sorted(self.subnets)}, got {found}")
        return {"acls": found}

    def act(self, prior: Mapping[str, Any]) -> None:
        """Give the subnets an ACL without entries, one a VPC."""
        ec2 = self._ec2()
        vpcs = self._vpcs(ec2)
        associations = self._associations(ec2)
        for vpc in sorted(set(vpcs.values())):
            tags = [{"Key": TAG, "Value": self.owner}]
            made = ec2.create_network_acl(VpcId=vpc, TagSpecifications=[{"ResourceType": "network-acl", "Tags": tags}])
            for subnet in sorted(one for one, its in vpcs.items() if its == vpc and one in prior["acls"]):
                ec2.replace_network_acl_association(
                    AssociationId=associations[subnet][0], NetworkAclId=made["NetworkAcl"]["NetworkAclId"]
                )

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the former ACLs back where ours are, and delete ours."""
        ec2, before = self._ec2(), dict(prior["acls"])
        ours, now = self._ours(ec2), self._associations(ec2)
        for subnet, (association, acl) in now.items():
            if acl in ours:
                ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=before[subnet])
        for acl in ours:
            ec2.delete_network_acl(NetworkAclId=acl)
        strangers = {subnet: acl for subnet, (_, acl) in now.items() if acl not in (before.get(subnet), *ours)}
        missing = sorted(set(before) - set(now))
        if strangers or missing:
            raise FaultError(
                f"{self.kind}: expected the ACLs {before} or ours, got {strangers or missing};"
                " somebody else changed them since; left alone"
            )

    def inverse(self, prior: Mapping[str, Any]) -> list[Inverse]:
        """Put each former ACL back; known only once ours are there, whose associations have ids of their own."""
        ec2 = self._ec2()
        ours = self._ours(ec2)
        return [
            Inverse(
                service="ec2",
                operation="replaceNetworkAclAssociation",
                request={"AssociationId": association, "NetworkAclId": prior["acls"][subnet]},
            )
            for subnet, (association, acl) in (self._associations(ec2) if ours else {}).items()
            if acl in ours
        ]

    def _ec2(self) -> Any:
        return aws.client("ec2", self.configuration)

    def _vpcs(self, ec2: Any) -> dict[str, str]:
        pages = ec2.get_paginator("describe_subnets").paginate(SubnetIds=self.subnets)
        return {one["SubnetId"]: one["VpcId"] for page in pages for one in page["Subnets"]}

    def _associations(self, ec2: Any) -> dict[str, tuple[str, str]]:
        """Subnet → (association, ACL)."""
        where = [{"Name": "association.subnet-id", "Values": sorted(self.subnets)}]
        return {
            row["SubnetId"]: (row["NetworkAclAssociationId"], acl["NetworkAclId"])
            for page in ec2.get_paginator("describe_network_acls").paginate(Filters=where)
            for acl in page["NetworkAcls"]
            for row in acl["Associations"]
            if row["SubnetId"] in self.subnets
        }

    def _ours(self, ec2: Any) -> list[str]:
        where = [{"Name": f"tag:{TAG}", "Values": [self.owner]}]
        pages = ec2.get_paginator("describe_network_acls").paginate(Filters=where)
        return [acl["NetworkAclId"] for page in pages for acl in page["NetworkAcls"]]
