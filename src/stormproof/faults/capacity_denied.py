"""No capacity: whoever launches instances for the workload is told that there are none.

An FIS experiment refuses the launches of roles (``aws:ec2:api-insufficient-instance-capacity-error``), those of whoever
replaces the workload's lost instances, and in AWS of its Auto Scaling groups as well
(``aws:ec2:asg-insufficient-instance-capacity-error``, for groups with launch templates); everybody else's go on, ours
among them: so another fault's undo can start what it has stopped. FIS ends it by itself after `limits.duration`,
whatever becomes of us. In the lab, whose moto injects nothing, the control plane makes it true
(docs/adr/0015-capacity.md).

By itself it is felt by nobody who launches nothing; so an experiment needs something that is lost as well, in a
`composite`. In the lab it counts as met by the workload only when the workload's own healer asked for an instance while
it was in force, and was refused each time. In AWS nothing of ours sees who asks, so no effect is asked for.

The canary starts an instance that runs already, with each of the roles: a call that changes nothing when it is granted.
In AWS the roles are `fis.launch_roles` of the environment's file. They must trust whoever runs experiments, and be
allowed `ec2:StartInstances`.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from stormproof.errors import InputError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, reads
from stormproof.faults.binding import activities, resolved
from stormproof.faults.fis_experiment import FisExperiment, unwritten
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Environment, Fleet
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "capacity-denied"
SUMMARY = "Instances cannot be launched: EC2 answers that it has no capacity."
CONFIRMED_BY = (
    "a launch of our own with each role that is denied, of an instance that runs already, is refused; in the lab the "
    "healer's own launches are, each of them, in the arrivals of EC2"
)
UNDONE_BY = "the FIS experiment, known by its tag, is stopped, and its template deleted; the same launch is granted"
ENVIRONMENTS = ("local", "aws")
EXAMPLE: dict[str, Any] = {}

ACTION = "aws:ec2:api-insufficient-instance-capacity-error"
GROUP_ACTION = "aws:ec2:asg-insufficient-instance-capacity-error"
LAB_DURATION = "PT15M"  # where no experiment says for how long: longer than any run by default may last
_REFUSED = "InsufficientInstanceCapacity"
_SESSION_KEPT_S = 1800  # a role's session lasts an hour


class Arguments(BaseModel):
    """What the spec says of a `capacity-denied`: nothing. It is for those that the environment names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def resolve(_: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind it to whoever launches for the workload; `InputError` where nobody does, or nothing runs.

    In AWS `request` is written by the plan, which knows for how long.
    """
    ids = [instance.id for zone in environment.zones.values() for instance in zone]
    fleet, cloud = environment.fleet, environment.cloud
    roles = [fleet.role_arn] if fleet else list(cloud.fis.launch_roles) if cloud and cloud.fis else []
    if environment.aws.role_arn in roles:
        expected = "fis.launch_roles without our own: the undo of what is lost must be able to launch"
        raise InputError(where=where, what=f"faults: {KIND}", expected=expected, got=str(environment.aws.role_arn))
    if not roles or not ids:
        expected = f"that {environment.name!r} names who replaces the workload's instances"
        hint = "fis.launch_roles in its file: the roles that launch, which must trust whoever runs experiments"
        raise InputError(where=where, what=f"faults: {KIND}", expected=expected, got="nobody", hint=hint)
    target: dict[str, Any] = {"role_arns": roles, "instance_ids": ids}
    if fleet is not None:
        zones = sorted({f"{environment.aws.region}{zone}" for zone in environment.zones})
        target |= {"client": fleet.client, "dependency": fleet.dependency, "request": _request(fleet, zones)}
    elif cloud is not None and cloud.fis is not None:
        target["request"] = unwritten(cloud.fis.role_arn)
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=environment.aws.configuration,
        targets=roles,  # no instance is touched
        undo="stop the FIS experiment and see a launch granted",
    )


def denied_roles(role_arns: Sequence[str]) -> dict[str, Any]:
    """FIS's target for the roles, which it wants by their ARNs."""
    return {"resourceType": "aws:iam:role", "resourceArns": list(role_arns), "selectionMode": "ALL"}


def denial(action: str, az_names: Sequence[str], *, of: Mapping[str, str], duration: str, what: str) -> dict[str, Any]:
    """FIS's *action* by which launches into *az_names* are refused; *of* is its targets, *what* its description."""
    parameters = {"availabilityZoneIdentifiers": ",".join(az_names), "duration": duration, "percentage": "100"}
    return {"actionId": action, "description": what, "parameters": parameters, "targets": dict(of)}


def _request(fleet: Fleet, az_names: Sequence[str]) -> dict[str, Any]:
    """What the lab's FIS is asked; the plan says for how long."""
    roles = {"Roles": "launch-roles"}
    return {
        "description": "stormproof: launches of one role are refused",
        "roleArn": fleet.fis_role_arn,
        "stopConditions": [{"source": "none"}],
        "targets": {"launch-roles": denied_roles([fleet.role_arn])},
        "actions": {"deny": denial(ACTION, az_names, of=roles, duration=LAB_DURATION, what="no capacity")},
        "tags": {},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityDenied:
    """Roles and groups whose launches are refused, bound."""

    role_arns: list[str]
    instance_ids: list[str]
    request: Mapping[str, Any]  # of CreateExperimentTemplate, without its token
    configuration: Mapping[str, Any]
    expected: Mapping[str, Sequence[str]] = field(default_factory=dict)  # target of the template → ARNs
    client: str = ""  # who asks, in the arrivals of `dependency`; "": nobody of ours sees them
    dependency: str = ""
    begun: list[str] = field(default_factory=list)

    gap_s: ClassVar[float] = 0.2
    look_writes: ClassVar[str] = "asks EC2 to start an instance that runs already"

    @property
    def what(self) -> str:
        """In words."""
        arns = [*self.role_arns, *(one for arns in self.expected.values() for one in arns)]
        return (
            f"through AWS FIS, refuse every launch by {', '.join(one.rpartition('/')[2] for one in arns)}: no capacity"
        )

    @property
    def effect(self) -> dict[str, Any]:
        """The healer asked, and was refused; nothing where nobody sees who asks."""
        if not self.client:
            return {}
        return {"kind": "calls-refused", "client": self.client, "dependency": self.dependency}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """FIS's, and taking the roles; the canary's call is the roles' own."""
        own = tuple(self.role_arns)
        return (
            *reads("sts:GetCallerIdentity", "ec2:DescribeInstances"),
            *self._experiment.api_calls,
            ApiCall(service="sts", operation="AssumeRole", purpose="inject", resources=own),
        )

    def identify(self) -> None:
        """The caller's account is the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The tag by which the undo will know our experiment; one of this kind that runs already is an error."""
        return self._experiment.prior()

    def act(self) -> None:
        """Preview it, hold what it resolves to against the plan, start it for good."""
        self._experiment.start()

    def ended(self) -> str | None:
        """Why FIS has ended it, if it has."""
        return self._experiment.ended()

    def look(self) -> Look:
        """Start an instance that runs, as each of the roles would."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            running = self._running()
        except (BotoCoreError, ClientError) as error:  # one look that is blind: neither felt nor gone, and looked again
            return Look(seen=Seen.PARTIAL, evidence={"blind": str(error)[:300]})
        if not running:
            return Look(seen=Seen.PARTIAL, evidence={"launch": "not tried: no instance runs"})
        answers = {role: self._launch(role, running[0]) for role in self.role_arns}
        seen = {{"": Seen.WHOLE, _REFUSED: Seen.BROKEN}.get(answer, Seen.PARTIAL) for answer in answers.values()}
        said = {role.rpartition("/")[2]: answer or "granted" for role, answer in answers.items()}
        return Look(
            seen=seen.pop() if len(seen) == 1 else Seen.PARTIAL, evidence={"started": running[0], "launch": said}
        )

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Stop what has our tag, and delete its template; nobody else's is touched."""
        self._experiment.stop(prior)

    @property
    def _experiment(self) -> FisExperiment:
        return FisExperiment(
            kind=KIND,
            request=self.request,
            expected=self.expected,
            configuration=self.configuration,
            begun=self.begun,
        )

    @property
    def _identity(self) -> str:
        """Where, and as whom to take the roles: the same for every run."""
        return json.dumps({key: value for key, value in self.configuration.items() if key.startswith("aws_")})

    def _running(self) -> list[str]:
        client: Any = _client_as("", self._identity, 0)
        pages = client.get_paginator("describe_instances").paginate(InstanceIds=list(self.instance_ids))
        return [
            instance["InstanceId"]
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
            if instance["State"]["Name"] == "running"
        ]

    def _launch(self, role_arn: str, instance: str) -> str:
        """The error code of a launch of *instance* by a role; "" when it is granted."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            now = int(time.time() // _SESSION_KEPT_S)
            _client_as(role_arn, self._identity, now).start_instances(InstanceIds=[instance])
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        except BotoCoreError as error:
            return type(error).__name__
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityDeniedInAws(CapacityDenied):
    """The same where each look is several calls to AWS, and FIS begins in its own time."""

    gap_s: ClassVar[float] = 2.0
    felt_within_s: ClassVar[float] = 120.0
    gone_within_s: ClassVar[float] = 120.0


@functools.lru_cache(maxsize=8)
def _client_as(role_arn: str, configuration: str, _: int) -> Any:
    """EC2 as *role_arn*, "" for ourselves; kept for the next look: to make one takes longer than a look may."""
    where = json.loads(configuration)
    if not role_arn:
        return aws.client("ec2", where)
    sts: Any = aws.client("sts", where)
    session = sts.assume_role(RoleArn=role_arn, RoleSessionName="stormproof-canary")["Credentials"]
    return aws.client("ec2", where, attempts=1, credentials=session)


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> CapacityDenied:
    """The fault from the data in a plan or a ledger."""
    kind = CapacityDenied if target.get("client") else CapacityDeniedInAws
    return kind(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
