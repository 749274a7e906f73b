"""Everything about a lab that a fault could have changed, as data that can be compared: before and after.

Asked of the real things, like `condition`; unlike it, nothing is judged. What legitimately differs after an instance
was stopped and started (process numbers, times, counters) is left out.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from stormproof.errors import LabError
from stormproof.faults import aws
from stormproof.faults.direct import open_direct
from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.lab.health import target_health
from stormproof.lab.process_condition import process_faults
from stormproof.lab.processes import ProcessIdentity
from stormproof.lab.state import LabFolder, LabRecord, read_record
from stormproof.lab.topology import Topology
from stormproof.model.environment import Environment
from stormproof.record.difference import differences

__all__ = ["differences", "snapshot"]

# Written by the lab all the time; everything else in its folder is configuration that somebody may have changed.
_NOT_CONFIGURATION = frozenset({"logs", "arrivals", "moto", "lab.json"})
# A lock is held by who has it open, not by the file's being there.
_NOT_SETTINGS = frozenset({".log", ".tmp", ".lock"})
# Of Envoy's own configuration: when and as which version it was loaded, not what it says.
_NOT_CONTENT = frozenset({"last_updated", "version_info"})
_TIMEOUT_S = 5.0
_DRAINED_WITHIN_S = 10.0


def snapshot(environment: Environment) -> dict[str, Any]:
    """The lab behind *environment*, JSON-ready: two snapshots are equal when nothing was left behind.

    ``runtime``: Envoy's admin overrides. ``envoy``: a digest of each part of the configuration in force. ``files``: a
    digest of every configuration file. ``health``: what the balancer says. ``instances``, ``networks``: what the
    control plane says (state, subnet, security groups, tags; the rules of each ACL, and which subnet has which).
    ``releases``: the release that is wanted, and what the deployment says of itself. ``experiments``: what FIS runs.
    ``processes``: alive or stopped, niceness, control group, limits and children of each. ``done_to_processes``: who
    holds them back, or kills them. Raises `LabError` when
    *environment* is not a lab that is up.
    """
    directory, record = _find(environment)
    topology = record.topology
    assert topology is not None
    admin = EnvoyAdmin(url=topology.admin.url, node_id=topology.lab_id)
    admin.identify()
    return {
        "runtime": admin.all_overrides(),
        "envoy": _envoy_configuration(topology),
        "files": dict(_files(directory)),
        "health": dict(sorted(target_health(admin.clusters(), topology).items())),
        "instances": _instances(environment),
        "networks": _networks(environment),
        "releases": _releases(environment),
        "experiments": _experiments(environment),
        "processes": {name: _process(identity) for name, identity in sorted(record.processes.items())},
        "done_to_processes": [fault["what"] for fault in process_faults(record)],
    }


def _find(environment: Environment) -> tuple[Path, LabRecord]:
    """The lab's folder, by the access logs that stand in it; and its record, if that is the same lab's."""
    logs = [dependency.access_log for dependency in environment.dependencies.values() if dependency.access_log]
    directory = Path(logs[0]).parents[1] if logs else None
    record = read_record(LabFolder(path=directory)) if directory else None
    lab_id = environment.proxy.node_id if environment.proxy else None
    if directory is None or record is None or record.topology is None or record.topology.lab_id != lab_id:
        raise LabError(
            f"environment {environment.name!r}: expected a lab that is up, got none", hint="stormproof lab up"
        )
    return directory, record


def _get(topology: Topology, path: str) -> Any:
    with open_direct(f"{topology.admin.url}{path}", timeout_s=_TIMEOUT_S) as answer:
        return json.load(answer)


def _envoy_configuration(topology: Topology) -> dict[str, str]:
    """A digest of each kind of configuration in force: listeners, clusters, filters that files feed.

    A listener that was exchanged drains for a second, and is in the dump, with its routes, until then: waited for.
    """
    give_up_at = time.monotonic() + _DRAINED_WITHIN_S
    while True:
        document = _get(topology, "/config_dump")
        if "draining_state" not in json.dumps(document) or time.monotonic() > give_up_at:
            break
        time.sleep(0.1)
    return {
        str(part.get("@type", "")).rpartition(".")[2]: _digest(_canonical(part)) for part in document.get("configs", [])
    }


def _canonical(value: Any) -> Any:
    """*value* without versions and times, lists of resources in an order of their own."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in sorted(value.items()) if key not in _NOT_CONTENT}
    if isinstance(value, list):
        items = [_canonical(item) for item in value]
        return sorted(items, key=_text) if all(isinstance(item, dict) for item in items) else items
    return value


def _files(directory: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        if name.parts[0] in _NOT_CONFIGURATION or not path.is_file() or path.suffix in _NOT_SETTINGS:
            continue
        yield str(name), hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _client(service: str, environment: Environment) -> Any:
    configuration = {"aws_region": environment.aws.region, "aws_endpoint_url": environment.aws.endpoint_url}
    return aws.client(service, configuration)


def _experiments(environment: Environment) -> dict[str, Any]:
    """Experiments that are not over, and templates."""
    fis = _client("fis", environment)
    experiments = [row for page in fis.get_paginator("list_experiments").paginate() for row in page["experiments"]]
    templates = [
        row for page in fis.get_paginator("list_experiment_templates").paginate() for row in page["experimentTemplates"]
    ]
    over = {"completed", "stopped", "failed", "cancelled"}
    return {
        "running": sorted(row["id"] for row in experiments if row["state"]["status"] not in over),
        "templates": sorted(row["id"] for row in templates),
    }


def _releases(environment: Environment) -> dict[str, Any]:
    """Without the number of changes that it took: a release that was taken back is one more."""
    deployment = environment.deployment
    if deployment is None:
        return {}
    ssm = _client("ssm", environment)
    rows = ssm.get_parameters(Names=[deployment.parameter, deployment.status_parameter])["Parameters"]
    values = {row["Name"]: row["Value"] for row in rows}
    status = json.loads(values.get(deployment.status_parameter, "{}"))
    return {"wanted": values.get(deployment.parameter), **{k: v for k, v in status.items() if k != "version"}}


def _instances(environment: Environment) -> dict[str, Any]:
    """Every instance of the account, also one that nobody should have started."""
    pages = _client("ec2", environment).get_paginator("describe_instances").paginate()
    instances = [
        instance for page in pages for reservation in page["Reservations"] for instance in reservation["Instances"]
    ]
    places = {instance.id for zone in environment.zones.values() for instance in zone}
    return {
        instance["InstanceId"]: {
            "state": instance["State"]["Name"],
            "subnet": instance.get("SubnetId"),
            "groups": sorted(group["GroupId"] for group in instance.get("SecurityGroups", [])),
            "tags": {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])},
        }
        for instance in sorted(instances, key=lambda one: str(one["InstanceId"]))
        # what the healer launched and gave back is listed for an hour on EC2, and for ever here
        if not (instance["State"]["Name"] == "terminated" and instance["InstanceId"] not in places)
    }


def _networks(environment: Environment) -> dict[str, Any]:
    """Each subnet's ACL with its rules, every ACL there is, and the security groups' rules."""
    ec2 = _client("ec2", environment)
    acls = [acl for page in ec2.get_paginator("describe_network_acls").paginate() for acl in page["NetworkAcls"]]
    groups = [
        group for page in ec2.get_paginator("describe_security_groups").paginate() for group in page["SecurityGroups"]
    ]
    return {
        # by ACL, not by association: putting an ACL back makes a new association of the same two
        "acl_of_subnet": {
            association["SubnetId"]: acl["NetworkAclId"] for acl in acls for association in acl["Associations"]
        },
        "acls": {acl["NetworkAclId"]: _digest(sorted(acl["Entries"], key=_text)) for acl in acls},
        "groups": {
            group["GroupId"]: _digest([group["IpPermissions"], group["IpPermissionsEgress"]]) for group in groups
        },
    }


def _process(identity: ProcessIdentity) -> dict[str, Any] | None:
    process = identity.find()
    if process is None:
        return None
    try:
        return {
            "stopped": process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP),
            "niceness": process.nice(),
            "control_group": _read(Path(f"/proc/{identity.pid}/cgroup")),
            "limits": _read(Path(f"/proc/{identity.pid}/limits")),
            "children": _children(process),
        }
    except psutil.NoSuchProcess:  # between two questions
        return None


def _children(process: psutil.Process) -> list[str]:
    """The programs that it has started and that still run: a load that a fault put beside it would be one."""
    return sorted(" ".join(child.cmdline()[:3]) or child.name() for child in process.children(recursive=True))


def _read(path: Path) -> str | None:
    try:
        return _digest(path.read_text(encoding="utf-8"))
    except OSError:  # not Linux, or gone
        return None


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _digest(value: Any) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()[:16]
