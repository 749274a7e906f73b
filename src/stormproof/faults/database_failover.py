"""The writer of an Aurora or Multi-AZ cluster is replaced by a member that is named, and comes back with the undo.

The act asks for a failover to that member and waits until it writes; the undo fails back to the former writer, and to
nobody when a third one writes by then. Connections are lost at both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from stormproof.errors import InputError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, reads
from stormproof.faults.aws_look import looked
from stormproof.faults.binding import activities, resolved
from stormproof.faults.outage_databases import OutageDatabases
from stormproof.faults.protocol import Look, Seen
from stormproof.model.cloud import Cluster
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "database-failover"
SUMMARY = "The writer of a database cluster fails over to another member."
CONFIRMED_BY = (
    "RDS names the other member as the writer; what the workload feels of it is for its claims to say: no effect is"
    " asked for"
)
UNDONE_BY = (
    "the former writer is failed back to, unless a third member writes by then; RDS names it as the writer again"
)
ENVIRONMENTS = ("aws",)
EXAMPLE: dict[str, Any] = {"cluster": "orders"}


class Arguments(BaseModel):
    """What the spec says of a `database-failover`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: str = Field(description="one of the environment's `database_clusters`", min_length=1)
    to: str | None = Field(
        default=None, description="the member that takes over; without it one in another zone than the writer's"
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to a cluster; `InputError` for one that the environment has not, or that has no such member."""
    clusters = {one.name: one for one in environment.cloud.clusters} if environment.cloud else {}
    cluster = clusters.get(arguments.cluster)
    if cluster is None:
        raise InputError(
            where=where,
            what=f"faults: {KIND}.cluster",
            expected=f"one of the database_clusters of {environment.name!r}: {', '.join(clusters) or 'none'}",
            got=repr(arguments.cluster),
        )
    target = {
        "cluster": cluster.name,
        "writer": cluster.writer,
        "heir": _heir(cluster, arguments.to, where=where),
    }
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=environment.aws.configuration,
        targets=(cluster.name,),
        undo=f"fail {cluster.name} back to {cluster.writer}",
    )


def _heir(cluster: Cluster, wanted: str | None, *, where: str) -> str:
    readers = [name for name in cluster.members if name != cluster.writer]
    if not readers or (wanted is not None and wanted not in readers):
        raise InputError(
            where=where,
            what=f"faults: {KIND}.to",
            expected=f"a member of {cluster.name} that does not write: {', '.join(readers) or 'none'}",
            got=repr(wanted) if wanted else "none",
        )
    here = cluster.members.get(cluster.writer)
    return wanted or min(readers, key=lambda name: (cluster.members[name] == here, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFailover:
    """A cluster, bound."""

    cluster: str
    writer: str
    heir: str
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 2.0  # each look is a call to AWS
    felt_within_s: ClassVar[float] = 30.0  # the act waits for it
    gone_within_s: ClassVar[float] = 60.0

    @property
    def what(self) -> str:
        """In words."""
        return self._databases.what

    @property
    def effect(self) -> dict[str, Any]:
        """None that must show: a workload that loses nothing is what is hoped for."""
        return {}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """RDS's, on this cluster."""
        return (*reads("sts:GetCallerIdentity"), *self._databases.api_calls)

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """Who writes; the cluster must be available, and the heir a reader of it."""
        return self._databases.prior()

    def act(self) -> None:
        """Fail over, and wait until the heir writes."""
        self._databases.act(self.prior())

    def look(self) -> Look:
        """Ask RDS who writes."""
        return looked(self._look)

    def _look(self) -> Look:
        client: Any = aws.client("rds", self.configuration)
        found = client.describe_db_clusters(DBClusterIdentifier=self.cluster)["DBClusters"][0]
        writers = [str(one["DBInstanceIdentifier"]) for one in found["DBClusterMembers"] if one["IsClusterWriter"]]
        seen = {self.heir: Seen.BROKEN, self.writer: Seen.WHOLE}.get(writers[0] if writers else "", Seen.PARTIAL)
        if found["Status"] != "available":
            seen = Seen.PARTIAL
        return Look(seen=seen, evidence={"writers": writers, "status": found["Status"]})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Fail back, unless a third one writes."""
        self._databases.revert(prior)

    @property
    def _databases(self) -> OutageDatabases:
        return OutageDatabases(zone="", heirs={self.cluster: self.heir}, configuration=self.configuration, kind=KIND)


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DatabaseFailover:
    """The fault from the data in a plan or a ledger."""
    return DatabaseFailover(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
