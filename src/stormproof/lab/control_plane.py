"""The lab's AWS: a moto server, filled with the lab, that tells the supervisor what became of its instances.

``python -m stormproof.lab.control_plane TOPOLOGY_FILE``. Lines of JSON out: ``{"ready": true}`` once, then
``{"instance": "i-…", "state": "stopped", "cut_off": false}`` whenever its state changes, or what the ACL of its subnet
lets pass. Lines of JSON in: ``{"healthy": {"i-…": true}}``, what the balancer says of its targets. moto calls every
running target healthy; here a target's health is what the balancer says, and ``describe_target_health`` repeats it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stormproof.lab.network_acl import AclEntry, cuts_off
from stormproof.lab.topology import (
    ACCOUNT,
    CARTS_TABLE,
    REGION,
    ZONES,
    Topology,
    listening_socket,
)

_WATCH_EVERY_S = 0.02
_STOPS = "stormproof_stops"  # an attribute of ours on moto's instances


def main(topology_file: str) -> None:
    """Serve until the supervisor is gone (its end of our stdin closes) or ends us."""
    # Read by moto when it is imported. No list of machine images: nothing here starts from one.
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    os.environ["MOTO_LAMBDA_DATA_DIR"] = str(Path(topology_file).parent / "moto")
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    topology = Topology.from_document(json.loads(Path(topology_file).read_bytes()))
    healthy: dict[str, bool] = {}
    _tell_the_truth_about_health(healthy)
    _count_stops()
    _serve(topology)
    seed(topology)
    threading.Thread(target=_watch, args=(topology,), daemon=True, name="watch").start()
    for line in sys.stdin:
        healthy.update(json.loads(line)["healthy"])


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _serve(topology: Topology) -> None:
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    class QuietHandler(MotoRequestHandler):  # type: ignore[misc]
        """Keeps connections open, and prints nothing."""

        protocol_version = "HTTP/1.1"
        # Head and body are two writes: with Nagle's algorithm on a kept connection the second waits for 40 ms.
        disable_nagle_algorithm = True

        def log(self, *_: Any, **__: Any) -> None:
            """Nothing: an access log per call and a traceback per unknown service help nobody."""

    address = topology.moto
    listener = listening_socket(address.host, address.port)
    listener.listen(256)
    server = make_server(
        address.host,
        address.port,
        DomainDispatcherApplication(create_backend_app),
        threaded=True,
        request_handler=QuietHandler,
        fd=listener.fileno(),
    )
    listener.detach()  # the server has its own copy of the descriptor's number
    threading.Thread(target=server.serve_forever, daemon=True, name="moto").start()


def _client(service: str, topology: Topology) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(  # type: ignore[call-overload]
        service, region_name=REGION, endpoint_url=topology.moto.url, config=Config(proxies={})
    )


def seed(topology: Topology) -> None:
    """Make the control plane say what the lab is: network, instances, balancer, table.

    Goes through moto's own door (HTTP, boto3), so that what is slow the first time is over when the lab is ready.
    """
    ec2 = _client("ec2", topology)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = {
        zone: ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")[
            "Subnet"
        ]["SubnetId"]
        for number, zone in enumerate(ZONES, start=1)
    }
    _start_instances(ec2, topology, subnets)

    elbv2 = _client("elbv2", topology)
    balancer = elbv2.create_load_balancer(Name="shop", Subnets=list(subnets.values()))["LoadBalancers"][0]
    group = elbv2.create_target_group(Name="shop", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]
    elbv2.register_targets(
        TargetGroupArn=group["TargetGroupArn"],
        Targets=[{"Id": i.id, "Port": i.address.port} for i in topology.instances],
    )
    elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )

    _client("dynamodb", topology).create_table(
        TableName=CARTS_TABLE,
        KeySchema=[{"AttributeName": "user", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "user", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def _start_instances(ec2: Any, topology: Topology, subnets: dict[str, str]) -> None:
    """One instance a subnet call, with the ids that the topology chose before anything started."""
    from moto.ec2.models import instances as moto_instances

    invent, ids = moto_instances.random_instance_id, iter([i.id for i in topology.instances])
    moto_instances.random_instance_id = lambda: next(ids)
    try:
        for number, instance in enumerate(topology.instances, start=11):
            zone_number = ZONES.index(instance.zone) + 1
            ec2.run_instances(
                ImageId="ami-00000000",
                InstanceType="t3.micro",
                MinCount=1,
                MaxCount=1,
                SubnetId=subnets[instance.zone],
                PrivateIpAddress=f"10.0.{zone_number}.{number}",
                TagSpecifications=[
                    {
                        "ResourceType": "instance",
                        "Tags": [
                            {"Key": "Name", "Value": instance.name},
                            {"Key": "zone", "Value": instance.zone},
                            {"Key": "chaos-ready", "Value": "true"},
                        ],
                    }
                ],
            )
    finally:
        moto_instances.random_instance_id = invent


def _states(topology: Topology) -> Iterator[tuple[str, str, bool, int]]:
    """Every instance of the lab, its state, whether its subnet's ACL cuts it off, and how often it was stopped so far.

    Read from moto's memory.
    """
    from moto.ec2.models import ec2_backends

    backend = ec2_backends[ACCOUNT][REGION]
    closed = _closed_subnets(backend)
    for instance in topology.instances:
        found = backend.get_instance_by_id(instance.id)
        state = str(found.state) if found is not None else "terminated"
        yield instance.id, state, found is not None and found.subnet_id in closed, getattr(found, _STOPS, 0)


def _closed_subnets(backend: Any) -> set[str]:
    # Copies: moto's own threads change these while we read.
    return {
        association.subnet_id
        for acl in list(backend.network_acls.values())
        for association in list(acl._associations.values())  # noqa: SLF001 - moto has no other door to it
        if cuts_off(_entry(row) for row in list(acl.network_acl_entries))
    }


def _entry(row: Any) -> AclEntry:
    return AclEntry(
        number=int(row.rule_number),
        egress=str(row.egress).lower() == "true",
        allows=row.rule_action == "allow",
        protocol=str(row.protocol),
        cidr=row.cidr_block,
    )


def _watch(topology: Topology) -> None:
    """Report every change of state, the first reading included; ready when that is out."""
    known: dict[str, tuple[str, bool, int]] = {}
    first = True
    while True:
        for instance, state, cut_off, stops in _states(topology):
            before = known.get(instance)
            if before == (state, cut_off, stops):
                continue
            known[instance] = (state, cut_off, stops)
            for told in _passed_through(before, state, stops):
                _say({"instance": instance, "state": told, "cut_off": cut_off})
        if first:
            first = False
            _say({"ready": True})
        time.sleep(_WATCH_EVERY_S)


def _passed_through(before: tuple[str, bool, int] | None, state: str, stops: int) -> tuple[str, ...]:
    """The states since the last look: stopped and started in between, its process has died all the same."""
    missed = before is not None and stops > before[2] and before[0] == state == "running"
    return ("stopped", state) if missed else (state,)


def _count_stops() -> None:
    """Have moto remember how often each instance was stopped: a look now and then sees only what it is by then."""
    from moto.ec2.models.instances import Instance

    from_moto = Instance.stop

    def stop(self: Any) -> Any:
        setattr(self, _STOPS, getattr(self, _STOPS, 0) + 1)
        return from_moto(self)

    Instance.stop = stop


def _tell_the_truth_about_health(healthy: dict[str, bool]) -> None:
    """Make ``describe_target_health`` say what the balancer says, by instance id in *healthy*."""
    from moto.elbv2.models import ELBv2Backend

    from_moto = ELBv2Backend.describe_target_health

    def describe_target_health(self: Any, target_group_arn: str, targets: list[dict[str, Any]]) -> list[Any]:
        statuses: list[Any] = from_moto(self, target_group_arn, targets)
        for status in statuses:
            registered = status.status in {"healthy", "unused"} and status.reason in {None, "Target.InvalidState"}
            if not registered:
                continue
            if status.instance_id not in healthy:
                status.status, status.reason = "initial", "Elb.InitialHealthChecking"
                status.description = "Initial health checks in progress"
            elif healthy[status.instance_id]:
                # Also of a stopped one, for as long as the balancer has not noticed: that hole is what matters.
                status.status, status.reason, status.description = "healthy", None, None
            elif status.status == "healthy":
                status.status, status.reason = "unhealthy", "Target.FailedHealthChecks"
                status.description = "Health checks failed"
        return statuses

    ELBv2Backend.describe_target_health = describe_target_health


if __name__ == "__main__":
    main(sys.argv[1])
