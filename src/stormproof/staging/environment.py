"""A file of kind `aws`, held against the account that it names → `Environment`."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Any

from stormproof.faults.api_call import ApiCall, reads
from stormproof.faults.aws_errors import told
from stormproof.faults.mirror import Mirror
from stormproof.model.cloud import Cloud, CloudFile
from stormproof.model.environment import Aws, Environment
from stormproof.staging.dependencies import called, with_keys
from stormproof.staging.identity import check_identity
from stormproof.staging.targets import (
    check_called,
    read_balancing,
    read_cache_groups,
    read_clusters,
    read_instances,
    read_scaling_groups,
    read_zones,
)
from stormproof.staging.watched import check_topic, read_alarms, read_sli


def discover(name: str, file: CloudFile, *, seed: int | None = None) -> Environment:
    """What *file* names, as it is now; identity first. Makes only calls that read.

    Raises `IdentityError`, `GuardrailError`, or `UnavailableError` for what is not there, not tagged, or not to be had.
    """
    aws = account_of(name, file)
    where = aws.configuration
    with told("who we are"):
        check_identity(file, where)
    if (mirror := Mirror.of(where)) is not None:
        with told("looking at the ledger's bucket"):
            mirror.check()
    with told("reading the zones"):
        zones = read_zones(file, where)
    with told("reading the instances"):
        instances = read_instances(file, where, seed=seed)
    with told("reading the Auto Scaling groups"):
        groups = read_scaling_groups(file, where)
    with told("reading the database clusters"):
        clusters = read_clusters(file, where)
    with told("reading the caches"):
        caches = read_cache_groups(file, where)
    with told("reading load balancers and target groups"):
        balancers, targets, check = read_balancing(file, where)
    with told("reading what is called"):
        check_called(file, where)
    with told("reading the alarms"):
        guard = read_alarms(file.alarms_guard, where, where=file.where)
        expected = read_alarms(file.alarms_expected, where, where=file.where)
    cloud = Cloud(
        tags=file.tags,
        zones=zones,
        load_balancers=balancers,
        target_groups=targets,
        scaling_groups=groups,
        clusters=clusters,
        cache_groups=caches,
        az_loss_parts=file.az_loss_parts,
        az_loss_by=file.az_loss_by,
        alarms_guard=guard,
        alarms_expected=expected,
        slis=file.slis,
        topic_arn=file.topic_arn,
        fis=file.fis,
        dependencies=file.dependencies,
        deniable_roles=file.deniable_roles,
    )
    return Environment(
        name=name,
        simulated=file.endpoint_url is not None,
        base_url=file.base_url,
        aws=aws,
        zones=with_keys(instances, file),
        cloud=cloud,
        control_route=file.control_route,
        health_check=check,
        **called(file),
        topology_digest=_digest(cloud, {zone: len(own) for zone, own in instances.items()}),
    )


def account_of(name: str, file: CloudFile) -> Aws:
    """As whom and where *file*'s environment, called *name*, is asked; asks nothing."""
    return Aws(
        endpoint_url=file.endpoint_url,
        region=file.region,
        account=file.account,
        partition=file.partition,
        profile=file.profile,
        role_arn=file.role_arn,
        external_id=file.external_id,
        ledger_bucket=file.ledger.bucket if file.ledger else None,
        ledger_prefix=f"{file.ledger.prefix}/{name}" if file.ledger else None,
        dead_man_role=file.dead_man.role_arn if file.dead_man else None,
        dead_man_after_s=file.dead_man.after_s if file.dead_man else None,
    )


def readings(environment: Environment, *, now: dt.datetime) -> dict[str, Any]:
    """What a dry run shows of the watchers: each SLI's latest value or "no data", the alarms, the topic.

    *now* is aware. Raises `UnavailableError`.
    """
    cloud, where = environment.cloud, environment.aws.configuration
    assert cloud is not None, "asked only of an environment in AWS"
    with told("reading the SLIs"):
        slis = {one.name: read_sli(one, where, now=now) for one in cloud.slis}
    if cloud.topic_arn:
        with told("looking for the topic"):
            check_topic(cloud.topic_arn, where)
    return {
        "slis": slis,
        "alarms_guard": sorted(cloud.alarms_guard),
        "alarms_expected": sorted(cloud.alarms_expected),
        "topic": cloud.topic_arn,
    }


def discovery_calls(name: str, file: CloudFile) -> tuple[ApiCall, ...]:
    """Every operation for *file* but its faults': `discover`, `readings`, a run's probes, the mirror, the messages."""
    wanted = ["sts:GetCallerIdentity", "ec2:DescribeAvailabilityZones", "ec2:DescribeSubnets", "ec2:DescribeInstances"]
    wanted += [] if file.production else ["iam:ListAccountAliases"]
    for named, operations in (
        (file.scaling_groups, ["autoscaling:DescribeAutoScalingGroups"]),
        (file.clusters, ["rds:DescribeDBClusters", "rds:DescribeDBInstances"]),
        (file.cache_groups, ["elasticache:DescribeReplicationGroups", "elasticache:ListTagsForResource"]),
        (file.load_balancers, ["elbv2:DescribeLoadBalancers", "elbv2:DescribeTags"]),
        (file.target_groups, ["elbv2:DescribeTargetGroups", "elbv2:DescribeTags", "elbv2:DescribeTargetHealth"]),
        ((*file.alarms_guard, *file.alarms_expected), ["cloudwatch:DescribeAlarms"]),
        (file.slis, ["cloudwatch:GetMetricData"]),
        (file.topic_arn, ["sns:GetTopicAttributes"]),
        ([one for one in file.dependencies.values() if one.security_group], ["ec2:DescribeSecurityGroups"]),
        ([one for one in file.dependencies.values() if one.database_instance], ["rds:DescribeDBInstances"]),
        ([one for one in file.dependencies.values() if one.function], ["lambda:GetFunction"]),
        (file.deniable_roles, ["iam:ListRoleTags"]),
    ):
        wanted += operations if named else []
    mirror = Mirror.of(account_of(name, file).configuration)
    topic = (file.topic_arn,) if file.topic_arn else ()
    tell = [ApiCall(service="sns", operation="Publish", purpose="tell", resources=topic)] if topic else []
    return (*reads(*dict.fromkeys(wanted)), *(mirror.api_calls if mirror else ()), *tell)


def _digest(cloud: Cloud, counts: dict[str, int]) -> str:
    """The shape of the environment, so that two runs can be said to have met the same one."""
    shape: dict[str, Any] = {
        "zones": {name: [zone.az_id, counts[name]] for name, zone in cloud.zones.items()},
        "groups": [one.name for one in cloud.scaling_groups],
        "clusters": {one.name: sorted(one.members.values()) for one in cloud.clusters},
        "balancing": sorted([*cloud.load_balancers, *cloud.target_groups]),
    }
    if cloud.cache_groups:
        shape["caches"] = {one.name: sorted(one.members.values()) for one in cloud.cache_groups}
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
