"""What goes wrong in an account while something is broken is said in words, not forgotten, and comes back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import FaultError
from stormproof.faults import activity, catalogue
from stormproof.faults.ledger import Ledger
from stormproof.model.plan import ResolvedFault
from stormproof.spec.environment_file import load_environment
from stormproof.staging.environment import discover
from support.aws_fault import inject
from support.command import ROOT, stormproof
from support.emulated_aws import ACCOUNT, REGION, Call, Estate, Recorder, environment_file, recorder, state_of

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]


def _fault(estate: Estate, folder: Path, url: str) -> ResolvedFault:
    path = environment_file(estate, folder, url=url, az_loss={"parts": ["instances"]})
    cloud = load_environment(path.parent, "staging").cloud
    assert cloud is not None
    return catalogue.resolve("az-loss", {"zone": "a"}, discover("staging", cloud), fault_id="1-az-loss")


def _undo(run: Path) -> dict[str, Any]:
    return activity.undo_outstanding(Ledger(run / "ledger.jsonl"), events_path=run / "events.jsonl", who="test")[0]


def _refuse(wire: Recorder, operation: str, status: int, code: str) -> None:
    def answer(call: Call) -> tuple[int, str] | None:
        return (status, code) if operation in (call.operation, "*") else None

    wire.refuse = answer


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "ExpiredToken", "the credentials have expired: log in again"),
        (503, "RequestLimitExceeded", "we asked three times and stopped: try later"),
    ],
)
def test_an_undo_that_is_refused_says_why_and_is_not_forgotten(
    estate: Estate, tmp_path: Path, status: int, code: str, says: str
) -> None:
    """Expired or throttled in the middle: outstanding, with what to do; undone once AWS answers again."""
    before = state_of(estate)
    with recorder(estate.url) as wire:
        assert inject(_fault(estate, tmp_path / "env", wire.url), tmp_path / "run")["felt"]
        _refuse(wire, "*", status, code)
        refused = _undo(tmp_path / "run")
        _refuse(wire, "", 0, "")
        undone = _undo(tmp_path / "run")

    assert not refused["undone"]
    assert code in refused["reason"]
    assert says in refused["reason"]
    assert undone["undone"]
    assert state_of(estate) == before


def test_credentials_that_expire_before_the_act_break_nothing(estate: Estate, tmp_path: Path) -> None:
    """The event says that nothing was broken, and why."""
    before = state_of(estate)
    with recorder(estate.url) as wire:
        fault = _fault(estate, tmp_path / "env", wire.url)
        _refuse(wire, "DescribeInstances", 403, "ExpiredToken")
        with pytest.raises(Exception, match="ExpiredToken"):
            inject(fault, tmp_path / "run")

    failed = json.loads((tmp_path / "run/events.jsonl").read_text().splitlines()[-1])
    assert failed["reason"].startswith("nothing was broken: AWS: DescribeInstances: ExpiredToken")
    assert "log in again" in failed["reason"]
    assert not (tmp_path / "run/ledger.jsonl").exists()
    assert state_of(estate) == before


def test_a_target_that_has_gone_since_the_plan_breaks_nothing(scratch: Estate, tmp_path: Path) -> None:
    """The others are not broken in its place."""
    fault = _fault(scratch, tmp_path / "env", scratch.url)
    gone, other = scratch.instances["a"]
    scratch.client("ec2").terminate_instances(InstanceIds=[gone])

    with pytest.raises(FaultError, match=f"expected .*{gone}.* to be running, got"):
        inject(fault, tmp_path / "run")

    assert state_of(scratch)["instances"][other] == "running"


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"aws": {"account": "999999999999"}}, 70, "expected account 999999999999, got 123456789012; nothing was"),
        ({"alarms": {"guard": ["sick"]}}, 64, "expected none in ALARM before the start, got sick"),
    ],
)
def test_a_run_that_may_not_begin_leaves_no_trace(
    estate: Estate, tmp_path: Path, changes: dict[str, Any], code: int, says: str
) -> None:
    """Another account, a sick system: an error, no run directory, no call that changes anything."""
    cloudwatch = estate.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="sick", MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1, Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName="sick", StateValue="ALARM", StateReason="the test")
    shutil.copytree(ROOT / "experiments/az-loss", tmp_path / "az-loss")
    with recorder(estate.url) as wire:
        where = {"account": ACCOUNT, "region": REGION, "endpoint": wire.url, **changes.pop("aws", {})}
        file = environment_file(estate, tmp_path / "environments", aws=where, **changes)
        done = stormproof(
            "run", tmp_path / "az-loss", "--env", file, "--out", tmp_path / "runs",
            STORMPROOF_STATE_DIR=str(tmp_path / "state"),
        )  # fmt: skip

    assert done.code == code, done.err
    assert says in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "runs").exists()
    assert wire.changes == []
