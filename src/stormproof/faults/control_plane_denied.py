"""A role's calls to AWS are denied: whoever deploys, scales or heals with it can do nothing meanwhile.

An inline policy on the role denies the actions that the spec names, until a time that stands in the policy itself: IAM
ends it even if nobody takes it away. What the role's instances already do goes on; what they must ask AWS for does not.

The canary takes the role and makes one call that reads (`ec2:DescribeAccountAttributes`), which is denied as well. So
the role must trust whoever runs experiments, and be allowed that call.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, reads
from stormproof.faults.binding import activities, resolved
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault
from stormproof.spec.quantity import Duration

__all__ = ["confirm", "inject", "undo"]

KIND = "control-plane-denied"
SUMMARY = "A role's calls to AWS are denied, until a time that IAM itself keeps."
CONFIRMED_BY = "a call of our own with the role is refused as unauthorised; no effect on the workload is asked for"
UNDONE_BY = "the inline policy is deleted; the same call is granted"
ENVIRONMENTS = ("aws",)
EXAMPLE: dict[str, Any] = {"actions": ["ec2:RunInstances", "autoscaling:*"]}

POLICY = "stormproof-control-plane-denied"
CANARY_ACTION = "ec2:DescribeAccountAttributes"
EXPIRES_S, EXPIRES_S_MIN, EXPIRES_S_MAX = 900.0, 60.0, 12 * 3600.0
_REFUSED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
_SESSION_KEPT_S = 1800  # a role's session lasts an hour

Action = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9-]{2,40}:[A-Za-z*]{1,80}$")]


class Arguments(BaseModel):
    """What the spec says of a `control-plane-denied`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    actions: list[Action] = Field(description="IAM actions, `*` for all of a service", min_length=1, max_length=20)
    role: str | None = Field(
        default=None, description="the name of one of the environment's `deniable_roles`; the only one unless said"
    )
    expires: Duration = Field(
        default=EXPIRES_S, description="when IAM ends it by itself, from the act", ge=EXPIRES_S_MIN, le=EXPIRES_S_MAX
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to a role; `InputError` for one that the environment has not, and for our own."""
    roles = {arn.rpartition("/")[2]: arn for arn in (environment.cloud.deniable_roles if environment.cloud else ())}
    name = arguments.role or (next(iter(roles)) if len(roles) == 1 else "")
    if name not in roles or roles[name] == environment.aws.role_arn:
        raise InputError(
            where=where,
            what=f"faults: {KIND}.role",
            expected=f"one of {environment.name!r}'s deniable_roles, and not our own: {', '.join(roles) or 'none'}",
            got=repr(arguments.role) if arguments.role else "none",
        )
    target = {
        "role_arn": roles[name],
        "actions": sorted({*arguments.actions, CANARY_ACTION}),
        "expires_s": arguments.expires,
    }
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=environment.aws.configuration,
        targets=(roles[name],),
        undo="delete the inline policy and see a call granted",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlaneDenied:
    """A role, bound."""

    role_arn: str
    actions: list[str]
    expires_s: float
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 1.0  # each look is a call to AWS
    felt_within_s: ClassVar[float] = 60.0  # IAM tells its policies around
    gone_within_s: ClassVar[float] = 120.0

    @property
    def what(self) -> str:
        """In words."""
        return f"deny {self._role} {', '.join(self.actions)}, for {self.expires_s:g} s at most"

    @property
    def effect(self) -> dict[str, Any]:
        """None that must show: a workload that asks AWS for nothing is what is hoped for."""
        return {}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """IAM's on this role, and taking it; the canary's call is the role's own."""
        own = (self.role_arn,)
        return (
            *reads("sts:GetCallerIdentity", "iam:GetRolePolicy"),
            ApiCall(service="sts", operation="AssumeRole", purpose="inject", resources=own),
            ApiCall(service="iam", operation="PutRolePolicy", purpose="inject", resources=own),
            ApiCall(service="iam", operation="DeleteRolePolicy", purpose="undo", resources=own),
        )

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """That there is no policy of this name; one that is there is an error, whosever it is."""
        if (found := self._policy()) is not None:
            raise FaultError(
                f"{KIND}: {self._role} has a policy {POLICY} already: {json.dumps(found)[:200]}",
                hint="stormproof undo --list",
            )
        return {"policy": None}

    def act(self) -> None:
        """Put the policy, with its end in it."""
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.expires_s)
        self._iam().put_role_policy(
            RoleName=self._role,
            PolicyName=POLICY,
            PolicyDocument=json.dumps(self._document(f"{ends:%Y-%m-%dT%H:%M:%SZ}")),
        )

    def look(self) -> Look:
        """One call with the role: refused, granted, or another answer, which is neither."""
        answer = self._ask()
        seen = Seen.BROKEN if answer in _REFUSED else Seen.PARTIAL if answer else Seen.WHOLE
        return Look(seen=seen, evidence={"asked": CANARY_ACTION, "as": self._role, "answer": answer or "granted"})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Delete the policy; `FaultError` where it says something else by now."""
        found = self._policy()
        if found is None or found == prior["policy"]:
            return
        if _without_end(found) != _without_end(self._document("")):
            raise FaultError(
                f"{KIND}: the policy {POLICY} of {self._role} is not as we made it: {json.dumps(found)[:200]};"
                " somebody else changed it since; left alone"
            )
        self._iam().delete_role_policy(RoleName=self._role, PolicyName=POLICY)

    @property
    def _role(self) -> str:
        return self.role_arn.rpartition("/")[2]

    def _document(self, ends: str) -> dict[str, Any]:
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Stormproof",
                    "Effect": "Deny",
                    "Action": list(self.actions),
                    "Resource": "*",
                    "Condition": {"DateLessThan": {"aws:CurrentTime": ends}},
                }
            ],
        }

    def _policy(self) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            found = self._iam().get_role_policy(RoleName=self._role, PolicyName=POLICY)["PolicyDocument"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchEntity":
                return None
            raise
        document: dict[str, Any] = found
        return document

    def _ask(self) -> str:
        """The error code; "" where the call was granted."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client = _client_as(
                self.role_arn, json.dumps(dict(self.configuration)), int(time.time() // _SESSION_KEPT_S)
            )
            client.describe_account_attributes()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        except BotoCoreError as error:
            return type(error).__name__
        return ""

    def _iam(self) -> Any:
        return aws.client("iam", self.configuration)


def _without_end(document: Mapping[str, Any]) -> dict[str, Any]:
    """*document* but for when it ends, which differs from act to act."""
    statements = [{key: value for key, value in one.items() if key != "Condition"} for one in document["Statement"]]
    return {**document, "Statement": statements}


@functools.lru_cache(maxsize=2)
def _client_as(role_arn: str, configuration: str, _: int) -> Any:
    """EC2 as *role_arn*; kept for the next look, because to take a role takes longer than a look may."""
    where = json.loads(configuration)
    sts: Any = aws.client("sts", where)
    session = sts.assume_role(RoleArn=role_arn, RoleSessionName="stormproof-canary")["Credentials"]
    return aws.client("ec2", where, attempts=1, credentials=session)


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> ControlPlaneDenied:
    """The fault from the data in a plan or a ledger."""
    return ControlPlaneDenied(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
