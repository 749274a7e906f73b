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


HERE = "test_fails_safe.py"
# Every situation of which a run in an account must come out safe and with a clear error, and what shows it.
SHOWN_BY = {
    "wrong account": (HERE, "test_a_run_that_may_not_begin_leaves_no_trace"),
    "alarm already in ALARM": (HERE, "test_a_run_that_may_not_begin_leaves_no_trace"),
    "credentials expire before the act": (HERE, "test_credentials_that_expire_before_the_act_break_nothing"),
    "credentials expire between inject and undo": (HERE, "test_the_command_says_what_is_left_and_finishes_later"),
    "the session is over before its time": (HERE, "test_a_session_that_is_over_before_its_time_is_renewed"),
    "throttled API before a run": ("test_staging.py", "test_what_aws_refuses_is_said_with_what_to_do"),
    "throttled API in an undo": (HERE, "test_the_command_says_what_is_left_and_finishes_later"),
    "nobody can undo": (
        "test_people_are_told.py",
        "test_a_watchdog_that_cannot_undo_says_what_is_left_and_how_to_finish",
    ),
    "changed by somebody else (zone)": ("test_az_outage.py", "test_what_somebody_else_changed_is_left_alone"),
    "changed by somebody else (rules)": ("test_faults.py", "test_a_rule_that_somebody_else_made_is_left_as_it_is"),
    "changed by somebody else (concurrency)": (
        "test_faults.py",
        "test_a_concurrency_that_somebody_else_set_is_left_alone",
    ),
    "changed by somebody else (policy)": (
        "test_control_plane_denied.py",
        "test_a_policy_that_somebody_else_changed_is_left_alone",
    ),
    "changed by somebody else (writer)": ("test_faults.py", "test_a_third_writer_is_left_where_it_is"),
    "changed by somebody else (parameter)": ("test_called.py", "test_a_parameter_that_somebody_else_set_is_left_alone"),
    "target gone since the plan": (HERE, "test_a_target_that_has_gone_since_the_plan_breaks_nothing"),
    "target gone before the undo": ("test_az_outage.py", "test_what_somebody_else_changed_is_left_alone"),
    "empty target set": ("test_staging.py", "test_what_does_not_fit_is_refused"),
    "missing metric": ("test_cloudwatch_sli.py", "test_every_whole_period_of_a_phase_counts"),
    "people cannot be told": (
        "test_people_are_told.py",
        "test_who_cannot_be_told_is_written_down_and_waited_for_no_longer_than_said",
    ),
}


@pytest.mark.parametrize("situation", SHOWN_BY)
def test_each_situation_has_a_test(situation: str) -> None:
    """A test that was renamed or taken away leaves no hole unnoticed."""
    file, name = SHOWN_BY[situation]

    assert f"\ndef {name}(" in (Path(__file__).parent / file).read_text()


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


@pytest.mark.parametrize(
    ("operation", "status", "code", "says", "asked"),
    [
        ("StartInstances", 503, "RequestLimitExceeded", "we asked three times and stopped: try later", 3),
        ("*", 403, "ExpiredToken", "the credentials have expired: log in again", 0),
    ],
)
def test_the_command_says_what_is_left_and_finishes_later(
    estate: Estate, tmp_path: Path, operation: str, status: int, code: str, says: str, asked: int
) -> None:
    """`stormproof undo` ends with 69, names the fault and the reason, asks no more than it says; later, it is done."""
    before = state_of(estate)
    variables = {"STORMPROOF_STATE_DIR": str(tmp_path / "state")}
    with recorder(estate.url) as wire:
        assert inject(_fault(estate, tmp_path / "env", wire.url), tmp_path / "run")["felt"]
        _refuse(wire, operation, status, code)
        wire.calls.clear()
        refused = stormproof("undo", tmp_path / "run", **variables)
        starts = [one.operation for one in wire.calls].count("StartInstances")
        _refuse(wire, "", 0, "")
        undone = _undo(tmp_path / "run")

    assert refused.code == 69, refused.err
    assert refused.out.startswith("1-az-loss  TO BE UNDONE ")
    assert code in refused.out
    assert says in refused.out
    assert refused.err == ""
    assert starts == asked
    assert undone["undone"]
    assert state_of(estate) == before


def test_a_session_that_is_over_before_its_time_is_renewed(estate: Estate, tmp_path: Path) -> None:
    """Expired between inject and undo: the role is assumed anew, and the call repeated once."""
    before = state_of(estate)
    answers = [(403, "ExpiredToken")]
    with recorder(estate.url) as wire:
        assert inject(_fault(estate, tmp_path / "env", wire.url), tmp_path / "run")["felt"]
        wire.refuse = lambda call: answers.pop() if call.operation == "StartInstances" and answers else None
        wire.calls.clear()
        undone = _undo(tmp_path / "run")

    assert undone["undone"], undone
    names = [one.operation for one in wire.calls]
    assert names.count("StartInstances") == 2
    first = names.index("StartInstances")
    assert names[first : first + 3] == ["StartInstances", "AssumeRole", "StartInstances"]
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
