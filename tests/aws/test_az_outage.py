"""The loss of a zone in AWS: wherever it is cut off, what was there before comes back, and nothing else is touched.

Cut off on the wire: from a certain call on, credentials have expired. What was written before is all that the undo has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import FaultError, StormproofError
from stormproof.faults import activity, catalogue
from stormproof.faults.ledger import Ledger
from stormproof.model.plan import ResolvedFault
from stormproof.spec.environment_file import load_environment
from stormproof.staging.environment import discover
from support import aws_fault
from support.aws_fault import inject
from support.command import stormproof
from support.emulated_aws import READY, Cut, Estate, Recorder, environment_file, state_of

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

# One call a part that changes something: ACL and instances are two each with their counterparts.
CHANGES = ["FailoverDBCluster", "SuspendProcesses", "CreateNetworkAcl", "ReplaceNetworkAclAssociation", "StopInstances"]
BACK = ["StartInstances", "ReplaceNetworkAclAssociation", "DeleteNetworkAcl", "ResumeProcesses", "FailoverDBCluster"]


def _lost(estate: Estate, folder: Path, url: str, **changes: Any) -> ResolvedFault:
    cloud = load_environment(environment_file(estate, folder, url=url, **changes).parent, "staging").cloud
    assert cloud is not None
    return catalogue.resolve("az-loss", {"zone": "a"}, discover("staging", cloud), fault_id="1-az-loss")


def _paths(fault: ResolvedFault, folder: Path) -> dict[str, Any]:
    where = {"ledger_path": str(folder / "ledger.jsonl"), "events_path": str(folder / "events.jsonl")}
    return {**fault.configuration, **where}


def _undo(folder: Path) -> list[dict[str, Any]]:
    return activity.undo_outstanding(Ledger(folder / "ledger.jsonl"), events_path=None, who="test")


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(key for key in before if before[key] != after[key])


def test_a_zone_is_lost_part_by_part_and_comes_back(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """In order, backwards, and to the exact state before; what is not in the zone is never touched."""
    before = state_of(estate)
    fault = _lost(estate, tmp_path / "env", wire.url)

    felt = inject(fault, tmp_path / "run")
    broken = state_of(estate)

    assert felt["felt"], felt
    assert wire.changes == CHANGES
    for zone, ids in estate.instances.items():
        assert {broken["instances"][one] for one in ids} == {"stopped" if zone == "a" else "running"}
    assert [broken["instances"][one] for one in estate.strangers] == [
        before["instances"][one] for one in estate.strangers
    ]
    ours = (set(broken["acls"]) - set(before["acls"])).pop()
    assert {subnet for subnet, acl in broken["acl_of_subnet"].items() if acl == ours} == {estate.subnets["a"]}
    assert broken["writers"] == {"orders": ["orders-b"]}
    assert set(broken["suspended"]["shop"]) > set(before["suspended"]["shop"])

    assert [row["undone"] for row in _undo(tmp_path / "run")] == [True]
    assert wire.changes[len(CHANGES) :] == BACK
    assert state_of(estate) == before
    assert _undo(tmp_path / "run") == []


def test_the_acl_denies_everything(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """It has no entry that allows, which on AWS leaves the one that denies."""
    fault = _lost(estate, tmp_path / "env", wire.url, az_loss={"parts": ["network"]})
    bound = catalogue.bind(fault.kind, fault.target, fault.configuration)
    prior = bound.prior()
    bound.act()
    acls = estate.client("ec2").describe_network_acls(
        Filters=[{"Name": "association.subnet-id", "Values": [estate.subnets["a"]]}]
    )["NetworkAcls"]
    bound.revert(prior)

    assert [entry for acl in acls for entry in acl["Entries"] if entry["RuleAction"] == "allow"] == []


def test_a_fault_that_does_nothing_is_not_felt(
    estate: Estate, wire: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: everything but the act."""
    monkeypatch.setattr("stormproof.faults.az_outage.AzOutage.felt_within_s", 1.0)
    fault = _lost(estate, tmp_path / "env", wire.url)

    assert inject(fault, tmp_path / "run", noop=True)["felt"] is False
    assert wire.changes == []
    assert [row["undone"] for row in _undo(tmp_path / "run")] == [True]
    assert wire.changes == []


def test_wherever_it_is_cut_off_the_state_before_comes_back(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """Before and after each call that changes something; described as data and compared with the file."""
    before = state_of(estate)
    fault = _lost(estate, tmp_path / "env", wire.url)
    rows: list[dict[str, Any] | None] = []
    played = aws_fault.cuts(len(CHANGES))
    for at in range(1, len(CHANGES) + 1):
        for first in (True, False):
            if (at, first) not in played:
                rows.append(None)
                continue
            wire.calls.clear()
            wire.cut = Cut(at=at, before=first)
            folder = tmp_path / f"{at}-{first}/run"
            with pytest.raises(Exception, match="ExpiredToken"):
                inject(fault, folder)
            broken = state_of(estate)
            wire.cut = None
            asked = len(wire.changes)
            undone = _undo(folder)
            rows.append(
                {
                    "cut_off": f"{'before' if first else 'after'} {CHANGES[at - 1]}",
                    "changed": _changed(before, broken),
                    "undone_by": wire.changes[asked:],
                    "undone": [row["undone"] for row in undone],
                    "left": _changed(before, state_of(estate)),
                }
            )

    aws_fault.compare("az-loss", rows)
    assert all(row["left"] == [] for row in rows if row is not None)


def test_an_undo_that_is_cut_off_is_done_again(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """At each of its calls: it says what is not back, stays outstanding, and the next one finishes."""
    before = state_of(estate)
    fault = _lost(estate, tmp_path / "env", wire.url)
    for at in aws_fault.in_turn(range(1, len(BACK) + 1), aws_fault.IN_TURN):
        folder = tmp_path / f"{at}/run"
        wire.calls.clear()
        inject(fault, folder)
        wire.cut = Cut(at=len(CHANGES) + at, before=True)
        first = _undo(folder)
        wire.cut = None

        assert [row["undone"] for row in first] == [False], at
        assert "not back" in first[0]["reason"]
        assert [row["undone"] for row in _undo(folder)] == [True]
        assert state_of(estate) == before


def test_it_is_undone_from_another_process(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """With the ledger only: it says as whom, where, and what was there."""
    before = state_of(estate)
    inject(_lost(estate, tmp_path / "env", wire.url), tmp_path / "run")
    wire.calls.clear()

    done = stormproof("undo", tmp_path / "run/ledger.jsonl", STORMPROOF_STATE_DIR=str(tmp_path / "state"))

    assert done.code == 0, done.err
    assert wire.changes == BACK
    assert "AssumeRole" in [one.operation for one in wire.calls]
    assert state_of(estate) == before


def test_what_somebody_else_changed_is_left_alone(scratch: Estate, tmp_path: Path) -> None:
    """Another ACL, another writer, an instance that is gone, a process resumed: each is named, all else comes back."""
    rds, ec2, scaling = (scratch.client(name) for name in ("rds", "ec2", "autoscaling"))
    rds.create_db_instance(
        DBInstanceIdentifier="orders-c", DBClusterIdentifier="orders", DBInstanceClass="db.r6g.large",
        Engine="aurora-postgresql", AvailabilityZone="us-east-1c",
    )  # fmt: skip
    before = state_of(scratch)
    inject(_lost(scratch, tmp_path / "env", scratch.url), tmp_path / "run")
    vpc = ec2.describe_subnets(SubnetIds=[scratch.subnets["a"]])["Subnets"][0]["VpcId"]
    theirs = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    row = next(
        one
        for acl in ec2.describe_network_acls()["NetworkAcls"]
        for one in acl["Associations"]
        if one["SubnetId"] == scratch.subnets["a"]
    )
    ec2.replace_network_acl_association(AssociationId=row["NetworkAclAssociationId"], NetworkAclId=theirs)
    gone, other = scratch.instances["a"]
    ec2.terminate_instances(InstanceIds=[gone])
    rds.failover_db_cluster(DBClusterIdentifier="orders", TargetDBInstanceIdentifier="orders-c")

    result = _undo(tmp_path / "run")[0]
    after = state_of(scratch)

    assert result["undone"] is False
    for word in (gone, theirs, "left alone", "left suspended", "left where it is"):
        assert word in result["reason"]
    assert after["instances"][other] == "running"
    assert after["acl_of_subnet"][scratch.subnets["a"]] == theirs
    assert after["writers"] == {"orders": ["orders-c"]}
    assert set(after["suspended"]["shop"]) > set(before["suspended"]["shop"]), "resumed: the group would replace them"
    del scaling


@pytest.mark.parametrize("already", ["stopped", "cut off", "spot"])
def test_what_is_not_whole_is_refused_before_anything_is_touched(scratch: Estate, tmp_path: Path, already: str) -> None:
    """Nothing is written and nothing done: such a fault would prove nothing, or could not be undone."""
    ec2 = scratch.client("ec2")
    fault = _lost(scratch, tmp_path / "env", scratch.url)
    if already == "stopped":
        ec2.stop_instances(InstanceIds=scratch.instances["a"][:1])
    elif already == "cut off":
        inject(fault, tmp_path / "earlier")
        ec2.start_instances(InstanceIds=scratch.instances["a"])
        scratch.client("rds").failover_db_cluster(DBClusterIdentifier="orders", TargetDBInstanceIdentifier="orders-a")
    else:
        ec2.run_instances(
            ImageId="ami-00000000", MinCount=1, MaxCount=1, SubnetId=scratch.subnets["a"],
            InstanceMarketOptions={"MarketType": "spot"},
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in READY.items()]}
            ],
        )  # fmt: skip
        fault = _lost(scratch, tmp_path / "env", scratch.url)
    before = state_of(scratch)

    says = {"stopped": "to be running", "cut off": "is cut off already by", "spot": "are Spot instances"}[already]
    with pytest.raises(FaultError, match=says):
        inject(fault, tmp_path / "run")

    assert state_of(scratch) == before
    assert not (tmp_path / "run/ledger.jsonl").exists()


def test_chaostoolkit_aws_terminates_what_we_refuse_to_stop() -> None:
    """Why stopping is our own here: asked to stop, the library ends a Spot instance for good.

    Stubbed by EC2's own model, because moto's Spot instances have no request id.
    """
    import boto3
    from botocore.stub import Stubber
    from chaosaws.ec2.actions import stop_instances_any_type

    spot, request = "i-00000000000000001", "sir-00000001"
    client = boto3.client("ec2", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    found = {"InstanceId": spot, "InstanceLifecycle": "spot", "SpotInstanceRequestId": request}
    with Stubber(client) as stub:
        stub.add_response("describe_instances", {"Reservations": [{"Instances": [found]}]}, {"InstanceIds": [spot]})
        stub.add_response("cancel_spot_instance_requests", {}, {"SpotInstanceRequestIds": [request]})
        stub.add_response("terminate_instances", {}, {"InstanceIds": [spot]})
        stop_instances_any_type({"spot": [spot]}, force=True, client=client)

        stub.assert_no_pending_responses()


def test_a_zone_without_anything_to_lose_is_refused(estate: Estate, tmp_path: Path) -> None:
    """`parts` that leave network and instances alone lose no zone."""
    with pytest.raises(StormproofError, match=r"az_loss.parts scaling, of which there is scaling"):
        _lost(estate, tmp_path / "env", estate.url, az_loss={"parts": ["scaling"]})
