"""Connections to a dependency hang: packets to it are dropped, so that a connect hangs until its caller gives up.

By a security group (``connections: new``): the ingress rules that cover the dependency's port are taken away, and put
back with their descriptions and tags. **Connections that are open go on**: AWS tracks them. What this shows is how a
workload connects, not how it reads.

By a network ACL (``connections: all``): the workload's subnets that the environment's file names get an ACL that equals
their own, with entries before all others that deny what goes to the dependency's addresses and port. ACLs track
nothing, so **connections that are open stall as well**. Each subnet gets its own ACL back, and ours is deleted; ids of
associations do not survive that. An ACL is not asked within a subnet: a dependency that is in one of them is refused.

The canary connects from where Stormproof runs: the rules must let it in, and it must be in one of the subnets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws
from stormproof.faults.acl_swap import AclSwap, Entry
from stormproof.faults.api_call import ApiCall, arn, reads
from stormproof.faults.binding import activities, resolved
from stormproof.faults.connecting import ACCEPTED, NO_ANSWER, connect, expect_accepted
from stormproof.faults.dead_man import DeadMan, Inverse
from stormproof.faults.protocol import Look, Seen
from stormproof.faults.proxied import ProxiedArguments, other_ways
from stormproof.faults.security_rules import SecurityRule, rules_for, rules_of
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "dependency-cut"
SUMMARY = "A dependency cannot be connected to: a security group, or a network ACL, drops what goes to it."
CONFIRMED_BY = "a connect of our own to its address hangs; no effect on the workload is asked for"
UNDONE_BY = (
    "the rules that were taken away are put back, each as it was, or each subnet has its own ACL again; a connect of"
    " our own is accepted"
)
ENVIRONMENTS = ("aws",)
EXAMPLE: dict[str, Any] = {"dependency": "ledger"}
MODE_EXAMPLES: dict[str, dict[str, Any]] = {"all": {"dependency": "ledger", "connections": "all"}}

TAG = "stormproof-dependency-cut"  # on the ACLs that we make
_TCP = "6"
_WAYS = {"new": "security_group", "all": "network_acl"}


class Arguments(ProxiedArguments):
    """What the spec says of a `dependency-cut`."""

    connections: Literal["new", "all"] = Field(
        default="new",
        description="`new`: those that are open go on (security group); `all`: they stall, too (network ACL)",
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to a security group or subnets; `InputError` for a dependency that has none."""
    known = environment.cloud.dependencies if environment.cloud else {}
    way, one = _WAYS[arguments.connections], known.get(arguments.dependency)
    if one is None or getattr(one, way) is None:
        names = [name for name, other in known.items() if getattr(other, way)]
        raise InputError(
            where=where,
            what=f"faults: {KIND}.dependency",
            expected=f"a dependency of {environment.name!r} with a `{way}`: {', '.join(names) or 'none'}",
            got=repr(arguments.dependency),
            hint=other_ways(environment, arguments.dependency),
        )
    host, _, port = str(one.address).rpartition(":")
    target: dict[str, Any] = {"dependency": one.name, "host": host, "port": int(port)}
    if one.network_acl is not None and arguments.connections == "all":
        targets, undo = sorted(one.network_acl.subnets), "give each subnet its own ACL back"
        owner = f"{environment.name}/{one.name}"
        target |= {"subnets": targets, "cidrs": list(one.network_acl.cidrs), "owner": owner}
    else:
        targets, undo = [str(one.security_group)], "put the rules back"
        target |= {"group": one.security_group}
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=environment.aws.configuration,
        targets=targets,
        undo=f"{undo} and see a connect accepted",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyCut:
    """A dependency's security group, bound."""

    dependency: str
    group: str
    host: str
    port: int
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.5
    felt_within_s: ClassVar[float] = 30.0
    gone_within_s: ClassVar[float] = 60.0

    @property
    def what(self) -> str:
        """In words."""
        return f"let nobody connect to {self.dependency} on port {self.port}: take the rules of {self.group} away"

    @property
    def effect(self) -> dict[str, Any]:
        """None that must show: connections that are open go on."""
        return {}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """EC2's, on this group."""
        rules = arn(self.configuration, "ec2", "security-group-rule/*")
        own = (rules, arn(self.configuration, "ec2", f"security-group/{self.group}"))
        switch = DeadMan.of("", self.configuration)
        return (
            *reads("sts:GetCallerIdentity", "ec2:DescribeSecurityGroupRules"),
            ApiCall(service="ec2", operation="RevokeSecurityGroupIngress", purpose="inject", resources=own),
            ApiCall(
                service="ec2", operation="AuthorizeSecurityGroupIngress", purpose="undo", resources=own,
                needs=("ec2:CreateTags",),
            ),
            *(switch.api_calls if switch else ()),
        )  # fmt: skip

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The rules that let anybody in on the port; none is an error."""
        rules = self._rules()
        if not rules:
            raise FaultError(
                f"{KIND}: {self.group} lets nobody in on port {self.port} already", hint="stormproof undo --list"
            )
        expect_accepted(self.host, self.port, kind=KIND)
        return {"rules": [one.document() for one in rules]}

    def act(self) -> None:
        """Take them away in one call, by what they say: a rule's id does not survive being put back."""
        rules = [rule.permission(bare=True) for rule in self._rules()]
        self._ec2().revoke_security_group_ingress(GroupId=self.group, IpPermissions=rules)

    def look(self) -> Look:
        """One connect of our own; broken means that it hangs."""
        return _look(self.host, self.port)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put back what is missing. What others have let in since stays; the same rule with other words is an error."""
        now = {rule.key: rule for rule in self._rules()}
        changed = []
        for rule in (SecurityRule.from_document(one) for one in prior["rules"]):
            there = now.get(rule.key)
            if there is None:
                self._ec2().authorize_security_group_ingress(
                    GroupId=self.group, IpPermissions=[rule.permission()], **rule.tag_specifications()
                )
            elif there != rule:
                changed.append(rule.text)
        if changed:
            raise FaultError(
                f"{KIND}: rules of {self.group} are there with another description or other tags: {'; '.join(changed)};"
                " somebody else changed them since; left alone"
            )

    def inverse(self, prior: Mapping[str, Any]) -> list[Inverse]:
        """Each rule by itself: a call that puts back one which is there already fails for all in it."""
        return [
            Inverse(
                service="ec2",
                operation="authorizeSecurityGroupIngress",
                request={"GroupId": self.group, "IpPermissions": [rule.permission()], **rule.tag_specifications()},
            )
            for rule in (SecurityRule.from_document(one) for one in prior["rules"])
        ]

    def _rules(self) -> list[SecurityRule]:
        return rules_for(self.port, rules_of(self._ec2(), self.group))

    def _ec2(self) -> Any:
        return aws.client("ec2", self.configuration)


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyCutByAcl:
    """A dependency, and the subnets that lose the way to it, bound."""

    dependency: str
    subnets: list[str]
    cidrs: list[str]
    owner: str  # the environment and dependency: the value of our ACLs' tag
    host: str
    port: int
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.5
    felt_within_s: ClassVar[float] = 30.0
    gone_within_s: ClassVar[float] = 60.0

    @property
    def what(self) -> str:
        """In words."""
        return (
            f"let nothing through to {self.dependency} ({', '.join(self.cidrs)}, port {self.port}) from"
            f" {len(self.subnets)} subnets, {', '.join(self.subnets)}: give them a network ACL that denies it"
        )

    @property
    def effect(self) -> dict[str, Any]:
        """None that must show: a workload that does without is what is hoped for."""
        return {}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """EC2's, on these subnets and on ACLs of our own."""
        switch = DeadMan.of("", self.configuration)
        return (
            *reads("sts:GetCallerIdentity", "ec2:DescribeSubnets"),
            *self._swap.api_calls,
            self._swap.call_on_ours("CreateNetworkAclEntry", "inject"),
            *(switch.api_calls if switch else ()),
        )

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """Each subnet's ACL, and per ACL the entries that ours will have in its place.

        A dependency that is cut off already, or is inside one of the subnets, is an error.
        """
        self._check_outside()
        found = self._found()
        expect_accepted(self.host, self.port, kind=KIND)
        return found

    def act(self) -> None:
        """Give the subnets an ACL as their own, with the denials before everything else."""
        found = self._found()
        for acl, entries in sorted(found["entries"].items()):
            self._swap.swap([subnet for subnet, own in found["acls"].items() if own == acl], entries)

    def look(self) -> Look:
        """One connect of our own; broken means that it hangs."""
        return _look(self.host, self.port)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Give each subnet its own ACL back. What its owners have changed in that since is in force then."""
        made = [entry for entries in prior["entries"].values() for entry in entries]
        self._swap.revert(prior["acls"], made=made)

    def inverse(self, prior: Mapping[str, Any]) -> list[Inverse]:
        """The same, as AWS would do it."""
        return self._swap.inverse(prior["acls"])

    def _found(self) -> dict[str, Any]:
        acls = self._swap.prior()
        entries = self._swap.entries(sorted(set(acls.values())))
        return {"acls": acls, "entries": {acl: [*self._denied(acl, own), *own] for acl, own in entries.items()}}

    def _denied(self, acl: str, entries: list[Entry]) -> list[Entry]:
        """The entries that deny, with the lowest numbers: an ACL's first one that fits counts."""
        first = min((one["RuleNumber"] for one in entries if one["Egress"]), default=len(self.cidrs) + 1)
        if first <= len(self.cidrs):
            raise FaultError(
                f"{KIND}: {acl} has an outbound entry {first}, and {len(self.cidrs)} of ours must come before it",
                hint="its owner can give that entry a greater number",
            )
        return [
            {
                "RuleNumber": number,
                "Egress": True,
                "RuleAction": "deny",
                "Protocol": _TCP,
                "Ipv6CidrBlock" if ":" in cidr else "CidrBlock": cidr,
                "PortRange": {"From": self.port, "To": self.port},
            }
            for number, cidr in enumerate((str(ipaddress.ip_network(one)) for one in self.cidrs), start=1)
        ]

    def _check_outside(self) -> None:
        for subnet in self._swap.described():
            inside = ipaddress.ip_network(subnet["CidrBlock"])
            for cidr in map(ipaddress.ip_network, self.cidrs):
                if cidr.version == inside.version and cidr.overlaps(inside):
                    raise FaultError(
                        f"{KIND}: {self.dependency} ({cidr}) is in {subnet['SubnetId']} ({inside}) itself, within which"
                        " no ACL is asked",
                        hint="name other subnets, or use its security group",
                    )

    @property
    def _swap(self) -> AclSwap:
        return AclSwap(
            subnets=self.subnets,
            tag=TAG,
            owner=self.owner,
            cut=self.dependency,
            configuration=self.configuration,
            kind=KIND,
        )


def _look(host: str, port: int) -> Look:
    outcome = connect(host, port)
    seen = {ACCEPTED: Seen.WHOLE, NO_ANSWER: Seen.BROKEN}.get(outcome, Seen.PARTIAL)
    return Look(seen=seen, evidence={"connect": f"{host}:{port}", "outcome": outcome})


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyCut | DependencyCutByAcl:
    """The fault from the data in a plan or a ledger."""
    if "subnets" in target:
        return DependencyCutByAcl(configuration=configuration, **target)
    return DependencyCut(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
