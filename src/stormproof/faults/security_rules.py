"""The ingress rules of a security group, as what they say: whom they let in on which ports, and in which words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from stormproof.errors import FaultError

_ALL = "-1"  # of protocols
_TCP = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityRule:
    """One rule; *source* is one of a CIDR, a prefix list or a group, under EC2's own key for it."""

    protocol: str
    from_port: int
    to_port: int
    source_key: str  # "CidrIpv4" | "CidrIpv6" | "PrefixListId" | "GroupId"
    source: str
    source_account: str = ""  # of a group
    description: str = ""
    tags: tuple[tuple[str, str], ...] = field(default_factory=tuple)

    @property
    def key(self) -> tuple[str, int, int, str, str]:
        """What EC2 takes for the same rule."""
        return self.protocol, self.from_port, self.to_port, self.source_key, self.source

    @property
    def text(self) -> str:
        """In words."""
        return f"{self.protocol} {self.from_port}-{self.to_port} from {self.source}"

    def document(self) -> dict[str, Any]:
        """As JSON, for a ledger; `from_document` reads it back."""
        return {**asdict(self), "tags": [list(pair) for pair in self.tags]}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> SecurityRule:
        """Read back what `document` wrote."""
        return cls(**{**document, "tags": tuple((str(key), str(value)) for key, value in document["tags"])})

    def permission(self, *, bare: bool = False) -> dict[str, Any]:
        """An `IpPermission` of this rule alone; *bare* without its description, which identifies nothing."""
        ports = {} if self.protocol == _ALL else {"FromPort": self.from_port, "ToPort": self.to_port}
        words = {"Description": self.description} if self.description and not bare else {}
        where = {
            "CidrIpv4": {"IpRanges": [{"CidrIp": self.source, **words}]},
            "CidrIpv6": {"Ipv6Ranges": [{"CidrIpv6": self.source, **words}]},
            "PrefixListId": {"PrefixListIds": [{"PrefixListId": self.source, **words}]},
            "GroupId": {"UserIdGroupPairs": [{"GroupId": self.source, "UserId": self.source_account, **words}]},
        }
        return {"IpProtocol": self.protocol, **ports, **where[self.source_key]}

    def tag_specifications(self) -> dict[str, Any]:
        """What makes its tags, where it has any."""
        if not self.tags:
            return {}
        tags = [{"Key": key, "Value": value} for key, value in self.tags]
        return {"TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": tags}]}


def rules_of(ec2: Any, group: str) -> list[SecurityRule]:
    """Every ingress rule of *group*, in a stable order. Raises `FaultError` for a source of a kind unknown here."""
    pages = ec2.get_paginator("describe_security_group_rules").paginate(
        Filters=[{"Name": "group-id", "Values": [group]}]
    )
    rows = [row for page in pages for row in page["SecurityGroupRules"] if not row["IsEgress"]]
    return sorted((_rule(row) for row in rows), key=lambda rule: rule.key)


def rules_for(port: int, rules: Sequence[SecurityRule]) -> list[SecurityRule]:
    """Those that let a TCP connection in on *port*."""
    return [
        rule
        for rule in rules
        if rule.protocol == _ALL or (rule.protocol == _TCP and rule.from_port <= port <= rule.to_port)
    ]


def _rule(row: Mapping[str, Any]) -> SecurityRule:
    group = row.get("ReferencedGroupInfo") or {}
    sources = {key: row[key] for key in ("CidrIpv4", "CidrIpv6", "PrefixListId") if row.get(key)}
    if group.get("GroupId"):
        sources["GroupId"] = group["GroupId"]
    if len(sources) != 1:
        raise FaultError(f"{row.get('SecurityGroupRuleId')}: expected a rule with one source, got {sources or 'none'}")
    ((key, source),) = sources.items()
    return SecurityRule(
        protocol=str(row["IpProtocol"]),
        from_port=int(row.get("FromPort", -1)),
        to_port=int(row.get("ToPort", -1)),
        source_key=key,
        source=str(source),
        source_account=str(group.get("UserId", "")),
        description=str(row.get("Description") or ""),
        tags=tuple(sorted((str(tag["Key"]), str(tag["Value"])) for tag in row.get("Tags", ()))),
    )
