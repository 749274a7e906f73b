"""A network ACL that denies, in the lab: connects hang, data hang, and both go on when it is gone.

In both ways of cutting: with filters, which the kernel may leave to root, and without any privilege, in a lab that runs
as somebody who has none.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from stormproof.errors import FaultError
from stormproof.faults import activity, az_loss
from stormproof.faults.ledger import Ledger
from stormproof.faults.protocol import Fault, Seen
from stormproof.model.plan import ResolvedFault
from support.lab import RunningLab, running_lab_without_privileges, until
from support.unprivileged import is_privileged

pytestmark = pytest.mark.lab

SILENCE_S = 1.5  # thirty turns of the supervisor, and several retransmissions
REQUEST = b"GET /product/1 HTTP/1.1\r\nHost: shop\r\n\r\n"


@pytest.fixture(scope="module")
def lab_without_privileges(lab: RunningLab) -> Iterator[RunningLab]:
    """A lab of somebody who may not attach a filter: the shared one if that is us, else one of another user's."""
    if is_privileged():
        yield from running_lab_without_privileges("hardened")
    else:
        yield lab


@pytest.fixture(params=["filter", "standstill"])
def cut_lab(request: pytest.FixtureRequest, lab: RunningLab) -> RunningLab:
    """A lab for each way of cutting."""
    if request.param == "standstill":
        chosen: RunningLab = request.getfixturevalue("lab_without_privileges")
        return chosen
    if not is_privileged():
        pytest.skip("this user may not attach filters: `standstill` is the way here")
    return lab


@pytest.fixture
def fault(lab: RunningLab) -> Iterator[ResolvedFault]:
    """The cut of zone a, not made; the lab whole before and after."""
    lab.wait_until_whole()
    arguments = az_loss.Arguments(zone="a", mode="network")
    yield az_loss.resolve(arguments, lab.environment, fault_id="cut-a")
    lab.wait_until_whole()


def connect(url: str) -> socket.socket:
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=SILENCE_S)


def answers(connection: socket.socket) -> bool:
    """Whether the shop answers the request sent last; raises `TimeoutError` while it is silent."""
    return connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.fixture
def cut(cut_lab: RunningLab) -> Iterator[Fault]:
    """The cut of zone a, in force and seen; mended whatever becomes of the test."""
    with in_force(cut_lab) as one:
        yield one


@contextmanager
def in_force(lab: RunningLab) -> Iterator[Fault]:
    """Zone a of *lab*, cut off; whole again at the end."""
    lab.wait_until_whole()
    resolved = az_loss.resolve(az_loss.Arguments(zone="a", mode="network"), lab.environment, fault_id="cut-a")
    one = az_loss.bind(resolved.target, resolved.configuration)
    prior = one.prior()
    one.act()
    try:
        until(lambda: one.look().seen is Seen.BROKEN)
        yield one
    finally:
        one.revert(prior)
        until(lambda: one.look().seen is Seen.WHOLE)
        lab.wait_until_whole()


def stopped(lab: RunningLab) -> set[str]:
    """The instances whose processes are stopped."""
    return {row["id"] for row in lab.status()["instances"] if psutil.Process(row["pid"]).status() == "stopped"}


def test_a_connect_hangs(cut_lab: RunningLab, cut: Fault) -> None:
    """To either instance of a zone that is cut off: neither accepted nor refused; another zone answers."""
    for instance in cut_lab.environment.zones["a"]:
        with pytest.raises(TimeoutError):
            connect(instance.url)
    with connect(cut_lab.environment.zones["b"][0].url) as other_zone:
        other_zone.sendall(REQUEST)
        assert answers(other_zone)


def test_data_hang_and_go_on(cut_lab: RunningLab) -> None:
    """On a connection from before the cut a request stays unanswered, and is answered after it."""
    with connect(cut_lab.environment.zones["a"][0].url) as old:
        old.sendall(REQUEST)
        assert answers(old)
        with in_force(cut_lab):
            old.sendall(REQUEST)
            with pytest.raises(TimeoutError):
                answers(old)
        old.settimeout(10)
        assert answers(old)


def test_the_lab_says_what_is_cut_and_how(cut_lab: RunningLab, cut: Fault, request: pytest.FixtureRequest) -> None:
    """One fault, the network's, whichever way; the processes stand still where nothing else is allowed."""
    status = cut_lab.status()

    assert not status["whole"]
    assert [row["kind"] for row in status["faults"]] == ["network"]
    assert "denies all of subnet" in status["reason"]
    of_zone = {instance.id for instance in cut_lab.environment.zones["a"]}
    by_filter = "filter" in request.node.callspec.id
    assert stopped(cut_lab) == (set() if by_filter else of_zone)


def test_an_acl_of_somebody_else_is_left_alone(lab: RunningLab, fault: ResolvedFault) -> None:
    """An undo that finds neither our ACL nor the former one changes nothing of it, and says so."""
    cut = az_loss.bind(fault.target, fault.configuration)
    ec2 = lab.client("ec2")
    prior = cut.prior()
    [(subnet, before)] = prior["acls"].items()
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    theirs = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    give(ec2, subnet, theirs)
    try:
        with pytest.raises(FaultError, match="somebody else"):
            cut.revert(prior)
        assert acl_of(ec2, subnet)[1] == theirs
    finally:
        give(ec2, subnet, before)
        ec2.delete_network_acl(NetworkAclId=theirs)


def test_a_cut_whose_maker_was_killed_is_undone_from_the_ledger(
    lab: RunningLab, fault: ResolvedFault, tmp_path: Path
) -> None:
    """`kill -9` of the injecting process, then an undo in this one: no ACL of ours is left; again is harmless."""
    configuration = {
        **fault.configuration,
        "ledger_path": str(tmp_path / "ledger.jsonl"),
        "events_path": str(tmp_path / "events.jsonl"),
    }
    acls = sorted(acl["NetworkAclId"] for acl in lab.client("ec2").describe_network_acls()["NetworkAcls"])
    program = (
        "import json, sys, time; from stormproof.faults import az_loss; order = json.loads(sys.argv[1]);"
        "az_loss.inject('cut-a', False, order['target'], order['configuration']); time.sleep(60)"
    )
    order = json.dumps({"target": dict(fault.target), "configuration": configuration})
    with subprocess.Popen([sys.executable, "-c", program, order]) as maker:
        until(lambda: (tmp_path / "events.jsonl").exists() and "fault.felt" in (tmp_path / "events.jsonl").read_text())
        os.kill(maker.pid, signal.SIGKILL)
    ledger = Ledger(tmp_path / "ledger.jsonl")

    first = activity.undo_outstanding(ledger, events_path=None, who="test")
    again = activity.undo_outstanding(ledger, events_path=None, who="test")

    assert [row["undone"] for row in first] == [True], first
    assert again == []
    assert sorted(acl["NetworkAclId"] for acl in lab.client("ec2").describe_network_acls()["NetworkAcls"]) == acls


def acl_of(ec2: Any, subnet: str) -> tuple[str, str]:
    """The association and the ACL of *subnet*."""
    found = ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])["NetworkAcls"]
    return next(
        (row["NetworkAclAssociationId"], acl["NetworkAclId"])
        for acl in found
        for row in acl["Associations"]
        if row["SubnetId"] == subnet
    )


def give(ec2: Any, subnet: str, acl: str) -> None:
    ec2.replace_network_acl_association(AssociationId=acl_of(ec2, subnet)[0], NetworkAclId=acl)
