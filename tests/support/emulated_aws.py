"""moto as a process of its own, reached over HTTP; an estate in it; and what of it experiments must bring back.

moto keeps state and makes nothing of it true: no test takes its word for a behaviour.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session
import yaml

from stormproof.faults import aws
from stormproof.kinship import die_with_parent
from support.command import wait_for

ACCOUNT, REGION = "123456789012", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/stormproof-staging"
READY = {"chaos-ready": "true", "app": "shop"}
# To become who the file says is no change to anything, and an invocation of a canary is none that is brought back.
READS = ("Describe", "Get", "List", "AssumeRole", "Invoke")
# `python -m moto.server`, which does not look up anew for each request what never changes.
MOTO = (
    "import sys; from stormproof.lab import moto_memory; moto_memory.remember();"
    "from moto.server import main; main(sys.argv[1:])"
)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def emulator() -> Iterator[str]:
    """The URL of a moto server."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    me = os.getpid()
    process = subprocess.Popen(
        [sys.executable, "-c", MOTO, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"},
        preexec_fn=lambda: die_with_parent(me),  # noqa: PLW1509 - also of killed tests nothing is left
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for("moto", lambda: _answers(url), within_s=60)
        _warm_up(url)
        yield url
    finally:
        process.kill()
        process.wait(timeout=30)


def _warm_up(url: str) -> None:
    """The first call of each service makes moto import it, which may take longer than our own clients wait."""
    patient("iam", url).list_account_aliases()
    patient("sts", url).get_caller_identity()
    patient("sns", url).list_topics()
    patient("sqs", url).list_queues()
    patient("cloudwatch", url).list_metrics()


def _answers(url: str) -> bool:
    try:
        with _DIRECT.open(f"{url}/moto-api/data.json", timeout=5) as answer:
            return int(answer.status) == 200
    except OSError:
        return False


def configuration(url: str) -> dict[str, str]:
    """What a fault's configuration says of the emulator at *url*."""
    return {"aws_endpoint_url": url, "aws_region": REGION, "aws_account": ACCOUNT}


@functools.cache
def patient(service: str, url: str) -> Any:
    """A patient client, made once: the first call of a service makes moto import it."""
    return aws.client(service, configuration(url), attempts=1, timeout_s=60)


def client(service: str, where: Mapping[str, str]) -> Any:
    """The patient one for the emulator that *where* names."""
    return patient(service, where["aws_endpoint_url"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """What `build` made."""

    url: str
    instances: Mapping[str, list[str]]  # zone → ids
    subnets: Mapping[str, str]  # zone → id
    strangers: list[str]  # instances without the tag, or not running
    zone_ids: Mapping[str, str]

    def client(self, service: str) -> Any:
        """A client of the tests' own, past every recorder."""
        return client(service, configuration(self.url))


def build(url: str) -> Estate:
    """Three zones of a shop behind a balancer, a group that replaces, a cluster written in zone a; and strangers."""
    _DIRECT.open(urllib.request.Request(f"{url}/moto-api/reset", method="POST"), timeout=30).close()
    where = configuration(url)
    ec2 = client("ec2", where)
    zone_ids = {row["ZoneName"][-1]: row["ZoneId"] for row in ec2.describe_availability_zones()["AvailabilityZones"]}
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets, instances, strangers = {}, {}, []
    for number, zone in enumerate("abc", start=1):
        subnet = ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"10.0.{number}.0/24",
            AvailabilityZone=f"{REGION}{zone}",
            TagSpecifications=[_tagged("subnet", READY)],
        )["Subnet"]["SubnetId"]
        subnets[zone] = subnet
        instances[zone] = _launch(ec2, subnet, READY, count=2)
    strangers += _launch(ec2, subnets["a"], {"app": "shop"}, count=1)
    stopped = _launch(ec2, subnets["a"], READY, count=1)
    ec2.stop_instances(InstanceIds=stopped)
    strangers += stopped
    _balance(where, vpc, subnets, [one for own in instances.values() for one in own])
    _scale(where, ",".join(subnets.values()))
    _store(where)
    return Estate(url=url, instances=instances, subnets=subnets, strangers=strangers, zone_ids=zone_ids)


def _tagged(kind: str, tags: Mapping[str, str]) -> dict[str, Any]:
    return {"ResourceType": kind, "Tags": _pairs(tags)}


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _launch(ec2: Any, subnet: str, tags: Mapping[str, str], *, count: int) -> list[str]:
    made = ec2.run_instances(
        ImageId="ami-00000000",
        MinCount=count,
        MaxCount=count,
        SubnetId=subnet,
        TagSpecifications=[_tagged("instance", tags)],
    )
    return sorted(one["InstanceId"] for one in made["Instances"])


def _balance(where: Mapping[str, str], vpc: str, subnets: Mapping[str, str], ids: list[str]) -> None:
    elbv2 = client("elbv2", where)
    balancer = elbv2.create_load_balancer(Name="shop", Subnets=list(subnets.values()), Tags=_pairs(READY))
    group = elbv2.create_target_group(Name="shop", Protocol="HTTP", Port=8080, VpcId=vpc, Tags=_pairs(READY))
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": one, "Port": 8080} for one in ids])
    elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )


def _scale(where: Mapping[str, str], subnets: str) -> None:
    """A group of no instances: moto would put them all into one zone. One process is suspended already."""
    autoscaling = client("autoscaling", where)
    autoscaling.create_launch_configuration(
        LaunchConfigurationName="shop", ImageId="ami-00000000", InstanceType="t3.micro"
    )
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="shop",
        LaunchConfigurationName="shop",
        MinSize=0,
        MaxSize=6,
        DesiredCapacity=0,
        VPCZoneIdentifier=subnets,
        Tags=[
            {**pair, "ResourceId": "shop", "ResourceType": "auto-scaling-group", "PropagateAtLaunch": False}
            for pair in _pairs(READY)
        ],
    )
    autoscaling.suspend_processes(AutoScalingGroupName="shop", ScalingProcesses=["AZRebalance"])


def _store(where: Mapping[str, str]) -> None:
    rds = client("rds", where)
    rds.create_db_cluster(
        DBClusterIdentifier="orders",
        Engine="aurora-postgresql",
        MasterUsername="shop",
        MasterUserPassword="not-a-secret",
        Tags=_pairs(READY),
    )
    for zone in "ab":
        rds.create_db_instance(
            DBInstanceIdentifier=f"orders-{zone}",
            DBClusterIdentifier="orders",
            DBInstanceClass="db.r6g.large",
            Engine="aurora-postgresql",
            AvailabilityZone=f"{REGION}{zone}",
        )


def environment_file(estate: Estate, folder: Path, *, url: str | None = None, **changes: Any) -> Path:
    """`staging.yaml` for *estate* in *folder*, with the emulator at *url* (a recorder in front of it, say)."""
    document: dict[str, Any] = {
        "name": "staging",
        "kind": "aws",
        "aws": {"account": ACCOUNT, "region": REGION, "role": ROLE, "endpoint": url or estate.url},
        "url": "http://127.0.0.1:8080",
        "tags": dict(READY),
        "zones": {zone: {"id": estate.zone_ids[zone], "name": f"{REGION}{zone}"} for zone in "abc"},
        "instances": {"address": "none"},
        "load_balancers": ["shop"],
        "target_groups": ["shop"],
        "auto_scaling_groups": ["shop"],
        "database_clusters": ["orders"],
        **changes,
    }
    folder.mkdir(exist_ok=True)
    path = folder / "staging.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def state_of(estate: Estate) -> dict[str, Any]:
    """Everything that an AZ loss may change, as AWS tells it; ids of associations excepted, which a swap renews."""
    ec2, rds = estate.client("ec2"), estate.client("rds")
    acls = ec2.describe_network_acls()["NetworkAcls"]
    groups = estate.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return {
        "instances": {
            one["InstanceId"]: one["State"]["Name"]
            for row in ec2.describe_instances()["Reservations"]
            for one in row["Instances"]
        },
        "acl_of_subnet": {one["SubnetId"]: acl["NetworkAclId"] for acl in acls for one in acl["Associations"]},
        "acls": sorted(acl["NetworkAclId"] for acl in acls),
        "suspended": {
            group["AutoScalingGroupName"]: sorted(one["ProcessName"] for one in group["SuspendedProcesses"])
            for group in groups
        },
        "writers": {
            cluster["DBClusterIdentifier"]: [
                one["DBInstanceIdentifier"] for one in cluster["DBClusterMembers"] if one["IsClusterWriter"]
            ]
            for cluster in rds.describe_db_clusters()["DBClusters"]
        },
    }


@dataclass(slots=True)
class Call:
    """One request as it went over the wire."""

    service: str  # as in the credential scope of its signature: "elasticloadbalancing"
    operation: str
    user_agent: str
    harmless: bool = False  # a canary's: a change by its name only

    @property
    def changes(self) -> bool:
        """Whether its name is not that of a read."""
        return not self.harmless and not self.operation.startswith(READS)


@dataclass(slots=True)
class Cut:
    """After the call number `at` (from 1) that changes something nothing more gets through: credentials have expired.

    `before`: that call does not get through either; else it does, and only its answer is lost.
    """

    at: int
    before: bool


@dataclass(slots=True)
class Recorder:
    """Stands in front of the emulator, passes on what `cut` lets pass, and remembers every call."""

    behind: str
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    cut: Cut | None = None
    harmless: Callable[[Call], bool] = lambda _: False
    refuse: Callable[[Call], tuple[int, str] | None] = lambda _: None  # a status and an error code of our own
    # What somebody else than the emulator answers to a method, a path and a body: a status, and JSON or XML as a text.
    instead: Callable[[str, str, bytes], tuple[int, Any] | None] = lambda *_: None

    @property
    def changes(self) -> list[str]:
        """The operations that change something, in order."""
        return [one.operation for one in self.calls if one.changes]

    def forget(self) -> None:
        """For the next test: as it was made."""
        self.calls.clear()
        self.cut, self.refuse, self.instead = None, lambda _: None, lambda *_: None


@contextlib.contextmanager
def recorder(behind: str) -> Iterator[Recorder]:
    """A recorder in front of *behind*."""
    recorded = Recorder(behind)

    class Handler(_Recording):
        memory = recorded

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        recorded.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield recorded
        finally:
            server.shutdown()


class _Recording(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    memory: Recorder

    def do_GET(self) -> None:
        self._record()

    def do_PUT(self) -> None:
        self._record()

    def do_DELETE(self) -> None:
        self._record()

    def do_POST(self) -> None:
        self._record()

    def _record(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        call = Call(self._service(), self._operation(body), self.headers.get("User-Agent", ""))
        call.harmless = self.memory.harmless(call)
        self.memory.calls.append(call)
        changed = len(self.memory.changes)
        cut = self.memory.cut
        if cut and (changed > cut.at or (changed == cut.at and (cut.before or not call.changes))):
            self._answer(*_error(403, "ExpiredToken"))
        elif refusal := self.memory.refuse(call):
            self._answer(*_error(*refusal))
        elif instead := self.memory.instead(self.command, self.path, body):
            lost = cut is not None and changed == cut.at and call.changes
            self._answer(*(_error(403, "ExpiredToken") if lost else (instead[0], *_as_sent(instead[1]))))
        elif cut and changed == cut.at and call.changes:
            self._forward(body)
            self._answer(*_error(403, "ExpiredToken"))
        else:
            self._answer(*self._forward(body))

    def _service(self) -> str:
        credential = self.headers.get("Authorization", "").partition("Credential=")[2].split(",")[0]
        return credential.split("/")[3] if credential.count("/") == 4 else ""

    def _operation(self, body: bytes) -> str:
        if target := self.headers.get("X-Amz-Target"):
            return target.rpartition(".")[2]
        form = urllib.parse.parse_qs(body.decode(errors="replace"))
        if "Action" in form:
            return form["Action"][0]
        rpc = self.path.partition("/operation/")[2]  # Smithy's RPC over CBOR
        return rpc or _rest_operation(self._service(), self.command, self.path)

    def _forward(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        headers.setdefault("Content-Type", "application/octet-stream")  # or urllib calls it a form, and moto reads one
        url = self.memory.behind + self.path
        request = urllib.request.Request(url, data=body or None, headers=headers, method=self.command)
        try:
            with _DIRECT.open(request, timeout=30) as answer:
                return answer.status, _kept(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _kept(error.headers), error.read()

    def _answer(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        if status >= 400 and b"<Code>" in data:  # where a protocol's errors are JSON, the code is read from here
            self.send_header("x-amzn-errortype", data.partition(b"<Code>")[2].partition(b"<")[0].decode())
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """What clients read of an answer's headers."""
    return {name: headers[name] for name in ("Content-Type", "ETag", "Last-Modified") if headers.get(name)}


@functools.cache
def _rest_operations(service: str) -> list[tuple[str, re.Pattern[str], str]]:
    """Method, path and name of each operation of a service whose operations are paths."""
    model = botocore.session.get_session().get_service_model(service)
    found = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(http["requestUri"].partition("?")[0]))
        found.append((http["method"], re.compile(path), name))
    return found


def _rest_operation(service: str, method: str, path: str) -> str:
    fits = [
        name
        # S3's operations differ in query and headers too: there the path says more.
        for verb, pattern, name in (_rest_operations(service) if service not in ("", "s3") else ())
        if verb == method and pattern.fullmatch(path.partition("?")[0])
    ]
    return fits[0] if fits else f"{method.title()} {path}"


def _as_sent(document: Any) -> tuple[Mapping[str, str], bytes]:
    """Headers and body of what stands in for the emulator."""
    if isinstance(document, str):
        return {"Content-Type": "text/xml"}, document.encode()
    return {"Content-Type": "application/json"}, json.dumps(document).encode()


def _error(status: int, code: str) -> tuple[int, Mapping[str, str], bytes]:
    """In the form that EC2's protocol has; that of query is read from the same elements."""
    body = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>by the recorder</Message></Error></Errors>"
        f"<Error><Code>{code}</Code><Message>by the recorder</Message></Error></Response>"
    )
    return status, {"Content-Type": "text/xml"}, body.encode()
