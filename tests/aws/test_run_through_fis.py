"""Whole runs through AWS FIS: a double of it in front of the lab's control plane, and the lab's machines behind it.

What FIS is said to do happens to real processes; the command has the environment file and nothing else.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stormproof.faults.capacity_denied import ACTION
from stormproof.lab.snapshot import differences, snapshot
from stormproof.lab.topology import FIS_ROLE, FLEET_ROLE
from support.command import ROOT, started, stormproof, wait_for
from support.emulated_aws import Recorder, recorder
from support.fis_double import HALTED, Act, FisDouble
from support.lab import RunningLab, until
from support.lab_account import lab_account

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

BRIEF = ("--set=timeline.steady=2s", "--set=timeline.recovery=2s", "--set=load.arrivals=50/s")
SHORT = (*BRIEF, "--set=timeline.fault=5s")
# Something else than the timeline ends the fault.
ENDLESS = (*BRIEF, "--set=timeline.fault=60s")


@pytest.fixture
def wire(lab: RunningLab) -> Iterator[Recorder]:
    """A recorder in front of the lab's control plane; the lab is whole before, and as it was after."""
    lab.wait_until_whole()
    before = snapshot(lab.environment)
    with recorder(lab.environment.aws.endpoint_url or "") as running:
        yield running
    lab.wait_until_whole()
    assert differences(before, snapshot(lab.environment)) == []


@pytest.fixture
def fis(lab: RunningLab, wire: Recorder) -> FisDouble:
    """FIS in front of it."""
    wire.instead = double = FisDouble(lab)
    return double


@pytest.fixture
def arguments(lab: RunningLab, wire: Recorder, tmp_path: Path) -> Iterator[tuple[str | Path, ...]]:
    """Of `run`, in an account that has FIS take the zone's instances."""
    changes: dict[str, Any] = {
        "az_loss": {"parts": ["instances"], "by": "fis"},
        "fis": {"role": FIS_ROLE, "launch_roles": [FLEET_ROLE]},
    }
    with lab_account(lab, tmp_path / "staging.yaml", endpoint=wire.url, **changes) as file:
        yield "run", ROOT / "experiments/az-loss", "--env", file, "--out", tmp_path / "runs", "--json"


def _variables(folder: Path) -> dict[str, str]:
    """No lab that anybody could find, and no state of earlier runs."""
    return {"STORMPROOF_LAB_DIR": str(folder / "no-lab"), "STORMPROOF_STATE_DIR": str(folder / "state")}


def _denying(lab: RunningLab) -> Act:
    """The lab's own FIS makes this one action true: it is asked for the same."""
    fis, begun = lab.client("fis"), []

    def act(action: Mapping[str, Any], arns: list[str], begin: bool) -> None:
        if not begin:
            one = begun.pop()
            fis.stop_experiment(id=one)  # and it is over once somebody has looked
            until(lambda: fis.get_experiment(id=one)["experiment"]["state"]["status"] == "stopped")
            return
        target = {"resourceType": "aws:iam:role", "resourceArns": arns, "selectionMode": "ALL"}
        template = fis.create_experiment_template(
            clientToken="double", description="double", roleArn=FIS_ROLE, stopConditions=[{"source": "none"}],
            targets={"roles": target}, actions={"deny": {**action, "targets": {"Roles": "roles"}}},
        )["experimentTemplate"]["id"]  # fmt: skip
        begun.append(fis.start_experiment(clientToken="double", experimentTemplateId=template)["experiment"]["id"])
        fis.delete_experiment_template(id=template)

    return act


def _has(folder: Path, event: str) -> bool:
    paths = folder.glob("runs/*/*/events.jsonl")
    return any(f'"event":"{event}"' in path.read_text().replace(": ", ":") for path in paths)


def test_the_shipped_experiment_ends_in_a_verdict(
    wire: Recorder, fis: FisDouble, arguments: tuple[str | Path, ...], tmp_path: Path
) -> None:
    """Previewed, started, felt past the balancer, met by the load, detected, stopped: every check passes."""
    done = stormproof(*arguments, *SHORT, **_variables(tmp_path))

    verdict = done.document
    assert verdict["verdict"] in ("held", "inconclusive", "refuted"), (
        done.err
    )  # a busy machine is slow, and that counts
    assert [check for check in verdict["checks"] if not check["ok"]] == []
    assert {one["claim"]: one["verdict"] for one in verdict["findings"]}["time to detect <= 3s"] == "held"
    assert fis.states() == ["completed", "stopped"]
    assert fis.templates == {}
    ours = [one for one in wire.calls if one.service == "fis"]
    assert {"StartExperiment", "StopExperiment"} <= {one.operation for one in ours}
    assert all("stormproof" in one.user_agent for one in ours), "whose calls they are, CloudTrail tells by it"
    assert "StopInstances" not in wire.changes, "that is FIS's to do"


def test_completed_with_nothing_hit_is_invalid(
    fis: FisDouble, arguments: tuple[str | Path, ...], tmp_path: Path
) -> None:
    """FIS says `completed` and has found no target: nothing was tested, and the run says which and why."""
    fis.finds_nothing = fis.says_completed = True

    done = stormproof(*arguments, *SHORT, **_variables(tmp_path))

    assert done.code == 3, done.err
    assert done.document["verdict"] == "invalid"
    assert "(completed: Experiment completed.) resolved nothing for zone-instances" in " ".join(
        done.document["reasons"]
    )
    assert fis.templates == {}


def test_stopped_by_an_alarm_of_fis_the_run_is_aborted(
    fis: FisDouble, arguments: tuple[str | Path, ...], tmp_path: Path
) -> None:
    """Nobody but FIS sees the alarm: the run ends with its reason, and does not measure a whole zone as a lost one."""
    with started(*arguments, *ENDLESS, **_variables(tmp_path)) as process:
        wait_for("it", lambda: _has(tmp_path, "fault.felt"), within_s=60)
        fis.halt()
        out, err = process.communicate(timeout=60)

    assert process.returncode == 4, err
    verdict = json.loads(out)
    assert verdict["verdict"] == "aborted"
    assert f"is stopped: {HALTED[:-1]}" in " ".join(verdict["reasons"])
    assert fis.templates == {}


def test_interrupted_the_experiment_is_stopped_and_its_template_deleted(
    fis: FisDouble, arguments: tuple[str | Path, ...], tmp_path: Path
) -> None:
    """Ctrl-C in the fault phase: FIS does not go on for the rest of its time."""
    with started(*arguments, *ENDLESS, **_variables(tmp_path)) as process:
        wait_for("it", lambda: _has(tmp_path, "fault.felt"), within_s=60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 4, err
    assert json.loads(out)["verdict"] == "aborted"
    assert fis.states() == ["completed", "stopped"]
    assert fis.templates == {}


@pytest.mark.slow
def test_capacity_is_denied_while_a_zone_is_lost(
    lab: RunningLab, fis: FisDouble, arguments: tuple[str | Path, ...], tmp_path: Path
) -> None:
    """The lab's experiment unchanged, two experiments of FIS in force together, each felt; undone last first."""
    fis.acts = {ACTION: _denying(lab)}
    spec = ROOT / "experiments/capacity-denied"

    done = stormproof(*(spec if one == ROOT / "experiments/az-loss" else one for one in arguments), *SHORT,
                      **_variables(tmp_path))  # fmt: skip

    verdict = done.document
    assert verdict["verdict"] in ("held", "inconclusive", "refuted"), done.err
    assert [check for check in verdict["checks"] if not check["ok"]] == []
    felt = [check["reason"] for check in verdict["checks"] if check["name"] == "fault felt"]
    assert ["1-capacity-denied" in felt[0], "2-az-loss" in felt[1]] == [True, True]
    assert fis.states() == ["completed", "stopped"] * 2
    assert fis.templates == {}
