"""The dead man's switch: schedules in AWS that bring back what we broke, should nobody of ours be left to do it.

EventBridge Scheduler calls the inverse once, some time after everything of ours should be over. What is known before
the act is scheduled before it; what only the act makes known (the association of a swapped ACL) right after. The undo
takes the schedules away. An inverse that fires later than an undo finds nothing to do.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from stormproof.errors import FaultError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, arn, reads
from stormproof.faults.mirror import run_of

GROUP = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverse:
    """One call that brings something back, as EventBridge Scheduler makes it."""

    service: str  # "ec2"
    operation: str  # "startInstances": the API's name, its first letter small
    request: Mapping[str, Any]
    later_s: float = 0.0  # after the others: what would do harm before they are back


@runtime_checkable
class HasInverse(Protocol):
    """What a fault says in addition when calls to AWS, and nothing else, bring it back."""

    def inverse(self, prior: Mapping[str, Any]) -> Sequence[Inverse]:
        """The calls that bring *prior* back, as far as they are known now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMan:
    """The switch of one fault of one run."""

    fault_id: str
    role_arn: str  # that Scheduler takes
    after_s: float
    configuration: Mapping[str, Any]

    @classmethod
    def of(cls, fault_id: str, configuration: Mapping[str, Any]) -> DeadMan | None:
        """What a fault's *configuration* asks for; None where it asks for none."""
        role = configuration.get("dead_man_role")
        if not role:
            return None
        after_s = float(configuration["dead_man_after_s"])
        return cls(fault_id=fault_id, role_arn=str(role), after_s=after_s, configuration=configuration)

    def arm(self, inverses: Sequence[Inverse]) -> None:
        """A schedule for each of *inverses* that has none yet. Raises `FaultError`."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = self._client()
        now = dt.datetime.now(dt.UTC)
        for inverse in inverses:
            at = now + dt.timedelta(seconds=self.after_s + inverse.later_s)
            try:
                client.create_schedule(Name=self._name(inverse), GroupName=GROUP, **self._schedule(inverse, at))
            except client.exceptions.ConflictException:
                continue  # armed before the act already
            except (BotoCoreError, ClientError) as error:
                raise FaultError(
                    f"{self.fault_id}: the dead man's switch could not be set ({inverse.operation}: {error})",
                    hint="stormproof plan SPEC --env ENV --iam-policy prints what is needed",
                ) from error

    def disarm(self) -> str:
        """Take the schedules away; why that could not be done, else ""."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = self._client()
        try:
            pages = client.get_paginator("list_schedules").paginate(GroupName=GROUP, NamePrefix=self._prefix)
            for page in pages:
                for row in page["Schedules"]:
                    client.delete_schedule(Name=row["Name"], GroupName=GROUP)
        except (BotoCoreError, ClientError) as error:
            return f"schedules {self._prefix}* could not be taken away, and will find nothing to do: {error}"
        return ""

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """On our own schedules only, and on the role that they take."""
        ours = (arn(self.configuration, "scheduler", f"schedule/{GROUP}/stormproof-*"),)
        return (
            *reads("scheduler:ListSchedules"),
            ApiCall(service="scheduler", operation="CreateSchedule", purpose="inject", resources=ours),
            ApiCall(service="iam", operation="PassRole", purpose="inject", resources=(self.role_arn,)),
            ApiCall(service="scheduler", operation="DeleteSchedule", purpose="undo", resources=ours),
        )

    def _schedule(self, inverse: Inverse, at: dt.datetime) -> dict[str, Any]:
        partition = self.configuration.get("aws_partition") or "aws"
        return {
            "Description": f"stormproof: brings back {self.fault_id} of {run_of(self.configuration)}"[:512],
            "ScheduleExpression": f"at({at:%Y-%m-%dT%H:%M:%S})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {
                "Arn": f"arn:{partition}:scheduler:::aws-sdk:{inverse.service}:{inverse.operation}",
                "RoleArn": self.role_arn,
                "Input": json.dumps(inverse.request, sort_keys=True),
            },
        }

    @property
    def _prefix(self) -> str:
        whose = f"{run_of(self.configuration)} {self.fault_id}"
        return f"stormproof-{hashlib.sha256(whose.encode()).hexdigest()[:20]}-"

    def _name(self, inverse: Inverse) -> str:
        what = f"{inverse.service} {inverse.operation} {json.dumps(inverse.request, sort_keys=True)}"
        return self._prefix + hashlib.sha256(what.encode()).hexdigest()[:12]

    def _client(self) -> Any:
        return aws.client("scheduler", self.configuration)
