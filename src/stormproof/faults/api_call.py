"""Which calls to AWS a fault makes, as data: what `plan --iam-policy` is written from.

A fault that calls AWS has an attribute `api_calls`; a test holds it against the calls seen on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

Purpose = Literal["read", "inject", "undo", "tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One operation, as botocore names it, and what it may be made on."""

    service: str  # botocore's name: "elbv2"
    operation: str  # "DescribeTargetHealth"
    purpose: Purpose
    resources: tuple[str, ...] = ("*",)  # ARNs
    condition: Mapping[str, Mapping[str, Any]] | None = None  # of IAM, where resources cannot be narrow
    needs: tuple[str, ...] = ()  # IAM actions on the first of `resources`, while it is made: "ec2:CreateTags"


@runtime_checkable
class CallsAws(Protocol):
    """What a fault says in addition when it calls AWS."""

    @property
    def api_calls(self) -> Sequence[ApiCall]:
        """Every operation that any of its methods may call."""
        ...


def reads(*operations: str) -> tuple[ApiCall, ...]:
    """Reads of `service:Operation`, on everything: describing is not narrowed by most of AWS."""
    return tuple(
        ApiCall(service=service, operation=operation, purpose="read")
        for service, operation in (one.split(":") for one in operations)
    )


def arn(configuration: Mapping[str, Any], service: str, resource: str, *, region: str | None = None) -> str:
    """An ARN in the plan's account and region."""
    partition = configuration.get("aws_partition") or "aws"
    where = configuration["aws_region"] if region is None else region
    return f"arn:{partition}:{service}:{where}:{configuration['aws_account']}:{resource}"
