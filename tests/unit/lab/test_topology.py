"""Addresses and identities: chosen before anything starts, held while the lab is up."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormproof.errors import UsageError
from stormproof.lab.topology import (
    Reservations,
    Topology,
    choose_topology,
    listening_socket,
    resolve,
)
from stormproof.lab.variants import variant_named


@pytest.fixture
def reservations() -> Iterator[Reservations]:
    held = Reservations()
    yield held
    held.close()


def test_a_topology_survives_its_file(reservations: Reservations) -> None:
    """What the supervisor writes is what the others read."""
    topology = choose_topology("naive", reservations)

    assert Topology.from_document(json.loads(json.dumps(topology.to_document()))) == topology


def test_no_two_parts_share_an_address(reservations: Reservations) -> None:
    """Six instances, balancer, admin interface, control plane, four backends, a proxy a dependency, six bad ends."""
    topology = choose_topology("hardened", reservations)
    addresses = [
        *(i.address for i in topology.instances),
        topology.balancer,
        topology.admin,
        topology.moto,
        *topology.backends.values(),
        *topology.proxies.values(),
        topology.resolver,
        topology.resetter,
        *topology.tls.values(),
    ]

    assert len(set(addresses)) == len(addresses) == 29
    if sys.platform == "linux":
        assert {i.address.host.rpartition(".")[0] for i in topology.instances} == {"127.0.1", "127.0.2", "127.0.3"}


def test_a_reserved_port_refuses_and_cannot_be_taken(reservations: Reservations) -> None:
    """Nobody else gets the port; who connects is refused; the lab's own part can listen on it."""
    address = reservations.take("127.0.0.1")
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind((address.host, address.port))
    with socket.socket() as client:
        assert client.connect_ex((address.host, address.port)) != 0

    with listening_socket(address.host, address.port) as server, socket.socket() as client:
        server.listen()
        assert client.connect_ex((address.host, address.port)) == 0


def test_the_digest_is_of_the_shape_not_of_the_ports(reservations: Reservations, tmp_path: Path) -> None:
    """Two labs of one variant are one topology; two variants are two."""
    digests = [
        resolve(choose_topology(variant, reservations), tmp_path).topology_digest
        for variant in ("naive", "naive", "hardened")
    ]

    assert digests[0] == digests[1] != digests[2]


def test_the_environment_names_every_target(reservations: Reservations, tmp_path: Path) -> None:
    """Balancer hosts, zones and instance ids agree; AWS dependencies say which service they are."""
    topology = choose_topology("naive", reservations)
    environment = resolve(topology, tmp_path)

    assert environment.simulated
    assert set(environment.target_names.values()) == {i.id for zone in environment.zones.values() for i in zone}
    assert environment.dependencies["cart"].service == "dynamodb"
    assert environment.dependencies["reviews"].service is None
    assert environment.dependencies["reviews"].canary_path == "/healthz"


def test_an_unknown_variant_names_the_known_ones() -> None:
    """The message says what there is."""
    with pytest.raises(UsageError, match="hardened, naive, got 'sturdy'"):
        variant_named("sturdy")
