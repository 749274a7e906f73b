"""Part of the loss of a zone in AWS: where the writer of a database cluster is in the zone, another one takes over.

The new writer is named: which one it becomes is in the ledger, and so is which one it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stormproof.errors import FaultError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, arn, reads
from stormproof.faults.outage_part import wait_until

FAILED_OVER_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageDatabases:
    """The clusters whose writer is in the zone: by name, who shall write instead."""

    zone: str
    heirs: dict[str, str]
    configuration: Mapping[str, Any]
    kind: str = "az-loss"  # of the fault that it is part of: what its errors begin with

    @property
    def what(self) -> str:
        """In words."""
        if not self.heirs:
            return f"fail no database over: no cluster's writer is in zone {self.zone}"
        return "fail over " + ", ".join(f"{cluster} to {heir}" for cluster, heir in self.heirs.items())

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """RDS's: a failover is asked of the cluster and of the instance that shall write."""
        if not self.heirs:
            return ()
        own = (
            *(arn(self.configuration, "rds", f"cluster:{one}") for one in self.heirs),
            arn(self.configuration, "rds", "db:*"),
        )
        return (
            *reads("rds:DescribeDBClusters"),
            ApiCall(service="rds", operation="FailoverDBCluster", purpose="inject", resources=own),
            ApiCall(service="rds", operation="FailoverDBCluster", purpose="undo", resources=own),
        )

    def prior(self) -> dict[str, Any]:
        """Who writes; every cluster must be available, and its heir a reader."""
        writers = {}
        for cluster, heir in self.heirs.items():
            found = self._cluster(cluster)
            members = {one["DBInstanceIdentifier"]: one["IsClusterWriter"] for one in found["DBClusterMembers"]}
            if found["Status"] != "available" or members.get(heir) is not False:
                raise FaultError(
                    f"{self.kind}: expected {cluster} to be available and {heir} to be a reader of it,"
                    f" got {found['Status']}, {members}",
                    hint="plan again, or stormproof undo --list",
                )
            writers[cluster] = {"writer": _writer(found), "heir": heir}
        return {"writers": writers}

    def act(self, prior: Mapping[str, Any]) -> None:
        """Fail each over to its heir and wait until it writes."""
        for cluster, row in prior["writers"].items():
            self._fail_over(cluster, row["heir"])

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Fail back to the former writer, unless a third one writes by now."""
        strangers = {}
        for cluster, row in prior["writers"].items():
            self._settle(cluster)
            now = _writer(self._cluster(cluster))
            if now == row["heir"]:
                self._fail_over(cluster, row["writer"])
            elif now != row["writer"]:
                strangers[cluster] = now
        if strangers:
            raise FaultError(
                f"{self.kind}: clusters have writers that are neither ours nor the ones before: {strangers};"
                " somebody else failed them over since; left alone"
            )

    def _fail_over(self, cluster: str, to: str) -> None:
        self._rds().failover_db_cluster(DBClusterIdentifier=cluster, TargetDBInstanceIdentifier=to)
        wait_until(
            f"{to} to write in {cluster}",
            lambda: _writer(found := self._cluster(cluster)) == to and found["Status"] == "available",
            within_s=FAILED_OVER_WITHIN_S,
        )

    def _settle(self, cluster: str) -> None:
        wait_until(
            f"{cluster} to be available",
            lambda: str(self._cluster(cluster)["Status"]) == "available",
            within_s=FAILED_OVER_WITHIN_S,
        )

    def _cluster(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._rds().describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
        return found

    def _rds(self) -> Any:
        return aws.client("rds", self.configuration)


def _writer(cluster: Mapping[str, Any]) -> str:
    return next((str(one["DBInstanceIdentifier"]) for one in cluster["DBClusterMembers"] if one["IsClusterWriter"]), "")
