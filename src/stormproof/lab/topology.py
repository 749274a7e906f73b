"""What the lab consists of and where each part listens: chosen once, before anything starts."""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import stormproof
from stormproof.lab.builds import BROKEN, STATUS_PARAMETER, WANTED_PARAMETER
from stormproof.lab.variants import variant_named
from stormproof.model.control import ControlRoute
from stormproof.model.environment import (
    Aws,
    Dependency,
    Deployment,
    Environment,
    Fleet,
    HealthCheck,
    Instance,
    Proxy,
)

ZONES = ("a", "b", "c")
INSTANCES_PER_ZONE = 2
REGION = "us-east-1"
ACCOUNT = "123456789012"  # moto's
SHOP_CLUSTER = "shop"
# Requests with this header have instances of their own: the control group's are those of this zone.
CONTROL_HEADER, CONTROL_ZONE = "x-stormproof-control", "c"
CARTS_TABLE = "carts"
# The auto-healer: the role that it launches with, its name in the arrivals of EC2, the tag on what it launches.
FLEET_ROLE = f"arn:aws:iam::{ACCOUNT}:role/shop-fleet"
FLEET_CLIENT = "shop-fleet"
REPLACES_TAG = "replaces"
FIS_ROLE = f"arn:aws:iam::{ACCOUNT}:role/fis"

# Dependencies that are HTTP services of ours; everything else is an AWS API behind moto.
HTTP_DEPENDENCIES = ("recommendations", "reviews", "stock", "prices")
# Name of the dependency → AWS service. Beside the cart nothing is called by the shop: they are there so that
# throttling can be tried on every protocol.
AWS_DEPENDENCIES: Mapping[str, str] = {
    "cart": "dynamodb",
    "sqs": "sqs",
    "sns": "sns",
    "s3": "s3",
    "lambda": "lambda",
    "ec2": "ec2",
}
DEPENDENCIES = (*HTTP_DEPENDENCIES, *AWS_DEPENDENCIES)
# Those that can be slowed down: each file that Envoy watches costs one of the user's inotify instances (often 128).
SLOWED_DEPENDENCIES = ("recommendations", "reviews", "cart")
# What the lab's TLS endpoints have for a certificate; "valid" is the control: all else equal, it must work.
CERTIFICATES = ("expired", "wrong-host", "self-signed", "valid")
# Where a client of ours comes from when its request must not count as the workload's and cannot say so itself.
CANARY_SOURCE = "127.83.0.1"
RESET_CLUSTER = "resetter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A loopback address and port."""

    host: str
    port: int

    @property
    def text(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """``http://host:port``."""
        return f"http://{self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopInstance:
    """One EC2 instance of the lab: a shop process."""

    id: str
    name: str
    zone: str
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Every part of one lab and its address."""

    lab_id: str  # Envoy's node id: what is checked before anything is changed
    variant: str
    instances: tuple[ShopInstance, ...]
    balancer: Address
    admin: Address
    moto: Address
    backends: Mapping[str, Address]  # HTTP dependency → its process
    proxies: Mapping[str, Address]  # dependency → its listener in Envoy
    resolver: Address  # a name server (over TCP) that knows no name
    resetter: Address  # takes a request and resets the connection
    tls: Mapping[str, Address]  # certificate → an endpoint that has it

    def to_document(self) -> dict[str, Any]:
        """As JSON-ready data; `from_document` reads it back."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Topology:
        """Read back what `to_document` wrote."""
        return cls(
            lab_id=document["lab_id"],
            variant=document["variant"],
            instances=tuple(
                ShopInstance(**{**row, "address": Address(**row["address"])}) for row in document["instances"]
            ),
            balancer=Address(**document["balancer"]),
            admin=Address(**document["admin"]),
            moto=Address(**document["moto"]),
            backends={name: Address(**row) for name, row in document["backends"].items()},
            proxies={name: Address(**row) for name, row in document["proxies"].items()},
            resolver=Address(**document["resolver"]),
            resetter=Address(**document["resetter"]),
            tls={name: Address(**row) for name, row in document["tls"].items()},
        )


class Reservations:
    """Ports that we hold: bound, so that nobody else is given them, but not listening, so that they refuse.

    A part of the lab binds the same port beside us (``SO_REUSEPORT``). We go on holding it while the part is down: a
    killed shop process finds its own port again, and what connects meanwhile is refused, as by a machine whose server
    is gone. Envoy's admin interface cannot share, so its port is let go just before Envoy starts.
    """

    def __init__(self) -> None:
        self._sockets: dict[Address, socket.socket] = {}

    def take(self, host: str) -> Address:
        """Bind a free port on *host*."""
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((host, 0))
        address = Address(host=host, port=holder.getsockname()[1])
        self._sockets[address] = holder
        return address

    def release(self, address: Address) -> None:
        """Let go of one port."""
        self._sockets.pop(address).close()

    def close(self) -> None:
        """Let go of all of them."""
        for holder in self._sockets.values():
            holder.close()
        self._sockets.clear()


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket bound to a port that the supervisor has reserved; the caller listens on it."""
    shared = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind((host, port))
    return shared


def zone_host(zone: str, number: int) -> str:
    """The address of the *number*th instance (from 1) of *zone*: 127.0.<zone>.<number> where Linux has all of 127/8."""
    if sys.platform != "linux":
        return "127.0.0.1"  # other systems have this one address only; ports tell the instances apart
    return f"127.0.{ZONES.index(zone) + 1}.{number}"


def choose_topology(variant: str, reservations: Reservations) -> Topology:
    """Pick identities and free ports for a new lab; the ports stay bound in *reservations*."""
    instances = tuple(
        ShopInstance(
            id=f"i-{secrets.token_hex(9)[:17]}",
            name=f"shop-{zone}{number}",
            zone=zone,
            address=reservations.take(zone_host(zone, number)),
        )
        for zone in ZONES
        for number in range(1, INSTANCES_PER_ZONE + 1)
    )
    return Topology(
        lab_id=f"lab-{secrets.token_hex(8)}",
        variant=variant,
        instances=instances,
        balancer=reservations.take("127.0.0.1"),
        admin=reservations.take("127.0.0.1"),
        moto=reservations.take("127.0.0.1"),
        backends={name: reservations.take("127.0.0.1") for name in HTTP_DEPENDENCIES},
        proxies={name: reservations.take("127.0.0.1") for name in DEPENDENCIES},
        resolver=reservations.take("127.0.0.1"),
        resetter=reservations.take("127.0.0.1"),
        tls={name: reservations.take("127.0.0.1") for name in CERTIFICATES},
    )


def delay_percent_key(dependency: str) -> str:
    """Envoy runtime key: the share of calls to *dependency* that are delayed, 0…100."""
    return f"lab.{dependency}.delay_percent"


def delay_duration_key(dependency: str) -> str:
    """Envoy runtime key: how long they are delayed, ms."""
    return f"lab.{dependency}.delay_ms"


def abort_percent_key(dependency: str) -> str:
    """Envoy runtime key: the share of calls to *dependency* that are answered with an error, 0…100."""
    return f"lab.{dependency}.abort_percent"


def abort_status_key(dependency: str) -> str:
    """Envoy runtime key: the status of that error."""
    return f"lab.{dependency}.abort_status"


def dns_percent_key(dependency: str) -> str:
    """Envoy runtime key: the share of calls to *dependency* whose host name is looked up in vain, 0…100."""
    return f"lab.{dependency}.dns_percent"


def tls_percent_key(dependency: str, certificate: str) -> str:
    """Envoy runtime key: the share of calls to *dependency* that go to the TLS endpoint with *certificate*, 0…100."""
    return f"lab.{dependency}.tls_{certificate.replace('-', '_')}_percent"


def throttle_key(dependency: str) -> str:
    """Envoy runtime key: the share of calls to *dependency* that need a token of the bucket, 0…100."""
    return f"lab.{dependency}.throttle_percent"


def bucket_path(directory: Path, dependency: str) -> Path:
    """The file that holds the token bucket in front of *dependency*."""
    return directory / "buckets" / f"{dependency}.json"


def latency_path(directory: Path, dependency: str) -> Path:
    """The file that holds that filter."""
    return directory / "latency" / f"{dependency}.json"


def release_parameter() -> str:
    """The SSM parameter that says which release of the shop is served; absent: the variant's own."""
    return "/shop/release"


def key_parameter(instance_id: str) -> str:
    """The SSM parameter that holds an instance's key for its dependencies; absent: the current one."""
    return f"/shop/{instance_id}/api-key"


def parameters_path(directory: Path) -> Path:
    """The file in which the shop's processes find those parameters, kept by the supervisor."""
    return directory / "parameters" / "parameters.json"


def listeners_path(directory: Path) -> Path:
    """The file that holds the listeners in front of the dependencies."""
    return directory / "listeners" / "listeners.json"


def tls_path(directory: Path) -> Path:
    """The folder of the lab's certificates."""
    return directory / "tls"


def access_log_path(directory: Path, dependency: str) -> Path:
    """The access log of *dependency*'s listener: the source of arrivals."""
    return directory / "arrivals" / f"{dependency}.jsonl"


def resolve(topology: Topology, directory: Path) -> Environment:
    """The lab as an environment: what the rest of Stormproof knows of it."""
    instances, policy = topology.instances, variant_named(topology.variant).balancer
    return Environment(
        name="local",
        simulated=True,
        base_url=topology.balancer.url,
        aws=Aws(endpoint_url=topology.moto.url, region=REGION, account=ACCOUNT),
        proxy=Proxy(
            admin_url=topology.admin.url,
            node_id=topology.lab_id,
            balancer_cluster=SHOP_CLUSTER,
            health_check=HealthCheck(
                interval_s=policy.health_interval_s,
                timeout_s=policy.health_timeout_s,
                unhealthy_threshold=policy.unhealthy_threshold,
                healthy_threshold=policy.healthy_threshold,
                counts_from="end",  # Envoy waits for one check to be over before it counts to the next
            ),
            listeners_path=str(listeners_path(directory)),
            reset_cluster=RESET_CLUSTER,
            canary_source=CANARY_SOURCE,
        ),
        zones={
            zone: tuple(
                Instance(id=i.id, zone=zone, url=i.address.url, key_parameter=key_parameter(i.id))
                for i in instances
                if i.zone == zone
            )
            for zone in ZONES
        },
        dependencies={name: dependency_of(name, topology, directory) for name in DEPENDENCIES},
        deployment=Deployment(parameter=WANTED_PARAMETER, status_parameter=STATUS_PARAMETER, broken=(BROKEN.name,)),
        fleet=Fleet(role_arn=FLEET_ROLE, client=FLEET_CLIENT, dependency="ec2", fis_role_arn=FIS_ROLE),
        target_names={i.address.text: i.id for i in instances},
        release_parameter=release_parameter(),
        control_route=ControlRoute(header=CONTROL_HEADER, zone=CONTROL_ZONE),
        variant=topology.variant,
        workload_version=f"lab shop {stormproof.__version__} {_source_digest()}",
        topology_digest=_topology_digest(topology),
    )


def dependency_of(name: str, topology: Topology, directory: Path) -> Dependency:
    """What the rest of Stormproof knows of the dependency called *name*."""
    return Dependency(
        name=name,
        url=topology.proxies[name].url,
        access_log=str(access_log_path(directory, name)),
        service=AWS_DEPENDENCIES.get(name),
        canary_path="/healthz" if name in HTTP_DEPENDENCIES else "/",
        delay_percent_key=delay_percent_key(name),
        delay_duration_key=delay_duration_key(name),
        throttle_enabled_key=throttle_key(name),
        throttle_config_path=str(bucket_path(directory, name)),
        abort_percent_key=abort_percent_key(name),
        abort_status_key=abort_status_key(name),
        latency_config_path=str(latency_path(directory, name)) if name in SLOWED_DEPENDENCIES else None,
        listener=name,
        dns_percent_key=dns_percent_key(name),
        tls_percent_keys={certificate: tls_percent_key(name, certificate) for certificate in CERTIFICATES},
    )


def _source_digest() -> str:
    """What the workload's own code is, so that two runs can be said to have tested the same shop."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in (
        "builds.py",
        "cart.py",
        "dependency.py",
        "parameters.py",
        "picture.py",
        "prices.py",
        "recommendations.py",
        "retrying.py",
        "shop.py",
        "stock.py",
    ):
        digest.update((here / name).read_bytes())
    return digest.hexdigest()[:12]


def _topology_digest(topology: Topology) -> str:
    """The shape of the lab without its addresses and random ids: equal for two labs of one variant."""
    shape = {
        "variant": asdict(variant_named(topology.variant)),
        "instances": [(i.zone, i.name) for i in topology.instances],
        "dependencies": sorted(topology.proxies),
    }
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
