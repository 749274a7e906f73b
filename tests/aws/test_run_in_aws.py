"""A whole run in an account: moto over HTTP says what there is, and the lab behind it makes it true.

The command knows nothing of the lab: all that it has is the environment file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormproof.evidence.source import read_source
from stormproof.lab.snapshot import differences, snapshot
from support.command import ROOT, started, stormproof, wait_for
from support.emulated_aws import recorder
from support.lab import RunningLab
from support.lab_account import lab_account
from support.mailbox import Mailbox, mailbox

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

STEADY, FAULT, RECOVERY, LOAD = (
    f"--set={setting}"
    for setting in ("timeline.steady=3s", "timeline.fault=5s", "timeline.recovery=3s", "load.arrivals=50/s")
)


@pytest.fixture
def letters(lab: RunningLab) -> Mailbox:
    """Whoever is on call."""
    return mailbox(lab.client)


@pytest.fixture
def file(lab: RunningLab, letters: Mailbox, tmp_path: Path) -> Iterator[Path]:
    """The lab described as an account, with an alarm that guards it and people who are told."""
    lab.wait_until_whole()
    lab.client("cloudwatch").put_metric_alarm(
        AlarmName="shop-5xx", MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1,
        Statistic="Sum", ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    _alarm(lab, "OK")
    told = {"topic": letters.topic}
    with lab_account(lab, tmp_path / "staging.yaml", alarms={"guard": ["shop-5xx"]}, notify=told) as path:
        yield path


def _alarm(lab: RunningLab, state: str) -> None:
    lab.client("cloudwatch").set_alarm_state(AlarmName="shop-5xx", StateValue=state, StateReason="the test")


def _variables(folder: Path) -> dict[str, str]:
    """No lab that anybody could find, and no state of earlier runs."""
    return {"STORMPROOF_LAB_DIR": str(folder / "no-lab"), "STORMPROOF_STATE_DIR": str(folder / "state")}


def _events(out: Path) -> list[dict[str, Any]]:
    paths = list(out.glob("*/*/events.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines() if line.endswith("}")]


def test_the_shipped_experiment_runs_unchanged(lab: RunningLab, file: Path, letters: Mailbox, tmp_path: Path) -> None:
    """Felt from outside, met by the load, detected by the target group, undone: every check passes, people are told."""
    before = snapshot(lab.environment)

    done = stormproof(
        "run", ROOT / "experiments/az-loss", "--env", file, "--out", tmp_path / "runs", "--json",
        STEADY, FAULT, RECOVERY, LOAD, **_variables(tmp_path),
    )  # fmt: skip

    verdict = done.document
    assert verdict["verdict"] in ("held", "inconclusive", "refuted"), (
        done.err
    )  # a busy machine is slow, and that counts
    assert [check for check in verdict["checks"] if not check["ok"]] == []
    found = {one["claim"]: one for one in verdict["findings"]}
    assert found["time to detect <= 3s"]["verdict"] == "held"
    run = Path(verdict["run_dir"])
    assert json.loads((run / "run.json").read_text())["environment"] == "staging"
    assert json.loads((run / "environment.json").read_text())["aws"]["role_arn"].endswith("role/stormproof-staging")
    assert list((tmp_path / "state/outstanding").iterdir()) == []
    begins, ended = (one["Message"] for one in letters.letters())
    assert begins.startswith("BEGINS in staging: ")
    assert f"stormproof abort {run.name}" in begins
    assert ended.startswith(f"{verdict['verdict'].upper()} in staging: ")
    assert "everything that was broken was put back" in ended
    assert [one["message"] for one in _events(tmp_path / "runs") if one["event"] == "people.told"] == [
        "begins",
        "ended",
    ]
    assert read_source(run).judged_again == "the same"  # though people were told since
    lab.wait_until_whole()
    assert differences(before, snapshot(lab.environment)) == []


@pytest.mark.slow
def test_a_suite_runs_in_an_account(lab: RunningLab, file: Path, tmp_path: Path) -> None:
    """By the path of the environment's file: each run there, the state and the lease under the environment's name."""
    done = stormproof(
        "suite", ROOT / "experiments", "--only", "az-loss", "--env", file, "--out", tmp_path / "runs", "--json",
        STEADY, FAULT, RECOVERY, LOAD, **_variables(tmp_path),
    )  # fmt: skip

    document = done.document
    assert document["environment"] == "staging"
    assert document["experiments"][0]["verdict"] in ("held", "inconclusive", "refuted"), done.err
    assert (tmp_path / "state/suites/staging.lease").is_file()
    lab.wait_until_whole()


def test_an_alarm_that_fires_ends_the_run(lab: RunningLab, file: Path, letters: Mailbox, tmp_path: Path) -> None:
    """The environment's guard, which no spec names: aborted, brought back, and told: it ends, and what it came to."""
    before = snapshot(lab.environment)
    runs = tmp_path / "runs"
    arguments = ("run", ROOT / "experiments/az-loss", "--env", file, "--out", runs, "--json", STEADY, LOAD)
    with started(*arguments, "--set=timeline.fault=60s", **_variables(tmp_path)) as process:
        wait_for("it", lambda: any(one["event"] == "fault.felt" for one in _events(runs)), within_s=60)
        _alarm(lab, "ALARM")
        out, err = process.communicate(timeout=60)
    _alarm(lab, "OK")

    assert process.returncode == 4, err
    assert 'stop condition `alarm "shop-5xx"` was true' in " ".join(json.loads(out)["reasons"])
    told = [one["Message"].splitlines() for one in letters.letters()]
    assert [lines[0].split(" in ")[0] for lines in told] == ["BEGINS", "ABORTED", "ABORTED"]
    assert 'why: stop condition `alarm "shop-5xx"` was true' in told[1][1]
    assert "what was broken is being put back" in told[1][2]
    assert "everything that was broken was put back" in told[2]
    lab.wait_until_whole()
    assert differences(before, snapshot(lab.environment)) == []


@pytest.mark.slow
def test_credentials_that_expire_under_the_fault(lab: RunningLab, letters: Mailbox, tmp_path: Path) -> None:
    """Nobody can undo: 70, with what is left and what to type; nothing hangs. Logged in again, that is enough."""
    before = snapshot(lab.environment)
    runs = tmp_path / "runs"
    with (
        recorder(str(lab.environment.aws.endpoint_url)) as wire,
        lab_account(lab, tmp_path / "staging.yaml", notify={"topic": letters.topic}, endpoint=wire.url) as file,
    ):
        arguments = ("run", ROOT / "experiments/az-loss", "--env", file, "--out", runs, "--json", STEADY, FAULT, LOAD)
        with started(*arguments, "--set=timeline.recovery=3s", **_variables(tmp_path)) as process:
            wait_for("it", lambda: any(one["event"] == "fault.felt" for one in _events(runs)), within_s=60)
            wire.refuse = lambda _: (403, "ExpiredToken")
            _, err = process.communicate(timeout=120)
        [ledger] = runs.glob("*/*/ledger.jsonl")
        wire.refuse = lambda _: None
        undone = stormproof("undo", "--env", file, "--out", runs, **_variables(tmp_path))

    assert process.returncode == 70, err
    assert "error: NOT UNDONE: 1-az-loss" in err
    assert f"hint: stormproof undo {ledger}" in err
    assert "Traceback" not in err
    assert [one["message"] for one in _events(runs) if one["event"] == "people.not_told"] == ["ended"]
    assert undone.code == 0, undone.err
    lab.wait_until_whole()
    assert differences(before, snapshot(lab.environment)) == []
