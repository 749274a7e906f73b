"""A role's calls denied by a policy that has its end in it: what was there before is there again."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import InputError
from stormproof.faults.control_plane_denied import POLICY, ControlPlaneDenied
from stormproof.model.plan import ResolvedFault
from support.aws_fault import Rehearsal, compare, inject, resolve, undo
from support.emulated_aws import READY, ROLE, Call, Estate, Recorder

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]


@pytest.fixture
def role(estate: Estate, wire: Recorder) -> Iterator[str]:
    """The ARN of a role whose calls the recorder refuses while the role has our policy, as IAM would."""
    iam = estate.client("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    tags = [{"Key": key, "Value": value} for key, value in READY.items()]
    arn = iam.create_role(RoleName="deployment", AssumeRolePolicyDocument=trust, Tags=tags)["Role"]["Arn"]

    def refuse(call: Call) -> tuple[int, str] | None:
        denied = call.operation == "DescribeAccountAttributes" and POLICY in _policies(estate)
        return (403, "UnauthorizedOperation") if denied else None

    wire.refuse = refuse
    yield arn
    for name in _policies(estate):
        iam.delete_role_policy(RoleName="deployment", PolicyName=name)
    iam.delete_role(RoleName="deployment")


def _policies(estate: Estate) -> dict[str, Any]:
    """The inline policies of the role, but for when they end."""
    iam = estate.client("iam")
    names = iam.list_role_policies(RoleName="deployment")["PolicyNames"]
    found = {name: iam.get_role_policy(RoleName="deployment", PolicyName=name)["PolicyDocument"] for name in names}
    for document in found.values():
        for statement in document["Statement"]:
            statement.pop("Condition", None)
    return found


def _denied(estate: Estate, folder: Path, url: str, role: str, **arguments: Any) -> ResolvedFault:
    wanted = {"actions": ["ec2:RunInstances"], **arguments}
    return resolve(estate, folder, url, "control-plane-denied", wanted, deniable_roles=[role])


def test_a_roles_policies_are_what_they_were(estate: Estate, wire: Recorder, role: str, tmp_path: Path) -> None:
    """Ours is gone, and one that was there before is as it was."""
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]}
    estate.client("iam").put_role_policy(RoleName="deployment", PolicyName="theirs", PolicyDocument=json.dumps(allow))
    fault = _denied(estate, tmp_path / "env", wire.url, role)
    rows = Rehearsal(
        fault=fault,
        wire=wire,
        state=lambda: _policies(estate),
        folder=tmp_path,
        also=("ec2:DescribeAccountAttributes",),
    ).run()

    compare("control-plane-denied", rows)


def test_the_policy_ends_by_itself(estate: Estate, wire: Recorder, role: str, tmp_path: Path) -> None:
    """The time is in the policy, where IAM reads it; and the call of the canary is denied with the others."""
    inject(_denied(estate, tmp_path / "env", wire.url, role, expires="60s"), tmp_path / "run")
    document = estate.client("iam").get_role_policy(RoleName="deployment", PolicyName=POLICY)["PolicyDocument"]
    (statement,) = document["Statement"]
    ends = dt.datetime.fromisoformat(statement["Condition"]["DateLessThan"]["aws:CurrentTime"])

    assert (statement["Effect"], statement["Action"]) == ("Deny", ["ec2:DescribeAccountAttributes", "ec2:RunInstances"])
    assert 0 < (ends - dt.datetime.now(dt.UTC)).total_seconds() <= 60
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]


def test_a_policy_that_somebody_else_changed_is_left_alone(
    estate: Estate, wire: Recorder, role: str, tmp_path: Path
) -> None:
    """Under our name, and not ours any more: named, and not deleted."""
    inject(_denied(estate, tmp_path / "env", wire.url, role), tmp_path / "run")
    theirs = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}
    estate.client("iam").put_role_policy(RoleName="deployment", PolicyName=POLICY, PolicyDocument=json.dumps(theirs))
    left = undo(tmp_path / "run")

    assert "is not as we made it" in left[0]["reason"]
    assert _policies(estate)[POLICY] == theirs


def test_a_policy_that_is_not_put_is_not_felt(
    estate: Estate, wire: Recorder, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: everything but the act."""
    monkeypatch.setattr(ControlPlaneDenied, "felt_within_s", 1.5)

    assert inject(_denied(estate, tmp_path / "env", wire.url, role), tmp_path / "run", noop=True)["felt"] is False
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert wire.changes == []


def test_our_own_role_is_not_denied(estate: Estate, tmp_path: Path) -> None:
    """Or nobody could undo it."""
    estate.client("iam").create_role(
        RoleName="stormproof-staging", AssumeRolePolicyDocument="{}",
        Tags=[{"Key": key, "Value": value} for key, value in READY.items()],
    )  # fmt: skip
    with pytest.raises(InputError, match="and not our own"):
        _denied(estate, tmp_path, estate.url, ROLE)
    estate.client("iam").delete_role(RoleName="stormproof-staging")
