"""A dependency cut off by a network ACL: each subnet has its own ACL again, wherever that is cut off.

moto keeps ACLs and passes no packets: the port whose connects hang asks it for the entry that would count.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import FaultError, UnavailableError
from stormproof.faults import catalogue, connecting
from stormproof.faults.dependency_cut import TAG, DependencyCutByAcl
from stormproof.model.plan import ResolvedFault
from support.aws_fault import Rehearsal, compare, inject, resolve, undo
from support.emulated_aws import Call, Estate, Recorder
from support.hanging_port import hanging_port

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

CIDR, INSIDE = "10.0.9.0/24", "10.0.9.1"
ALLOW = {"RuleAction": "allow", "Protocol": "-1", "CidrBlock": "0.0.0.0/0"}


@pytest.fixture
def own(estate: Estate) -> Iterator[str]:
    """An ACL of their own, with one entry, on the subnets of zones a and b."""
    ec2 = estate.client("ec2")
    vpc = ec2.describe_subnets(SubnetIds=[estate.subnets["a"]])["Subnets"][0]["VpcId"]
    made = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    ec2.create_network_acl_entry(NetworkAclId=made, RuleNumber=100, Egress=True, **ALLOW)
    before = {zone: _acl(estate, zone)["NetworkAclId"] for zone in "ab"}
    for zone in "ab":
        _give(estate, zone, made)
    yield made
    for zone in "ab":
        _give(estate, zone, before[zone])
    ec2.delete_network_acl(NetworkAclId=made)


@pytest.fixture
def address(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The dependency's: a connect hangs while zone a's ACL denies it, which our own looks know sooner than usual."""
    monkeypatch.setattr(connecting, "CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(DependencyCutByAcl, "gap_s", 0.05)
    asked = {"port": 0}

    def is_cut() -> bool:
        found = _acls(estate, "a") if asked["port"] else []  # none in the instant in which moto swaps them
        return bool(found) and not _lets_out(found[0], INSIDE, asked["port"])

    with hanging_port(is_cut) as where:
        asked["port"] = int(where.rpartition(":")[2])
        yield where


def _acls(estate: Estate, zone: str) -> list[dict[str, Any]]:
    where = [{"Name": "association.subnet-id", "Values": [estate.subnets[zone]]}]
    return list(estate.client("ec2").describe_network_acls(Filters=where)["NetworkAcls"])


def _acl(estate: Estate, zone: str) -> dict[str, Any]:
    return _acls(estate, zone)[0]


def _give(estate: Estate, zone: str, acl: str) -> None:
    rows = [one for one in _acl(estate, zone)["Associations"] if one["SubnetId"] == estate.subnets[zone]]
    estate.client("ec2").replace_network_acl_association(
        AssociationId=rows[0]["NetworkAclAssociationId"], NetworkAclId=acl
    )


def _lets_out(acl: dict[str, Any], host: str, port: int) -> bool:
    """As EC2 says it does: the first outbound entry that fits counts, and without one it is denied."""
    for entry in sorted((one for one in acl["Entries"] if one["Egress"]), key=lambda one: int(one["RuleNumber"])):
        ports = entry.get("PortRange") or {"From": 0, "To": 65535}
        fits = ipaddress.ip_address(host) in ipaddress.ip_network(entry.get("CidrBlock", "::/128"))
        if fits and entry["Protocol"] in ("-1", "6") and ports["From"] <= port <= ports["To"]:
            return bool(entry["RuleAction"] == "allow")
    return False


def _state(estate: Estate) -> dict[str, Any]:
    acls = estate.client("ec2").describe_network_acls()["NetworkAcls"]
    own = {one["SubnetId"]: acl["NetworkAclId"] for acl in acls for one in acl["Associations"]}
    return {
        **{f"acl of {zone}": own[estate.subnets[zone]] for zone in "abc"},
        "acls": {acl["NetworkAclId"]: _ordered(acl) for acl in acls},
    }


def _ordered(acl: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(acl["Entries"], key=lambda one: (one["Egress"], one["RuleNumber"]))


def _cut(estate: Estate, folder: Path, url: str, address: str, zones: str = "ab", cidr: str = CIDR) -> ResolvedFault:
    acl = {"subnets": [estate.subnets[zone] for zone in zones], "cidrs": [cidr]}
    called = {"ledger": {"address": address, "network_acl": acl}}
    arguments = {"dependency": "ledger", "connections": "all"}
    return resolve(estate, folder, url, "dependency-cut", arguments, dependencies=called)


def _bound(fault: ResolvedFault) -> DependencyCutByAcl:
    bound = catalogue.bind(fault.kind, fault.target, fault.configuration)
    assert isinstance(bound, DependencyCutByAcl)
    return bound


def test_subnets_have_their_own_acl_again_wherever_it_is_cut_off(
    estate: Estate, wire: Recorder, own: str, address: str, tmp_path: Path
) -> None:
    """No subnet is without its own entries at any time, nothing of ours is left, and a connect hangs meanwhile."""
    fault = _cut(estate, tmp_path / "env", wire.url, address, zones="a")
    rows = Rehearsal(fault=fault, wire=wire, state=lambda: _state(estate), folder=tmp_path).run()

    compare("dependency-cut-all", rows)
    assert _acl(estate, "a")["NetworkAclId"] == own


def test_ours_says_what_theirs_says_after_what_it_denies(
    estate: Estate, own: str, address: str, tmp_path: Path
) -> None:
    """One for each ACL that there was, whatever is in it; theirs are not touched, and other ports are let out."""
    ec2, port = estate.client("ec2"), int(address.rpartition(":")[2])
    for number, entry in enumerate(
        (
            {"Protocol": "17", "PortRange": {"From": 53, "To": 53}, "CidrBlock": "10.0.0.2/32"},
            {"Protocol": "-1", "Ipv6CidrBlock": "::/0"},
        ),
        start=200,
    ):
        ec2.create_network_acl_entry(NetworkAclId=own, RuleNumber=number, Egress=False, RuleAction="allow", **entry)
    before = _state(estate)
    bound = _bound(_cut(estate, tmp_path / "env", estate.url, address, zones="abc"))
    prior = bound.prior()
    bound.act()
    acls = {zone: _acl(estate, zone) for zone in "abc"}
    entries = {zone: _ordered(acl) for zone, acl in acls.items()}
    inverse = bound.inverse(prior)
    bound.revert(prior)

    denied = [one for one in entries["a"] if one["RuleAction"] == "deny"]
    assert [one for one in entries["a"] if one not in denied] == before["acls"][own]
    assert [(one["RuleNumber"], one["CidrBlock"], one["PortRange"]) for one in denied] == [
        (1, CIDR, {"From": port, "To": port})
    ]
    assert entries["b"] == entries["a"]
    assert entries["c"] != entries["a"]
    assert not _lets_out(acls["c"], INSIDE, port)
    assert _lets_out(acls["a"], INSIDE, port + 1)
    assert _lets_out(acls["c"], "10.0.8.1", port)
    assert {one.request["NetworkAclId"] for one in inverse} == {own, before["acl of c"]}
    assert _state(estate) == before


def test_a_fault_that_does_nothing_is_not_felt(
    estate: Estate, wire: Recorder, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: everything but the act."""
    monkeypatch.setattr(DependencyCutByAcl, "felt_within_s", 1.0)
    fault = _cut(estate, tmp_path / "env", wire.url, address)

    assert inject(fault, tmp_path / "run", noop=True)["felt"] is False
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert wire.changes == []


def test_what_somebody_else_did_meanwhile_is_left_alone(estate: Estate, own: str, address: str, tmp_path: Path) -> None:
    """A third ACL on a subnet is named; an entry in ours keeps it there; the other subnets have their own again."""
    ec2 = estate.client("ec2")
    bound = _bound(_cut(estate, tmp_path / "env", estate.url, address, zones="abc"))
    prior = bound.prior()
    bound.act()
    ours = {zone: _acl(estate, zone)["NetworkAclId"] for zone in "ac"}
    _give(estate, "b", ours["c"])
    ec2.create_network_acl_entry(NetworkAclId=ours["a"], RuleNumber=50, Egress=False, **ALLOW)
    theirs = ec2.create_network_acl(VpcId=_acl(estate, "a")["VpcId"])["NetworkAcl"]["NetworkAclId"]
    _give(estate, "c", theirs)

    with pytest.raises(FaultError, match=rf"got \{{'{estate.subnets['c']}': '{theirs}'\}}; somebody else changed"):
        bound.revert(prior)
    _give(estate, "c", prior["acls"][estate.subnets["c"]])
    with pytest.raises(FaultError, match=rf"have what is not ours, .*: \{{'{ours['a']}': 'entries \[50\]'\}}"):
        bound.revert(prior)

    assert {zone: _acl(estate, zone)["NetworkAclId"] for zone in "ab"} == {"a": own, "b": own}
    left = ec2.describe_network_acls(Filters=[{"Name": f"tag:{TAG}", "Values": ["staging/ledger"]}])["NetworkAcls"]
    assert [one["NetworkAclId"] for one in left] == [ours["a"]]
    for acl in (ours["a"], theirs):
        ec2.delete_network_acl(NetworkAclId=acl)
    bound.revert(prior)


def test_an_acl_that_is_gone_keeps_no_other_subnet_cut_off(
    estate: Estate, wire: Recorder, own: str, address: str, tmp_path: Path
) -> None:
    """Nobody could have the former ACL back: named, and the next subnet has its own again."""
    bound = _bound(_cut(estate, tmp_path / "env", wire.url, address))
    prior = bound.prior()
    bound.act()
    first: list[Call] = []

    def refuse(call: Call) -> tuple[int, str] | None:
        if call.operation == "ReplaceNetworkAclAssociation":
            first.append(call)
        return (400, "InvalidNetworkAclID.NotFound") if first == [call] else None

    wire.refuse = refuse
    with pytest.raises(FaultError, match=r"or the ACL before them is gone: .*subnets \['subnet-"):
        bound.revert(prior)

    assert sorted(_acl(estate, zone)["NetworkAclId"] == own for zone in "ab") == [False, True]
    bound.revert(prior)
    assert {_acl(estate, zone)["NetworkAclId"] for zone in "ab"} == {own}


@pytest.mark.parametrize("case", ["inside", "no room", "cut already"])
def test_what_could_not_be_cut_is_refused_before_anything_is_touched(
    estate: Estate, wire: Recorder, own: str, address: str, tmp_path: Path, case: str
) -> None:
    """Within a subnet no ACL is asked, before entry 1 there is none, and what hangs already proves nothing."""
    ec2, cidr = estate.client("ec2"), "10.0.1.0/25" if case == "inside" else CIDR
    if case == "no room":
        ec2.create_network_acl_entry(NetworkAclId=own, RuleNumber=1, Egress=True, **ALLOW)
    if case == "cut already":
        ec2.create_network_acl_entry(NetworkAclId=own, RuleNumber=9, Egress=True, **{**ALLOW, "RuleAction": "deny"})
    says = {
        "inside": r"ledger \(10.0.1.0/25\) is in subnet-\w+ \(10.0.1.0/24\) itself",
        "no room": rf"{own} has an outbound entry 1, and 1 of ours must come before it",
        "cut already": r"a connect of our own to 127.0.0.1:\d+ to be accepted before the fault, got: no answer",
    }[case]

    with pytest.raises(FaultError, match=says):
        inject(_cut(estate, tmp_path / "env", wire.url, address, cidr=cidr), tmp_path / "run")

    assert wire.changes == []
    assert not (tmp_path / "run/ledger.jsonl").exists()


def test_subnets_without_the_tags_are_no_targets(estate: Estate, tmp_path: Path) -> None:
    """A name in the file is no permission."""
    ec2 = estate.client("ec2")
    tag = [{"Key": "chaos-ready", "Value": "true"}]
    ec2.delete_tags(Resources=[estate.subnets["c"]], Tags=tag)
    try:
        with pytest.raises(UnavailableError, match=r"ledger.network_acl.subnets: expected subnet-\w+ with the tags"):
            _cut(estate, tmp_path / "env", estate.url, "127.0.0.1:9", zones="ac")
    finally:
        ec2.create_tags(Resources=[estate.subnets["c"]], Tags=tag)
