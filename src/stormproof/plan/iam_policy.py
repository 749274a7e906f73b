"""The calls that a plan makes → the least IAM policy that allows them; pure.

Reads are allowed on everything in the region, since most of AWS cannot narrow them. What changes something is allowed
on the plan's own resources, or by tag where they have no name yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from stormproof.errors import InputError
from stormproof.faults import catalogue
from stormproof.faults.api_call import ApiCall, CallsAws, reads

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.guardrails import Guardrails
    from stormproof.model.plan import ResolvedFault

# botocore's name of a service → IAM's prefix, where they differ.
_PREFIX = {"elbv2": "elasticloadbalancing"}
# botocore's operation → IAM's action, where they differ.
_ACTION = {("s3", "ListObjectsV2"): "s3:ListBucket"}
# Whoever calls may always ask who it is: no policy needed, and none would help.
_FREE = {("sts", "GetCallerIdentity")}
# Global services know no region: a condition on one would deny them.
_GLOBAL = {"iam"}


def calls_of(
    resolved: tuple[ResolvedFault, ...], guardrails: Guardrails, *, discovery: tuple[ApiCall, ...]
) -> tuple[ApiCall, ...]:
    """Every call that a run of *resolved* makes: to find things, to check the guardrails, and by each fault.

    Raises `InputError` for a fault that does not say which calls it makes.
    """
    calls = list(discovery)
    if guardrails.tags:
        calls += reads("ec2:DescribeTags")
    for fault in (atom for one in resolved for atom in one.atoms):
        bound = catalogue.bind(fault.kind, fault.target, fault.configuration)
        if not isinstance(bound, CallsAws):
            expected = "a fault that says which calls it makes"
            raise InputError(where=fault.fault_id, what="--iam-policy", expected=expected, got=fault.kind)
        calls += bound.api_calls
    return tuple({repr(call): call for call in calls}.values())  # each once, in order


def action_of(call: ApiCall) -> str:
    """IAM's name: `elasticloadbalancing:DescribeTargetHealth`."""
    named = f"{_PREFIX.get(call.service, call.service)}:{call.operation}"
    return _ACTION.get((call.service, call.operation), named)


def policy_of(calls: Iterable[ApiCall], environment: Environment) -> dict[str, Any]:
    """The policy document; statements and actions in a stable order."""
    needed = [call for call in calls if (call.service, call.operation) not in _FREE]
    region = {"StringEquals": {"aws:RequestedRegion": environment.aws.region}}
    statements = []
    for sid, chosen, condition in (
        ("Read", [call for call in needed if call.purpose == "read" and call.service not in _GLOBAL], region),
        ("ReadGlobal", [call for call in needed if call.purpose == "read" and call.service in _GLOBAL], None),
    ):
        if chosen:
            actions = sorted({action_of(call) for call in chosen})
            statements.append(_statement(sid, actions, ["*"], condition))
    grouped: dict[tuple[tuple[str, ...], str], set[str]] = {}
    for call in needed:
        if call.purpose != "read":
            key = (tuple(sorted(call.resources)), json.dumps(call.condition, sort_keys=True))
            grouped.setdefault(key, set()).add(action_of(call))
            if call.needs:  # only while making it: `ec2:CreateAction` is the call that tags what it makes
                made_by = json.dumps({"StringEquals": {"ec2:CreateAction": call.operation}})
                grouped.setdefault((call.resources[:1], made_by), set()).update(call.needs)
    for number, ((resources, only_if), actions_of) in enumerate(sorted(grouped.items()), start=1):
        statements.append(_statement(f"Change{number}", sorted(actions_of), list(resources), json.loads(only_if)))
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(
    sid: str, actions: list[str], resources: list[str], condition: Mapping[str, Any] | None
) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": dict(condition)} if condition else statement
