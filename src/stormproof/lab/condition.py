"""Whether the lab is whole, asked of the real things: Envoy, moto, the processes, the files. Nothing is remembered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stormproof.errors import FaultError
from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.lab.builds import FIRST, STATUS_PARAMETER, WANTED_PARAMETER
from stormproof.lab.envoy_egress import watched_files
from stormproof.lab.health import target_health
from stormproof.lab.network_acl import AclEntry, cuts_off
from stormproof.lab.parameters import read_parameters
from stormproof.lab.process_condition import process_faults
from stormproof.lab.processes import ProcessIdentity
from stormproof.lab.state import LabRecord
from stormproof.lab.topology import (
    CERTIFICATES,
    DEPENDENCIES,
    REGION,
    REPLACES_TAG,
    Topology,
    abort_percent_key,
    delay_duration_key,
    delay_percent_key,
    dns_percent_key,
    parameters_path,
    throttle_key,
    tls_percent_key,
)


def not_running(reason: str) -> dict[str, Any]:
    """The condition of a lab that is not there."""
    return {
        "whole": False,
        "running": False,
        "reason": reason,
        "variant": None,
        "instances": [],
        "faults": [],
        "envoy": None,
        "aws": None,
    }


def read(record: LabRecord, directory: Path) -> dict[str, Any]:
    """JSON-ready; the keys of `stormproof lab status --json`.

    ``whole``: every instance is healthy in Envoy's eyes, running in moto and alive as a process, every other process
    lives, and no fault is in force. ``reason`` says what is not so, else None. ``instances``: id, name, zone, healthy,
    state (EC2's word), pid (None: no process), url. ``faults``: kind and what, in words.
    """
    topology = record.topology
    assert topology is not None
    admin = EnvoyAdmin(url=topology.admin.url, node_id=topology.lab_id)
    troubles = [record.failure] if record.failure else []
    troubles += [f"{name} is not running" for name, who in _dead(record)]
    told = _told(topology, troubles)
    closed = _closed_subnets(topology, troubles)
    health = _health(admin, topology, troubles)
    instances = [
        {
            "id": instance.id,
            "name": instance.name,
            "zone": instance.zone,
            "healthy": health.get(instance.id, False),
            "state": told.get(instance.id, ("unknown", ""))[0],
            "pid": _pid(record.processes.get(instance.id)),
            "url": instance.address.url,
        }
        for instance in topology.instances
    ]
    faults = [*_proxy_faults(admin, troubles), *_file_faults(topology, directory), *_stopped(instances)]
    cut_off = {name for name, (_, subnet) in told.items() if subnet in closed}
    faults += [*_closed_networks(closed), *process_faults(record, cut_off), *_releases(topology, troubles)]
    faults += [*_denied_launches(topology, troubles), *_changed_parameters(directory)]
    unwell = [str(i["name"]) for i in instances if not (i["healthy"] and i["state"] == "running" and i["pid"])]
    if unwell:
        troubles.append(f"not healthy, running and alive: {', '.join(unwell)}")
    troubles += [fault["what"] for fault in faults]
    return {
        "whole": not troubles,
        "running": True,
        "reason": "; ".join(troubles) or None,
        "variant": topology.variant,
        "instances": instances,
        "faults": faults,
        "envoy": {"base_url": topology.balancer.url, "admin_url": topology.admin.url, "node_id": topology.lab_id},
        "aws": {"endpoint_url": topology.moto.url, "region": REGION},
    }


def _changed_parameters(directory: Path) -> list[dict[str, str]]:
    """Parameters of the shop that somebody has set: a release that is not the variant's own, a key that is stale."""
    parameters = read_parameters(parameters_path(directory))
    return [{"kind": "parameter", "what": f"{name} is {value!r}"} for name, value in sorted(parameters.items())]


def _dead(record: LabRecord) -> Iterator[tuple[str, ProcessIdentity]]:
    """The recorded processes that no longer run, shops apart: those are told by instance."""
    instances = {instance.id for instance in record.topology.instances} if record.topology else set()
    for name, identity in record.processes.items():
        if name not in instances and not identity.is_alive():
            yield name, identity


def _pid(identity: ProcessIdentity | None) -> int | None:
    return identity.pid if identity is not None and identity.is_alive() else None


def _told(topology: Topology, troubles: list[str]) -> dict[str, tuple[str, str]]:
    """What EC2 calls each instance, and the subnet it is in."""
    from botocore.exceptions import BotoCoreError, ClientError

    ec2 = _client("ec2", topology)
    try:
        answer = ec2.describe_instances(InstanceIds=[instance.id for instance in topology.instances])
    except (BotoCoreError, ClientError) as error:
        troubles.append(f"the control plane does not answer ({error})")
        return {}
    return {
        instance["InstanceId"]: (instance["State"]["Name"], instance.get("SubnetId", ""))
        for reservation in answer["Reservations"]
        for instance in reservation["Instances"]
    }


def _client(service: str, topology: Topology) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(  # type: ignore[call-overload]
        service,
        region_name=REGION,
        endpoint_url=topology.moto.url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106 - moto takes any
        config=Config(
            proxies={}, connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1}
        ),
    )


def _closed_subnets(topology: Topology, troubles: list[str]) -> dict[str, str]:
    """Subnet → the network ACL that denies all of it."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        acls = _client("ec2", topology).describe_network_acls()["NetworkAcls"]
    except (BotoCoreError, ClientError) as error:
        troubles.append(f"the control plane does not answer ({error})")
        return {}
    return {
        association["SubnetId"]: acl["NetworkAclId"]
        for acl in acls
        for association in acl["Associations"]
        if cuts_off(_acl_entry(row) for row in acl["Entries"])
    }


def _closed_networks(closed: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"kind": "network", "what": f"network ACL {acl} denies all of subnet {subnet}"}
        for subnet, acl in closed.items()
    ]


def _releases(topology: Topology, troubles: list[str]) -> list[dict[str, str]]:
    """A release that was not there when the lab came up, or one that is being rolled out."""
    from botocore.exceptions import BotoCoreError, ClientError

    names = [WANTED_PARAMETER, STATUS_PARAMETER]
    try:
        rows = _client("ssm", topology).get_parameters(Names=names)["Parameters"]
    except (BotoCoreError, ClientError) as error:
        troubles.append(f"the control plane does not answer ({error})")
        return []
    values = {row["Name"]: row["Value"] for row in rows}
    wanted = values.get(WANTED_PARAMETER)
    deployment = json.loads(values.get(STATUS_PARAMETER, "{}"))
    found = []
    if wanted != FIRST.name:
        found.append({"kind": "release", "what": f"release {wanted} is wanted, the lab began with {FIRST.name}"})
    if (state := deployment.get("state", "unknown")) != "settled":
        found.append({"kind": "release", "what": f"the deployment is {state}: {deployment.get('instances')}"})
    return found


def _denied_launches(topology: Topology, troubles: list[str]) -> list[dict[str, str]]:
    """FIS experiments that are not over, and instances that replace others."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        experiments = _client("fis", topology).list_experiments()["experiments"]
        filters = [
            {"Name": "tag-key", "Values": [REPLACES_TAG]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        reservations = _client("ec2", topology).describe_instances(Filters=filters)["Reservations"]
    except (BotoCoreError, ClientError) as error:
        troubles.append(f"the control plane does not answer ({error})")
        return []
    found = [
        {"kind": "fis", "what": f"FIS experiment {row['id']} is {row['state']['status']}"}
        for row in experiments
        if row["state"]["status"] not in {"completed", "stopped", "failed", "cancelled"}
    ]
    replacements = [instance["InstanceId"] for one in reservations for instance in one["Instances"]]
    return found + [{"kind": "replacement", "what": f"{one} is in the place of another"} for one in replacements]


def _acl_entry(row: Mapping[str, Any]) -> AclEntry:
    return AclEntry(
        number=row["RuleNumber"],
        egress=row["Egress"],
        allows=row["RuleAction"] == "allow",
        protocol=row["Protocol"],
        cidr=row.get("CidrBlock"),
    )


def _health(admin: EnvoyAdmin, topology: Topology, troubles: list[str]) -> dict[str, bool]:
    try:
        admin.identify()
        return target_health(admin.clusters(), topology)
    except FaultError as error:
        troubles.append(error.message)
        return {}


def _proxy_faults(admin: EnvoyAdmin, troubles: list[str]) -> list[dict[str, str]]:
    """Delays, aborts and throttles that Envoy's runtime has switched on."""
    names = [
        key(dependency)
        for dependency in DEPENDENCIES
        for key in (delay_percent_key, delay_duration_key, abort_percent_key, throttle_key, dns_percent_key)
    ]
    names += [tls_percent_key(dependency, certificate) for dependency in DEPENDENCIES for certificate in CERTIFICATES]
    try:
        values = {name: float(value) if value else 0.0 for name, value in admin.overrides(names).items()}
    except FaultError as error:
        troubles.append(error.message)
        return []
    faults = []
    for dependency in DEPENDENCIES:
        delay, abort = values[delay_percent_key(dependency)], values[abort_percent_key(dependency)]
        throttle = values[throttle_key(dependency)]
        if delay > 0:
            delay_ms = values[delay_duration_key(dependency)] or 1000.0  # the bootstrap's own
            what = f"{delay:g} % of the calls to {dependency} are delayed by {delay_ms:g} ms"
            faults.append({"kind": "delay", "what": what})
        if abort > 0:
            faults.append(
                {"kind": "abort", "what": f"{abort:g} % of the calls to {dependency} are answered with an error"}
            )
        if throttle > 0:
            faults.append({"kind": "throttle", "what": f"{throttle:g} % of the calls to {dependency} need a token"})
        faults += _detours(dependency, values)
    return faults


def _detours(dependency: str, values: Mapping[str, float]) -> Iterator[dict[str, str]]:
    """Calls that are sent where they fail."""
    if (share := values[dns_percent_key(dependency)]) > 0:
        yield {"kind": "dns", "what": f"{share:g} % of the calls to {dependency} find no such host"}
    for certificate in CERTIFICATES:
        if (share := values[tls_percent_key(dependency, certificate)]) > 0:
            what = f"{share:g} % of the calls to {dependency} meet a certificate that is {certificate}"
            yield {"kind": "tls", "what": what}


def _file_faults(topology: Topology, directory: Path) -> Iterator[dict[str, str]]:
    """Files that Envoy watches and that are not as the lab made them: buckets, latencies, listeners."""
    for path, pristine in watched_files(topology, directory).items():
        try:
            is_pristine = json.loads(path.read_bytes()) == pristine
        except (OSError, json.JSONDecodeError):
            is_pristine = False
        if not is_pristine:
            what = f"{path.relative_to(directory)}, which Envoy watches, is not the lab's"
            yield {"kind": path.parent.name.removesuffix("s"), "what": what}


def _stopped(instances: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {"kind": "instance", "what": f"{instance['name']} ({instance['id']}) is {instance['state']}"}
        for instance in instances
        if instance["state"] not in {"running", "unknown"}
    ]
