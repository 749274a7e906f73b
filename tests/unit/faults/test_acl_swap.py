"""What of a network ACL ours has in its place: every entry of its owners', and none of AWS's own."""

from __future__ import annotations

from typing import Any

from botocore.stub import Stubber

from stormproof.faults import aws
from stormproof.faults.acl_swap import AclSwap
from support.planning import make_aws_environment

ALLOWED = {"Egress": False, "RuleAction": "allow"}


def test_an_entry_is_what_it_was_and_those_of_aws_are_its_own() -> None:
    """Also ICMP's, which has types in place of ports; by EC2's model, as the emulator forgets them."""
    ping = {**ALLOWED, "RuleNumber": 90, "Protocol": "1", "CidrBlock": "10.0.0.0/8",
            "IcmpTypeCode": {"Type": 8, "Code": -1}}  # fmt: skip
    web = {**ALLOWED, "RuleNumber": 80, "Protocol": "6", "Ipv6CidrBlock": "::/0", "PortRange": {"From": 80, "To": 81}}
    out = {**ALLOWED, "Egress": True, "RuleNumber": 100, "Protocol": "-1", "CidrBlock": "0.0.0.0/0"}
    last = [{**one, "RuleNumber": number, "RuleAction": "deny"} for one in (out, web) for number in (32767, 32768)]
    where = {**make_aws_environment().aws.configuration, "aws_endpoint_url": "http://127.0.0.1:9"}
    swap = AclSwap(subnets=["subnet-1"], tag="t", owner="o", cut="ledger", configuration=where, kind="dependency-cut")
    found: dict[str, Any] = {"NetworkAclId": "acl-1", "Entries": [*last, ping, out, web]}
    with Stubber(aws.client("ec2", where)) as stub:
        stub.add_response("describe_network_acls", {"NetworkAcls": [found]}, {"NetworkAclIds": ["acl-1"]})

        assert swap.entries(["acl-1"]) == {"acl-1": [web, ping, out]}
        for entry in (web, ping, out):  # and each can be sent as it is
            stub.add_response("create_network_acl_entry", {}, {"NetworkAclId": "acl-2", **entry})
            aws.client("ec2", where).create_network_acl_entry(NetworkAclId="acl-2", **entry)  # type: ignore[attr-defined]
