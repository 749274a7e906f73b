"""Connections to a dependency hang: the security group in front of it lets nobody in on its port any more.

The ingress rules that cover the port are taken away, and put back with their descriptions and tags. Packets are
dropped, so a connect hangs until its caller gives up. **Connections that are open go on**: AWS tracks them. What this
shows is how a workload connects, not how it reads.

The canary connects from where Stormproof runs, which the same rules must let in.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, arn, reads
from stormproof.faults.binding import activities, resolved
from stormproof.faults.protocol import Look, Seen
from stormproof.faults.proxied import ProxiedArguments
from stormproof.faults.security_rules import SecurityRule, rules_for, rules_of
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "dependency-cut"
SUMMARY = "A dependency cannot be connected to: its security group drops what comes."
CONFIRMED_BY = "a connect of our own to its address hangs; no effect on the workload is asked for"
UNDONE_BY = "the rules that were taken away are put back, each as it was; a connect of our own is accepted"
ENVIRONMENTS = ("aws",)
EXAMPLE: dict[str, Any] = {"dependency": "ledger"}

CONNECT_TIMEOUT_S = 1.0


class Arguments(ProxiedArguments):
    """What the spec says of a `dependency-cut`."""


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to a security group; `InputError` for a dependency that has none."""
    known = environment.cloud.dependencies if environment.cloud else {}
    one = known.get(arguments.dependency)
    if one is None or one.security_group is None:
        names = [name for name, other in known.items() if other.security_group]
        raise InputError(
            where=where,
            what=f"faults: {KIND}.dependency",
            expected=f"a dependency of {environment.name!r} with a `security_group`: {', '.join(names) or 'none'}",
            got=repr(arguments.dependency),
        )
    host, _, port = str(one.address).rpartition(":")
    target = {"dependency": one.name, "group": one.security_group, "host": host, "port": int(port)}
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=environment.aws.configuration,
        targets=(one.security_group,),
        undo="put the rules back and see a connect accepted",
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
        return (
            *reads("sts:GetCallerIdentity", "ec2:DescribeSecurityGroupRules"),
            ApiCall(service="ec2", operation="RevokeSecurityGroupIngress", purpose="inject", resources=own),
            ApiCall(
                service="ec2", operation="AuthorizeSecurityGroupIngress", purpose="undo", resources=own,
                needs=("ec2:CreateTags",),
            ),
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
        return {"rules": [one.document() for one in rules]}

    def act(self) -> None:
        """Take them away in one call, by what they say: a rule's id does not survive being put back."""
        rules = [rule.permission(bare=True) for rule in self._rules()]
        self._ec2().revoke_security_group_ingress(GroupId=self.group, IpPermissions=rules)

    def look(self) -> Look:
        """One connect of our own; broken means that it hangs."""
        outcome = _connect(self.host, self.port)
        seen = {"accepted": Seen.WHOLE, "no answer": Seen.BROKEN}.get(outcome, Seen.PARTIAL)
        return Look(seen=seen, evidence={"connect": f"{self.host}:{self.port}", "outcome": outcome})

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

    def _rules(self) -> list[SecurityRule]:
        return rules_for(self.port, rules_of(self._ec2(), self.group))

    def _ec2(self) -> Any:
        return aws.client("ec2", self.configuration)


def _connect(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S).close()
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return str(error.strerror or error)
    return "accepted"


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyCut:
    """The fault from the data in a plan or a ledger."""
    return DependencyCut(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
