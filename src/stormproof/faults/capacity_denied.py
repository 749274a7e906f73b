"""No capacity: whoever launches instances for the workload is told that there are none.

An FIS experiment (``aws:ec2:api-insufficient-instance-capacity-error``) refuses the launches of one role, that of
whoever replaces the workload's lost instances; everybody else's go on, ours among them: so another fault's undo can
start what it has stopped. FIS ends it by itself after `FIS_DURATION`, whatever becomes of us. In the lab, whose moto
injects nothing, the control plane makes it true (docs/adr/0015-capacity.md).

By itself it is felt by nobody who launches nothing. It counts as met by the workload only when the workload's own
healer asked for an instance while it was in force, and was refused each time; so an experiment needs something that is
lost as well, in a `composite`.

The canary starts an instance that runs already, with the healer's role: a call that changes nothing when it is
granted.
"""

from __future__ import annotations

import functools
import hashlib
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws
from stormproof.faults.binding import activities, resolved
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "capacity-denied"
SUMMARY = "Instances cannot be launched: EC2 answers that it has no capacity."
CONFIRMED_BY = (
    "a launch of our own with the role of the workload's healer, of an instance that runs already, is refused; "
    "the healer's own launches are, each of them, in the arrivals of EC2"
)
UNDONE_BY = "the FIS experiment, known by its tag, is stopped, and its template deleted; the same launch is granted"
ENVIRONMENTS = ("local",)
EXAMPLE: dict[str, Any] = {}

ACTION = "aws:ec2:api-insufficient-instance-capacity-error"
FIS_DURATION = "PT15M"  # longer than any run by default may last
STOPPED_WITHIN_S = 10.0
_TAG = "stormproof-capacity-denied"
_OVER = frozenset({"completed", "stopped", "failed", "cancelled"})
_REFUSED = "InsufficientInstanceCapacity"


class Arguments(BaseModel):
    """What the spec says of a `capacity-denied`: nothing. It is for the healer that the environment names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def resolve(_: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind it to the environment's fleet; `InputError` where nobody launches anything."""
    fleet = environment.fleet
    ids = [instance.id for zone in environment.zones.values() for instance in zone]
    if fleet is None or not ids:
        expected = f"that {environment.name!r} names who replaces the workload's instances"
        raise InputError(where=where, what=f"faults: {KIND}", expected=expected, got="nobody")
    target = {
        "role_arn": fleet.role_arn,
        "fis_role_arn": fleet.fis_role_arn,
        "client": fleet.client,
        "dependency": fleet.dependency,
        "instance_ids": ids,
    }
    configuration = environment.aws.configuration
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=configuration,
        targets=(fleet.role_arn,),  # no instance is touched
        undo="stop the FIS experiment and see a launch granted",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityDenied:
    """A role whose launches are refused, bound."""

    role_arn: str
    fis_role_arn: str
    client: str
    dependency: str
    instance_ids: list[str]
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.2
    look_writes: ClassVar[str] = "asks EC2 to start an instance that runs already"

    @property
    def what(self) -> str:
        """In words."""
        return f"refuse every launch by {self.role_arn.rpartition('/')[2]}: no capacity"

    @property
    def effect(self) -> dict[str, Any]:
        """The healer asked, and was refused."""
        return {"kind": "calls-refused", "client": self.client, "dependency": self.dependency}

    def identify(self) -> None:
        """The caller's account is the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The tag by which the undo will know our experiment; one of this kind that runs already is an error."""
        running = [row["id"] for row in self._experiments() if _TAG in row.get("tags", {})]
        if running:
            raise FaultError(f"{KIND}: is in force already: FIS experiments {running}", hint="stormproof undo --list")
        return {"tag": {_TAG: self._token}}

    def act(self) -> None:
        """Start an FIS experiment with our tag."""
        fis, tags = self._fis(), {_TAG: self._token}
        template = fis.create_experiment_template(
            clientToken=uuid.uuid4().hex,
            description="stormproof: launches of one role are refused",
            roleArn=self.fis_role_arn,
            stopConditions=[{"source": "none"}],
            targets={
                "launchers": {
                    "resourceType": "aws:iam:role",
                    "resourceArns": [self.role_arn],
                    "selectionMode": "ALL",
                }
            },
            actions={
                "deny": {
                    "actionId": ACTION,
                    "parameters": {
                        "duration": FIS_DURATION,
                        "percentage": "100",
                        "availabilityZoneIdentifiers": ",".join(self._zones()),
                    },
                    "targets": {"Roles": "launchers"},
                }
            },
            tags=tags,
        )["experimentTemplate"]["id"]
        fis.start_experiment(clientToken=uuid.uuid4().hex, experimentTemplateId=template, tags=tags)

    def look(self) -> Look:
        """Start an instance that runs, as the healer would."""
        running = [name for name, (state, _) in self._instances().items() if state == "running"]
        if not running:
            return Look(seen=Seen.PARTIAL, evidence={"launch": "not tried: no instance runs"})
        answer = self._launch(running[0])
        seen = {"": Seen.WHOLE, _REFUSED: Seen.BROKEN}.get(answer, Seen.PARTIAL)
        return Look(seen=seen, evidence={"started": running[0], "launch": answer or "granted"})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Stop what has our tag, and delete its templates; nobody else's is touched."""
        fis, ours = self._fis(), dict(prior["tag"])
        mine = [row["id"] for row in self._experiments() if ours.items() <= row.get("tags", {}).items()]
        for experiment in mine:
            fis.stop_experiment(id=experiment)
        give_up_at = time.monotonic() + STOPPED_WITHIN_S
        while left := [one for one in mine if fis.get_experiment(id=one)["experiment"]["state"]["status"] not in _OVER]:
            if time.monotonic() > give_up_at:
                raise FaultError(f"{KIND}: FIS experiments {left} have not stopped within {STOPPED_WITHIN_S:g} s")
            time.sleep(0.1)
        for page in fis.get_paginator("list_experiment_templates").paginate():
            for row in page["experimentTemplates"]:
                if ours.items() <= row.get("tags", {}).items():
                    fis.delete_experiment_template(id=row["id"])

    @property
    def _token(self) -> str:
        """Of the ledger, which is what an undo in another process has: nobody else's experiments carry it."""
        ledger = Path(str(self.configuration.get("ledger_path", ""))).absolute()
        return hashlib.sha256(str(ledger).encode()).hexdigest()[:32]

    def _fis(self) -> Any:
        return aws.client("fis", self.configuration)

    def _experiments(self) -> list[dict[str, Any]]:
        """Those that are not over."""
        pages = self._fis().get_paginator("list_experiments").paginate()
        rows = [row for page in pages for row in page["experiments"]]
        return [row for row in rows if row["state"]["status"] not in _OVER]

    def _instances(self) -> dict[str, tuple[str, str]]:
        """State and Availability Zone by instance."""
        pages = self._clients()[0].get_paginator("describe_instances")
        return {
            instance["InstanceId"]: (instance["State"]["Name"], instance["Placement"]["AvailabilityZone"])
            for page in pages.paginate(InstanceIds=list(self.instance_ids))
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        }

    def _zones(self) -> list[str]:
        return sorted({zone for _, zone in self._instances().values()})

    def _clients(self) -> tuple[Any, Any]:
        where = self.configuration
        return _clients_of(str(where.get("aws_endpoint_url") or ""), str(where["aws_region"]), self.role_arn)

    def _launch(self, instance: str) -> str:
        """The error code of a launch of *instance* by the healer's role; "" when it is granted."""
        from botocore.exceptions import ClientError

        try:
            self._clients()[1].start_instances(InstanceIds=[instance])
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""


@functools.lru_cache(maxsize=2)
def _clients_of(endpoint_url: str, region: str, role_arn: str) -> tuple[Any, Any]:
    """EC2 as ourselves and as the role. Kept for the next look: to make them takes longer than a look may."""
    configuration = {"aws_endpoint_url": endpoint_url, "aws_region": region}
    sts: Any = aws.client("sts", configuration)
    session = sts.assume_role(RoleArn=role_arn, RoleSessionName="stormproof-canary")["Credentials"]
    return aws.client("ec2", configuration), aws.client("ec2", configuration, attempts=1, credentials=session)


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> CapacityDenied:
    """The fault from the data in a plan or a ledger."""
    return CapacityDenied(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
