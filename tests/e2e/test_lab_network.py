"""A network ACL that denies, in the lab: connects hang, data hang, and both go on when it is gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import FaultError
from stormproof.faults import activity, az_loss
from stormproof.faults.ledger import Ledger
from stormproof.faults.protocol import Seen
from stormproof.model.plan import ResolvedFault
from support.lab import RunningLab, until

pytestmark = pytest.mark.lab

SILENCE_S = 1.5  # thirty turns of the supervisor, and several retransmissions
REQUEST = b"GET /product/1 HTTP/1.1\r\nHost: shop\r\n\r\n"


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


def test_a_cut_hangs_connects_and_data_apart_and_mends_both(lab: RunningLab, fault: ResolvedFault) -> None:
    """A new connect hangs, data on an old connection hang, and the old connection goes on after the undo."""
    cut = az_loss.bind(fault.target, fault.configuration)
    old = connect(lab.environment.zones["a"][0].url)
    other_zone = connect(lab.environment.zones["b"][0].url)
    with old, other_zone:
        old.sendall(REQUEST)
        assert answers(old)
        prior = cut.prior()
        cut.act()
        try:
            until(lambda: cut.look().seen is Seen.BROKEN)
            with pytest.raises(TimeoutError):
                connect(lab.environment.zones["a"][1].url)
            old.sendall(REQUEST)
            with pytest.raises(TimeoutError):
                answers(old)
            other_zone.sendall(REQUEST)
            assert answers(other_zone)
            status = lab.status()
        finally:
            cut.revert(prior)
        until(lambda: cut.look().seen is Seen.WHOLE)
        old.settimeout(10)
        assert answers(old)

    assert not status["whole"]
    assert [row["kind"] for row in status["faults"]] == ["network"]
    assert "denies all of subnet" in status["reason"]


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
