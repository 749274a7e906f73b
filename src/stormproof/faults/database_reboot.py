"""An RDS instance restarts: it accepts nobody for a while, and comes back by itself.

With ``failover: true`` a Multi-AZ instance comes back in its other zone, under the same address: the act waits until
RDS calls that zone the instance's. The undo waits until the instance is available, and then, where it has failed over,
reboots it with a failover once more, so that it is in its former zone again. That is a second outage, after the fault.
An instance that is in a third zone by then is left where it is, and named. RDS says late which zone an instance is in:
an undo right after an act that was cut off may take its word too early. Members of a cluster fail over by
`database-failover`.

The canary connects to the dependency's address from where Stormproof runs. The fault is over, as far as anybody can
see, long before its phase is: what the phase shows is how the workload takes its connections up again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, arn, reads
from stormproof.faults.binding import activities, resolved
from stormproof.faults.connecting import connect, expect_accepted
from stormproof.faults.outage_part import wait_until
from stormproof.faults.protocol import Look, Seen
from stormproof.faults.proxied import ProxiedArguments, other_ways
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "database-reboot"
SUMMARY = "A database instance restarts, and may come back in its other zone."
CONFIRMED_BY = "a connect of our own to its address is not accepted; no effect on the workload is asked for"
UNDONE_BY = (
    "RDS calls it available; where it has failed over it is failed back, unless it is in a third zone by then; a"
    " connect of our own is accepted"
)
ENVIRONMENTS = ("aws",)
EXAMPLE: dict[str, Any] = {"dependency": "orders"}
MODE_EXAMPLES: dict[str, dict[str, Any]] = {"failover": {"dependency": "orders", "failover": True}}

AVAILABLE_WITHIN_S = 600.0  # a restart replays what was not written out
FAILED_OVER_WITHIN_S = 600.0  # RDS says late which zone it is in


class Arguments(ProxiedArguments):
    """What the spec says of a `database-reboot`."""

    failover: bool = Field(default=False, description="come back in the other zone; Multi-AZ instances only")


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to an instance; `InputError` for a dependency that is none."""
    known = environment.cloud.dependencies if environment.cloud else {}
    one = known.get(arguments.dependency)
    if one is None or one.database_instance is None:
        names = [name for name, other in known.items() if other.database_instance]
        raise InputError(
            where=where,
            what=f"faults: {KIND}.dependency",
            expected=f"a dependency of {environment.name!r} with a `database_instance`: {', '.join(names) or 'none'}",
            got=repr(arguments.dependency),
            hint=other_ways(environment, arguments.dependency),
        )
    host, _, port = str(one.address).rpartition(":")
    back = f", and fail {one.database_instance} back to its former zone" if arguments.failover else ""
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target={
            "instance": one.database_instance, "failover": arguments.failover, "host": host, "port": int(port),
        },
        configuration=environment.aws.configuration,
        targets=(one.database_instance,),
        undo=f"wait until it is available{back}",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseReboot:
    """An instance, bound."""

    instance: str
    failover: bool
    host: str
    port: int
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.2  # a restart may be over in seconds
    felt_within_s: ClassVar[float] = 120.0
    gone_within_s: ClassVar[float] = AVAILABLE_WITHIN_S

    @property
    def what(self) -> str:
        """In words."""
        return f"reboot {self.instance}{', with a failover to its other zone' if self.failover else ''}"

    @property
    def effect(self) -> dict[str, Any]:
        """None that must show: a workload that loses nothing is what is hoped for."""
        return {}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """RDS's, on this instance."""
        own = (arn(self.configuration, "rds", f"db:{self.instance}"),)
        return (
            *reads("sts:GetCallerIdentity", "rds:DescribeDBInstances"),
            ApiCall(service="rds", operation="RebootDBInstance", purpose="inject", resources=own),
            *(
                (ApiCall(service="rds", operation="RebootDBInstance", purpose="undo", resources=own),)
                if self.failover
                else ()
            ),
        )

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The zone that it is in and the one that it would come back in; it must be available, and accept us."""
        found = self._found()
        expect_accepted(self.host, self.port, kind=KIND)
        return found

    def _found(self) -> dict[str, Any]:
        found = self._instance()
        if found["DBInstanceStatus"] != "available":
            raise FaultError(
                f"{KIND}: expected {self.instance} to be available, got {found['DBInstanceStatus']}",
                hint="stormproof undo --list, or wait",
            )
        other = found.get("SecondaryAvailabilityZone", "") if found.get("MultiAZ") else ""
        if self.failover and not other:
            raise FaultError(
                f"{KIND}: expected {self.instance} to be Multi-AZ, with a second zone to come back in, got none",
                hint="that may be a finding of its own; leave `failover` out, or use database-failover for a cluster",
            )
        return {"zone": found["AvailabilityZone"], "heir": other if self.failover else found["AvailabilityZone"]}

    def act(self) -> None:
        """Reboot it, and with a failover wait until it is in its other zone."""
        found = self._found()
        self._reboot()
        if self.failover:
            self._arrive(found["heir"])

    def look(self) -> Look:
        """One connect of our own; broken means that it is not accepted."""
        outcome = connect(self.host, self.port)
        seen = Seen.WHOLE if outcome == "accepted" else Seen.BROKEN
        return Look(seen=seen, evidence={"connect": f"{self.host}:{self.port}", "outcome": outcome})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Wait until it is available, and fail back; `FaultError` for one that is in a third zone."""
        self._settle()
        zone = self._instance()["AvailabilityZone"]
        if zone not in (prior["zone"], prior["heir"]):
            raise FaultError(
                f"{KIND}: {self.instance} is in {zone}, which is neither the zone before ({prior['zone']}) nor the"
                f" other one ({prior['heir']}): somebody else changed it since; left alone"
            )
        if zone != prior["zone"]:
            self._reboot()
            self._arrive(prior["zone"])

    def _reboot(self) -> None:
        client: Any = aws.client("rds", self.configuration, attempts=1)  # asked twice, it restarts twice
        client.reboot_db_instance(DBInstanceIdentifier=self.instance, ForceFailover=self.failover)

    def _arrive(self, zone: str) -> None:
        wait_until(
            f"{self.instance} to be available in {zone}",
            lambda: (
                (found := self._instance())["AvailabilityZone"] == zone and found["DBInstanceStatus"] == "available"
            ),
            within_s=FAILED_OVER_WITHIN_S,
        )

    def _settle(self) -> None:
        wait_until(
            f"{self.instance} to be available",
            lambda: str(self._instance()["DBInstanceStatus"]) == "available",
            within_s=AVAILABLE_WITHIN_S,
        )

    def _instance(self) -> dict[str, Any]:
        client: Any = aws.client("rds", self.configuration)
        found: dict[str, Any] = client.describe_db_instances(DBInstanceIdentifier=self.instance)["DBInstances"][0]
        return found


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DatabaseReboot:
    """The fault from the data in a plan or a ledger."""
    return DatabaseReboot(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
