"""Everything about an environment in AWS that a fault could have changed, as data that can be compared; only reads.

What is read is what our faults change, of what carries the environment's tags or is named in its file, and for each
fault of a plan its own account of the state that its undo must bring back. Ids of associations are left out: a swap
renews them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stormproof.errors import StormproofError
from stormproof.faults import aws, catalogue
from stormproof.faults.aws_errors import told
from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

_OVER = frozenset({"completed", "stopped", "failed", "cancelled"})
_TEXT_MAX = 200
_OURS = "stormproof"  # what the tags of everything that we make begin with


def snapshot(environment: Environment, faults: Sequence[ResolvedFault]) -> dict[str, Any]:
    """JSON-ready: two snapshots are equal when nothing was left behind. Raises `UnavailableError`.

    ``instances``: state, subnet, security groups. ``networks``: each subnet's ACL, the rules of ACLs and groups.
    ``scaling``: suspended processes, sizes, subnets. ``clusters``: who writes. ``caches``: who leads. ``experiments``:
    ours in FIS that run, and templates. ``proxy``: of the side-car, what is set in it, which listeners it has, and a
    digest of each file that it watches, where one of *faults* is in it. ``faults``: what each of them finds before it
    acts, or why it would not.
    """
    assert environment.cloud is not None, "asked only of an environment in AWS"
    atoms = [atom for fault in faults for atom in fault.atoms]
    with told("reading the state of the environment"):
        return {
            "instances": _instances(environment),
            "networks": _networks(environment),
            "scaling": _scaling(environment),
            "clusters": _clusters(environment),
            "caches": _caches(environment),
            "experiments": _experiments(environment),
            "proxy": _proxy(environment) if any("envoy_admin_url" in one.configuration for one in atoms) else {},
            "faults": {fault.fault_id: _prior(fault) for fault in atoms},
        }


def _client(service: str, environment: Environment) -> Any:
    return aws.client(service, environment.aws.configuration)


def _prior(fault: ResolvedFault) -> Any:
    from botocore.exceptions import ClientError

    try:
        return _brief(catalogue.bind(fault.kind, fault.target, fault.configuration).prior())
    except (StormproofError, ClientError, OSError) as error:
        return f"{type(error).__name__}: {error}"


def _brief(value: Any) -> Any:
    """*value* with a digest for a text that is a document: a whole file would only be compared."""
    if isinstance(value, dict):
        return {key: _brief(item) for key, item in value.items()}
    return _digest([value]) if isinstance(value, str) and len(value) > _TEXT_MAX else value


def _instances(environment: Environment) -> dict[str, Any]:
    ids = [one.id for instances in environment.zones.values() for one in instances]
    pages = _client("ec2", environment).get_paginator("describe_instances").paginate(InstanceIds=ids)
    return {
        one["InstanceId"]: {
            "state": one["State"]["Name"],
            "subnet": one.get("SubnetId"),
            "groups": sorted(group["GroupId"] for group in one.get("SecurityGroups", ())),
        }
        for page in pages
        for row in page["Reservations"]
        for one in row["Instances"]
    }


def _networks(environment: Environment) -> dict[str, Any]:
    ec2 = _client("ec2", environment)
    acls = [acl for page in ec2.get_paginator("describe_network_acls").paginate() for acl in page["NetworkAcls"]]
    groups = [
        one for page in ec2.get_paginator("describe_security_groups").paginate() for one in page["SecurityGroups"]
    ]
    return {
        "acl_of_subnet": {one["SubnetId"]: acl["NetworkAclId"] for acl in acls for one in acl["Associations"]},
        "acls": {acl["NetworkAclId"]: _digest(acl["Entries"]) for acl in acls},
        "groups": {
            one["GroupId"]: _digest([one.get("IpPermissions"), one.get("IpPermissionsEgress")]) for one in groups
        },
    }


def _scaling(environment: Environment) -> dict[str, Any]:
    names = [one.name for one in environment.cloud.scaling_groups] if environment.cloud else []
    if not names:
        return {}
    pages = _client("autoscaling", environment).get_paginator("describe_auto_scaling_groups")
    return {
        one["AutoScalingGroupName"]: {
            "suspended": sorted(row["ProcessName"] for row in one.get("SuspendedProcesses", ())),
            "sizes": [one["MinSize"], one["DesiredCapacity"], one["MaxSize"]],
            "subnets": sorted(filter(None, one.get("VPCZoneIdentifier", "").split(","))),
        }
        for page in pages.paginate(AutoScalingGroupNames=names)
        for one in page["AutoScalingGroups"]
    }


def _clusters(environment: Environment) -> dict[str, Any]:
    names = [one.name for one in environment.cloud.clusters] if environment.cloud else []
    if not names:
        return {}
    pages = _client("rds", environment).get_paginator("describe_db_clusters")
    filters = [{"Name": "db-cluster-id", "Values": names}]
    return {
        one["DBClusterIdentifier"]: sorted(
            row["DBInstanceIdentifier"] for row in one["DBClusterMembers"] if row["IsClusterWriter"]
        )
        for page in pages.paginate(Filters=filters)
        for one in page["DBClusters"]
    }


def _caches(environment: Environment) -> dict[str, Any]:
    groups = environment.cloud.cache_groups if environment.cloud else ()
    if not groups:
        return {}
    client, found = _client("elasticache", environment), {}
    for one in groups:
        (group,) = client.describe_replication_groups(ReplicationGroupId=one.name)["ReplicationGroups"]
        rows = [row for shard in group["NodeGroups"] for row in shard["NodeGroupMembers"]]
        found[one.name] = {row["CacheClusterId"]: row.get("CurrentRole") for row in rows}
    return found


def _experiments(environment: Environment) -> dict[str, Any]:
    """None where the environment has no FIS: then we may not be allowed to ask."""
    if environment.cloud is None or environment.cloud.fis is None:
        return {}
    fis = _client("fis", environment)
    running = [row for page in fis.get_paginator("list_experiments").paginate() for row in page["experiments"]]
    templates = [
        row for page in fis.get_paginator("list_experiment_templates").paginate() for row in page["experimentTemplates"]
    ]
    return {
        "running": sorted(row["id"] for row in running if _is_ours(row) and row["state"]["status"] not in _OVER),
        "templates": sorted(row["id"] for row in templates if _is_ours(row)),
    }


def _proxy(environment: Environment) -> dict[str, Any]:
    """The side-car. Raises `FaultError` when it does not answer."""
    proxy = environment.proxy
    assert proxy is not None, "a fault is in it"
    envoy = EnvoyAdmin(url=proxy.admin_url, node_id=proxy.node_id)
    envoy.identify()
    folders = [Path(proxy.listeners_path).parent] if proxy.listeners_path else []
    for one in environment.dependencies.values():
        folders += [Path(path).parent for path in (one.throttle_config_path, one.latency_config_path) if path]
    return {
        "runtime": envoy.all_overrides(),
        "listeners": envoy.listeners(),
        "files": {
            f"{folder.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            for folder in dict.fromkeys(folders)
            for path in sorted(folder.glob("*.json"))
        },
    }


def _is_ours(row: dict[str, Any]) -> bool:
    return any(key.startswith(_OURS) for key in row.get("tags", {}))


def _digest(value: Any) -> str:
    rows = sorted(json.dumps(row, sort_keys=True, default=str) for row in value)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
