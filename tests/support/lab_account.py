"""The lab described as an account: an environment file of kind `aws` that points at its control plane.

What the account says happens there to real processes, which moto alone does not do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from support.lab import RunningLab

READY = [{"Key": "chaos-ready", "Value": "true"}]


@contextmanager
def lab_account(lab: RunningLab, path: Path, *, endpoint: str | None = None, **changes: Any) -> Iterator[Path]:
    """*path*, written: subnets and target group are made ready, instances say where they are; taken back after.

    The control plane is called at *endpoint*, of a recorder in front of it, say.
    """
    ec2, elbv2 = lab.client("ec2"), lab.client("elbv2")
    zones = {row["ZoneName"][-1]: row for row in ec2.describe_availability_zones()["AvailabilityZones"]}
    instances = [one for own in lab.environment.zones.values() for one in own]
    rows = ec2.describe_instances(InstanceIds=[one.id for one in instances])["Reservations"]
    subnets = sorted({one["SubnetId"] for row in rows for one in row["Instances"]})
    groups = [one["TargetGroupArn"] for one in elbv2.describe_target_groups(Names=["shop"])["TargetGroups"]]
    ec2.create_tags(Resources=subnets, Tags=READY)
    elbv2.add_tags(ResourceArns=groups, Tags=READY)
    for one in instances:
        ec2.create_tags(Resources=[one.id], Tags=[{"Key": "url", "Value": one.url}])
    account = lab.environment.aws.account
    document = {
        "name": "staging",
        "kind": "aws",
        "aws": {
            "account": account,
            "region": lab.environment.aws.region,
            "role": f"arn:aws:iam::{account}:role/stormproof-staging",
            "endpoint": endpoint or lab.environment.aws.endpoint_url,
        },
        "url": lab.environment.base_url,
        "tags": {"chaos-ready": "true"},
        "zones": {
            zone: {"id": zones[zone]["ZoneId"], "name": zones[zone]["ZoneName"]} for zone in lab.environment.zones
        },
        "instances": {"address": "tag:url"},
        "target_groups": ["shop"],
        **changes,
    }
    path.write_text(yaml.safe_dump(document))
    try:
        yield path
    finally:
        ec2.delete_tags(Resources=subnets, Tags=READY)
        elbv2.remove_tags(ResourceArns=groups, TagKeys=["chaos-ready"])
        for one in instances:
            ec2.delete_tags(Resources=[one.id], Tags=[{"Key": "url"}])
