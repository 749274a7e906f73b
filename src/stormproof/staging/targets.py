"""What carries the environment's tags, and is in a state to be experimented with; nothing else exists for us.

Every list is read to its last page. What the file names and AWS does not have, or has without the tags, is an error:
a name is no permission.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stormproof.errors import GuardrailError, UnavailableError
from stormproof.faults import aws
from stormproof.model.cloud import CacheGroup, CloudFile, CloudZone, Cluster, InstanceAddress, ScalingGroup
from stormproof.model.environment import HealthCheck, Instance

_RUNNING = "running"
# `describe_tags` takes this many ARNs a call.
_ARNS_A_CALL = 20


def read_zones(file: CloudFile, configuration: Mapping[str, Any]) -> dict[str, CloudZone]:
    """The file's zones with their subnets. Raises `GuardrailError` where the account knows a zone by another id."""
    ec2: Any = aws.client("ec2", configuration)
    rows = ec2.describe_availability_zones(AllAvailabilityZones=False)["AvailabilityZones"]
    by_name = {row["ZoneName"]: row for row in rows}
    for zone in file.zones.values():
        row = by_name.get(zone.az_name)
        if row is None or row["ZoneId"] != zone.az_id or row.get("RegionName", file.region) != file.region:
            got = f"{row['ZoneId']} of {row.get('RegionName')}" if row else f"none of {', '.join(sorted(by_name))}"
            raise GuardrailError(
                f"{file.where}: zones.{zone.name}: expected {zone.az_name} to be {zone.az_id} of {file.region}, "
                f"got {got}",
                hint="names of zones differ between accounts, ids do not: is it the right account?",
            )
    filters = [
        *_tag_filters(file.tags),
        {"Name": "availability-zone", "Values": [z.az_name for z in file.zones.values()]},
    ]
    subnets: dict[str, list[str]] = {}
    for page in ec2.get_paginator("describe_subnets").paginate(Filters=filters):
        for one in page["Subnets"]:
            subnets.setdefault(one["AvailabilityZone"], []).append(one["SubnetId"])
    return {
        name: CloudZone(
            name=name, az_id=zone.az_id, az_name=zone.az_name, subnets=tuple(sorted(subnets.get(zone.az_name, ())))
        )
        for name, zone in file.zones.items()
    }


def read_instances(
    file: CloudFile, configuration: Mapping[str, Any], *, seed: int | None
) -> dict[str, tuple[Instance, ...]]:
    """The running instances of each zone that carry the tags, by id; with a *seed*, shuffled by it.

    A fault takes the first ones of a zone, so the seed chooses. Raises `UnavailableError` when there are none or more
    than `instances.most`.
    """
    where = {zone.az_name: name for name, zone in file.zones.items()}
    filters = [
        *_tag_filters(file.tags),
        {"Name": "instance-state-name", "Values": [_RUNNING]},
        {"Name": "availability-zone", "Values": list(where)},
    ]
    found: dict[str, list[Instance]] = {name: [] for name in file.zones}
    pages = aws.client("ec2", configuration).get_paginator("describe_instances")
    for page in pages.paginate(Filters=filters):
        for reservation in page["Reservations"]:
            for one in reservation["Instances"]:
                zone = where[one["Placement"]["AvailabilityZone"]]
                url = _url(one, file.address)
                found[zone].append(Instance(id=one["InstanceId"], zone=zone, url=url))
    count = sum(len(own) for own in found.values())
    tags = ", ".join(f"{key}={value}" for key, value in file.tags.items())
    if not count:
        raise UnavailableError(
            f"{file.where}: expected running instances with {tags} in {', '.join(where)}, got none",
            hint="what its owners have not tagged does not exist for us",
        )
    if count > file.instances_max:
        raise GuardrailError(
            f"{file.where}: instances.most: expected at most {file.instances_max} running instances with {tags},"
            f" got {count}"
        )
    return {zone: tuple(_ordered(own, zone, seed)) for zone, own in found.items()}


def read_scaling_groups(file: CloudFile, configuration: Mapping[str, Any]) -> tuple[ScalingGroup, ...]:
    """The file's Auto Scaling groups."""
    if not file.scaling_groups:
        return ()
    pages = aws.client("autoscaling", configuration).get_paginator("describe_auto_scaling_groups")
    rows = {
        group["AutoScalingGroupName"]: group
        for page in pages.paginate(AutoScalingGroupNames=list(file.scaling_groups))
        for group in page["AutoScalingGroups"]
    }
    tags = {name: _tags(group.get("Tags", ())) for name, group in rows.items()}
    _check_there(file, "auto_scaling_groups", file.scaling_groups, tags)
    return tuple(ScalingGroup(name=name, arn=rows[name]["AutoScalingGroupARN"]) for name in file.scaling_groups)


def read_clusters(file: CloudFile, configuration: Mapping[str, Any]) -> tuple[Cluster, ...]:
    """The file's database clusters, with the zone of each member."""
    if not file.clusters:
        return ()
    rds: Any = aws.client("rds", configuration)
    filters = [{"Name": "db-cluster-id", "Values": list(file.clusters)}]
    rows = {
        cluster["DBClusterIdentifier"]: cluster
        for page in rds.get_paginator("describe_db_clusters").paginate(Filters=filters)
        for cluster in page["DBClusters"]
    }
    tags = {name: _tags(cluster.get("TagList", ())) for name, cluster in rows.items()}
    _check_there(file, "database_clusters", file.clusters, tags)
    zones = {
        one["DBInstanceIdentifier"]: one.get("AvailabilityZone", "")
        for page in rds.get_paginator("describe_db_instances").paginate(Filters=filters)
        for one in page["DBInstances"]
    }
    return tuple(_cluster(rows[name], zones) for name in file.clusters)


def read_cache_groups(file: CloudFile, configuration: Mapping[str, Any]) -> tuple[CacheGroup, ...]:
    """The file's replication groups, with the zone of each member. Asked one by one: there is no filter."""
    if not file.cache_groups:
        return ()
    client: Any = aws.client("elasticache", configuration)
    rows, tags = {}, {}
    for name in file.cache_groups:
        try:
            (rows[name],) = client.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"]
        except client.exceptions.ReplicationGroupNotFoundFault:
            continue
        tags[name] = _tags(client.list_tags_for_resource(ResourceName=rows[name]["ARN"])["TagList"])
    _check_there(file, "cache_groups", file.cache_groups, tags)
    return tuple(_cache_group(row) for row in rows.values())


def _cache_group(row: Mapping[str, Any]) -> CacheGroup:
    members = [one for shard in row["NodeGroups"] for one in shard["NodeGroupMembers"]]
    return CacheGroup(
        name=row["ReplicationGroupId"],
        arn=row["ARN"],
        primary=next((one["CacheClusterId"] for one in members if one.get("CurrentRole") == "primary"), ""),
        members={one["CacheClusterId"]: one.get("PreferredAvailabilityZone", "") for one in members},
    )


def read_balancing(
    file: CloudFile, configuration: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, str], HealthCheck | None]:
    """ARN by name: of the file's load balancers, and of its target groups; and how the latter are checked."""
    elbv2: Any = aws.client("elbv2", configuration)
    balancers: dict[str, str] = {}
    groups: dict[str, str] = {}
    checks: list[HealthCheck] = []
    if file.load_balancers:
        for page in elbv2.get_paginator("describe_load_balancers").paginate(Names=list(file.load_balancers)):
            balancers |= {row["LoadBalancerName"]: row["LoadBalancerArn"] for row in page["LoadBalancers"]}
    if file.target_groups:
        for page in elbv2.get_paginator("describe_target_groups").paginate(Names=list(file.target_groups)):
            groups |= {row["TargetGroupName"]: row["TargetGroupArn"] for row in page["TargetGroups"]}
            checks += [_health_check(row) for row in page["TargetGroups"] if row.get("HealthCheckEnabled", True)]
    tags = _tags_by_arn(elbv2, [*balancers.values(), *groups.values()])
    for key, wanted, found in (
        ("load_balancers", file.load_balancers, balancers),
        ("target_groups", file.target_groups, groups),
    ):
        _check_there(file, key, wanted, {name: tags.get(arn, {}) for name, arn in found.items()})
    return balancers, groups, max(checks, key=_slowness_s, default=None)


def _health_check(row: Mapping[str, Any]) -> HealthCheck:
    return HealthCheck(
        interval_s=float(row["HealthCheckIntervalSeconds"]),
        timeout_s=float(row["HealthCheckTimeoutSeconds"]),
        unhealthy_threshold=int(row["UnhealthyThresholdCount"]),
        healthy_threshold=int(row["HealthyThresholdCount"]),
    )


def _slowness_s(check: HealthCheck) -> float:
    """How long it may take to notice: of several groups the slowest says whether they had the time."""
    return check.interval_s * check.unhealthy_threshold + check.timeout_s


def check_called(file: CloudFile, configuration: Mapping[str, Any]) -> None:
    """What dependencies name, and the deniable roles, are there and carry the tags."""
    groups = {one.security_group: name for name, one in file.dependencies.items() if one.security_group}
    if groups:
        pages = aws.client("ec2", configuration).get_paginator("describe_security_groups")
        where = [{"Name": "group-id", "Values": sorted(groups)}]
        rows = [row for page in pages.paginate(Filters=where) for row in page["SecurityGroups"]]
        tags = {str(row["GroupId"]): _tags(row.get("Tags", ())) for row in rows}
        for group, name in groups.items():
            _check_there(file, f"dependencies.{name}.security_group", [group], tags)
    _check_subnets(file, configuration)
    for name, one in file.dependencies.items():
        if one.database_instance:
            found = _database_tags(one.database_instance, configuration)
            _check_there(file, f"dependencies.{name}.database_instance", [one.database_instance], found)
        if one.function:
            found = _function_tags(one.function.name, configuration)
            _check_there(file, f"dependencies.{name}.function", [one.function.name], found)
    for role in (one.rpartition("/")[2] for one in file.deniable_roles):
        _check_there(file, "deniable_roles", [role], _role_tags(role, configuration))


def _check_subnets(file: CloudFile, configuration: Mapping[str, Any]) -> None:
    """By filter: a call that names one which is gone fails for all."""
    named = {name: one.network_acl.subnets for name, one in file.dependencies.items() if one.network_acl}
    if not named:
        return
    ids = sorted({subnet for subnets in named.values() for subnet in subnets})
    pages = aws.client("ec2", configuration).get_paginator("describe_subnets")
    rows = [row for page in pages.paginate(Filters=[{"Name": "subnet-id", "Values": ids}]) for row in page["Subnets"]]
    tags = {str(row["SubnetId"]): _tags(row.get("Tags", ())) for row in rows}
    for name, subnets in named.items():
        _check_there(file, f"dependencies.{name}.network_acl.subnets", subnets, tags)


def _database_tags(name: str, configuration: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    pages = aws.client("rds", configuration).get_paginator("describe_db_instances")
    where = [{"Name": "db-instance-id", "Values": [name]}]
    rows = [row for page in pages.paginate(Filters=where) for row in page["DBInstances"]]
    return {str(row["DBInstanceIdentifier"]): _tags(row.get("TagList", ())) for row in rows}


def _function_tags(name: str, configuration: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    from botocore.exceptions import ClientError

    client: Any = aws.client("lambda", configuration)
    try:
        return {name: dict(client.get_function(FunctionName=name).get("Tags") or {})}
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return {}
        raise


def _role_tags(name: str, configuration: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    from botocore.exceptions import ClientError

    iam: Any = aws.client("iam", configuration)
    try:
        rows = [tag for page in iam.get_paginator("list_role_tags").paginate(RoleName=name) for tag in page["Tags"]]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return {}
        raise
    return {name: _tags(rows)}


def _cluster(row: Mapping[str, Any], zones: Mapping[str, str]) -> Cluster:
    members = {
        one["DBInstanceIdentifier"]: zones.get(one["DBInstanceIdentifier"], "") for one in row["DBClusterMembers"]
    }
    writer = next((one["DBInstanceIdentifier"] for one in row["DBClusterMembers"] if one["IsClusterWriter"]), "")
    return Cluster(name=row["DBClusterIdentifier"], arn=row["DBClusterArn"], writer=writer, members=members)


def _check_there(file: CloudFile, key: str, wanted: Sequence[str], tags: Mapping[str, Mapping[str, str]]) -> None:
    """Every name of *wanted* is there and carries the environment's tags; else `UnavailableError`."""
    for name in wanted:
        if name not in tags:
            raise UnavailableError(
                f"{file.where}: {key}: expected {name} in {file.account} {file.region}, got {', '.join(tags) or 'none'}"
            )
        missing = {one: value for one, value in file.tags.items() if tags[name].get(one) != value}
        if missing:
            raise UnavailableError(
                f"{file.where}: {key}: expected {name} with the tags {missing}, got {dict(tags[name])}",
                hint="what its owners have not tagged does not exist for us",
            )


def _tags_by_arn(elbv2: Any, arns: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for start in range(0, len(arns), _ARNS_A_CALL):
        rows = elbv2.describe_tags(ResourceArns=list(arns[start : start + _ARNS_A_CALL]))["TagDescriptions"]
        found |= {row["ResourceArn"]: _tags(row["Tags"]) for row in rows}
    return found


def _ordered(instances: list[Instance], zone: str, seed: int | None) -> list[Instance]:
    """By id; with a *seed*, shuffled by it and the zone, so that one zone's choice does not depend on another's."""
    ordered = sorted(instances, key=lambda one: one.id)
    if seed is not None:
        random.Random(f"{seed}/{zone}").shuffle(ordered)  # noqa: S311 - a choice that can be repeated, no secret
    return ordered


def _url(instance: Mapping[str, Any], address: InstanceAddress) -> str:
    """Where it is called directly; "" for `none`. Raises `UnavailableError` where it has no such address."""
    if address.source == "none":
        return ""
    kind, _, key = address.source.partition(":")
    if kind == "tag":
        url = _tags(instance.get("Tags", ())).get(key, "")
        if not url.startswith(("http://", "https://")):
            raise UnavailableError(
                f"instances.address: expected a URL in tag {key} of {instance['InstanceId']}, got {url!r}"
            )
        return url.rstrip("/")
    host = instance.get("PublicIpAddress" if kind == "public" else "PrivateIpAddress")
    if not host:
        raise UnavailableError(f"instances.address: expected a {kind} address of {instance['InstanceId']}, got none")
    return f"{address.scheme}://{host}:{address.port}"


def _tags(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {str(row["Key"]): str(row.get("Value", "")) for row in rows}


def _tag_filters(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
