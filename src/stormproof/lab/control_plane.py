"""The lab's AWS: a moto server, filled with the lab, that tells the supervisor what became of its instances.

``python -m stormproof.lab.control_plane TOPOLOGY_FILE``. Lines of JSON out: ``{"ready": true}`` once, then
``{"instance": "i-…", "state": "stopped", "cut_off": false}`` whenever its state changes, or what the ACL of its subnet
lets pass, and ``{"release": "1.0.0", "version": 1}`` whenever another build is wanted, and
``{"parameters": {name: value}}`` whenever those of the shop change. Lines of JSON in:
``{"healthy": {"i-…": true}}``, what the balancer says of its targets, and ``{"deployment": {…}}``, what the deployment
says of itself. Replacements of lost instances (`fleet`) are told as ``{"replacement": "i-…", "of": "i-…", "zone": "b",
"state": "running"}``. moto calls every running target healthy; here a target's health is what the balancer says, and
``describe_target_health`` repeats it.
"""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stormproof.lab import capacity, moto_memory
from stormproof.lab.builds import FIRST, STATUS_PARAMETER, WANTED_PARAMETER
from stormproof.lab.fleet import Fleet, FleetCalls, keep_whole
from stormproof.lab.network_acl import AclEntry, cuts_off
from stormproof.lab.topology import (
    ACCOUNT,
    CARTS_TABLE,
    REGION,
    REPLACES_TAG,
    ZONES,
    Topology,
    listening_socket,
)
from stormproof.lab.variants import variant_named

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
    moto_memory.remember()
    _tell_the_truth_about_health(healthy)
    capacity.make_true()
    _count_stops()
    _serve(topology)
    subnets = seed(topology)
    gc.collect()
    gc.freeze()  # what the services loaded lives as long as we do: to look through it stops every call for 0.3 s
    fleet = Fleet(
        zones={instance.id: instance.zone for instance in topology.instances},
        policy=variant_named(topology.variant).fleet,
        calls=FleetCalls(topology, subnets),
    )
    threading.Thread(
        target=keep_whole,
        args=(fleet, lambda: {instance: state for instance, state, *_ in _states(topology)}),
        daemon=True,
        name="fleet",
    ).start()
    threading.Thread(target=_watch, args=(topology,), daemon=True, name="watch").start()
    ssm = _client("ssm", topology)
    for line in sys.stdin:
        document = json.loads(line)
        healthy.update(document.get("healthy", {}))
        if "deployment" in document:
            _put(ssm, STATUS_PARAMETER, json.dumps(document["deployment"]))


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


def seed(topology: Topology) -> dict[str, str]:
    """Make the control plane say what the lab is: network, instances, balancer, table; the subnet of each zone.

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
    _say_how_it_is_checked(group["TargetGroupArn"], topology)
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

    _put(_client("ssm", topology), WANTED_PARAMETER, FIRST.name)
    return subnets


def _say_how_it_is_checked(target_group_arn: str, topology: Topology) -> None:
    """Let the target group say how the balancer checks: in whole seconds, which are all that the API has.

    Rounded up, so that what is concluded from "it had the time to notice" stays true. Set in moto's memory, which
    refuses a time-out that is not shorter than the interval.
    """
    from moto.elbv2.models import elbv2_backends

    policy = variant_named(topology.variant).balancer
    group = elbv2_backends[ACCOUNT][REGION].target_groups[target_group_arn]
    group.health_check_interval_seconds = math.ceil(policy.health_interval_s)
    group.health_check_timeout_seconds = math.ceil(policy.health_timeout_s)
    group.unhealthy_threshold_count = str(policy.unhealthy_threshold)
    group.healthy_threshold_count = str(policy.healthy_threshold)


def _put(ssm: Any, name: str, value: str) -> None:
    ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)


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


def _replacements(topology: Topology) -> Iterator[tuple[str, str, str, str]]:
    """Every replacement, whom it replaces, its zone and its state, read from moto's memory."""
    from moto.ec2.models import ec2_backends

    own = {instance.id for instance in topology.instances}
    for reservation in list(ec2_backends[ACCOUNT][REGION].reservations.values()):
        for instance in list(reservation.instances):
            if instance.id in own:  # to look for tags is slow, and this is asked fifty times a second
                continue
            tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
            if REPLACES_TAG in tags:
                yield instance.id, tags[REPLACES_TAG], tags["zone"], str(instance.state)


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


def _wanted_release() -> tuple[str, int]:
    """The wanted release and the version of its parameter, read from moto's memory."""
    from moto.ssm.models import ssm_backends

    parameter = ssm_backends[ACCOUNT][REGION].get_parameter(WANTED_PARAMETER)
    return ("", 0) if parameter is None else (str(parameter.value), int(parameter.version))


def _tell_instances(topology: Topology, known: dict[str, tuple[str, bool, int]]) -> None:
    """Those whose state differs from what is *known*, which then knows it."""
    for instance, state, cut_off, stops in _states(topology):
        before = known.get(instance)
        if before == (state, cut_off, stops):
            continue
        known[instance] = (state, cut_off, stops)
        for told in _passed_through(before, state, stops):
            _say({"instance": instance, "state": told, "cut_off": cut_off})


def _watch(topology: Topology) -> None:
    """Report every change of state, the first reading included; ready when that is out."""
    known: dict[str, tuple[str, bool, int]] = {}
    replacements: dict[str, str] = {}
    known_release: tuple[str, int] | None = None
    parameters: dict[str, str] = {}
    first = True
    while True:
        if (release := _wanted_release()) != known_release:
            known_release = release
            _say({"release": release[0], "version": release[1]})
        if (now := _parameters()) != parameters:
            parameters = now
            _say({"parameters": parameters})
        _tell_instances(topology, known)
        for new, lost, zone, state in _replacements(topology):
            if replacements.get(new) != state:
                replacements[new] = state
                _say({"replacement": new, "of": lost, "zone": zone, "state": state})
        if first:
            first = False
            _say({"ready": True})
        time.sleep(_WATCH_EVERY_S)


def _parameters() -> dict[str, str]:
    """The shop's parameters in SSM, read from moto's memory; nothing before anybody has called SSM."""
    models = sys.modules.get("moto.ssm.models")  # importing it costs a second that few labs need
    backends = getattr(models, "ssm_backends", None)
    if backends is None:
        return {}
    held = backends[ACCOUNT][REGION]._parameters  # noqa: SLF001 - moto has no other door to it
    return {
        str(name): str(held[name][-1].value) for name in list(held) if str(name).startswith("/shop/") and held[name]
    }


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
