"""What FIS does to a zone's network, made true in the lab behind a double of it: seen from outside, and gone again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stormproof.faults import az_slow, catalogue, duty_cycle, fis_experiment, processes
from stormproof.faults.outage_network import OutageNetwork
from stormproof.lab.snapshot import differences, snapshot
from stormproof.lab.topology import ACCOUNT
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault
from stormproof.plan.resolve import resolve_faults
from stormproof.spec.environment_file import load_environment
from stormproof.spec.loader import load_experiment
from stormproof.staging.environment import discover
from support.aws_fault import Rehearsal, compare, inject, undo
from support.command import ROOT
from support.emulated_aws import Recorder, recorder
from support.fis_double import Act, FisDouble
from support.lab import RunningLab
from support.lab_account import lab_account

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture
def wire(lab: RunningLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A recorder in front of the lab's control plane; the lab is whole before, and as it was after."""
    monkeypatch.setattr(fis_experiment, "POLL_FIRST_S", 0.05)
    lab.wait_until_whole()
    before = snapshot(lab.environment)
    with recorder(lab.environment.aws.endpoint_url or "") as running:
        yield running
    lab.wait_until_whole()
    assert differences(before, snapshot(lab.environment)) == []


@pytest.fixture
def environment(lab: RunningLab, wire: Recorder, tmp_path: Path) -> Iterator[Environment]:
    """The lab as an account that has FIS take a zone."""
    changes: dict[str, Any] = {"az_loss": {"by": "fis"}, "fis": {"role": f"arn:aws:iam::{ACCOUNT}:role/fis"}}
    with lab_account(lab, tmp_path / "staging.yaml", endpoint=wire.url, **changes) as file:
        cloud = load_environment(file.parent, "staging").cloud
        assert cloud is not None
        yield discover("staging", cloud)


def _resolved(slug: str, environment: Environment) -> ResolvedFault:
    """Of the shipped experiment, unchanged."""
    experiment = load_experiment(ROOT / "experiments" / slug, catalogue=catalogue.argument_models())
    return resolve_faults(experiment, environment)[0]


def _ids(arns: list[str]) -> list[str]:
    return [one.rpartition("/")[2] for one in arns]


def _slow() -> Act:
    """What Systems Manager does to packets, done to the processes that send them."""
    before: dict[str, Any] = {}

    def act(action: Mapping[str, Any], arns: list[str], begin: bool) -> None:
        ids = _ids(arns)
        if not begin:
            duty_cycle.revert(ids, before)
            return
        before.update(duty_cycle.prior(ids, kind="the double"))
        stopped_s, running_s = az_slow.cycle_of(az_slow.LATENCY_MAX_S)
        found = {one: processes.find(one) for one in ids}
        duty_cycle.begin(found, stopped_s=stopped_s, running_s=running_s, lease_s=60.0)

    return act


def _cut(lab: RunningLab) -> Act:
    """What FIS does to the subnets: an ACL that denies everything in the place of theirs."""
    before: dict[str, Any] = {}

    def act(_: Mapping[str, Any], arns: list[str], begin: bool) -> None:
        part = OutageNetwork(
            zone="a", subnets=_ids(arns), owner="the double", configuration=lab.environment.aws.configuration
        )
        if begin:
            before.update(part.prior())
            part.act(before)
        else:
            part.revert(before)

    return act


def test_a_slow_zone_is_late_and_answers_at_once_again(
    lab: RunningLab, wire: Recorder, environment: Environment, tmp_path: Path
) -> None:
    """The shipped az-slow: every instance of the zone by its tags, and no other; late from outside, then not."""
    wire.instead = fis = FisDouble(lab, acts={"aws:ssm:send-command": _slow()})
    fault = _resolved("az-slow", environment)
    assert fault.effect == {"kind": "zone-slowed", "zone": "a", "slow_ms": 250}

    felt = inject(fault, tmp_path / "run")
    undone = undo(tmp_path / "run")

    assert felt["felt"], felt
    assert [row["undone"] for row in undone] == [True], undone
    assert fis.states() == ["completed", "stopped"]
    assert fis.templates == {}


def test_a_cut_off_zone_hangs_and_answers_again(
    lab: RunningLab, wire: Recorder, environment: Environment, tmp_path: Path
) -> None:
    """The shipped az-network-loss: the zone's subnets for as long as the fault, and their ACLs are back after it."""
    wire.instead = fis = FisDouble(lab, acts={"aws:network:disrupt-connectivity": _cut(lab)})
    fault = _resolved("az-network-loss", environment)
    assert "aws:network:disrupt-connectivity" in fault.what

    felt = inject(fault, tmp_path / "run")
    undone = undo(tmp_path / "run")

    assert felt["felt"], felt
    assert [row["undone"] for row in undone] == [True], undone
    assert fis.states() == ["completed", "stopped"]
    assert fis.templates == {}


@pytest.mark.parametrize("slug", ["az-slow", "az-network-loss"])
def test_wherever_it_is_cut_off_nothing_is_left(
    lab: RunningLab, wire: Recorder, environment: Environment, tmp_path: Path, slug: str
) -> None:
    """Before and after each change, and at each of the undo: FIS runs nothing of ours, and the zone answers."""
    acts = {"aws:ssm:send-command": _slow(), "aws:network:disrupt-connectivity": _cut(lab)}
    wire.instead = fis = FisDouble(lab, acts=acts)

    def state() -> dict[str, Any]:
        running = [one for one in fis.states() if one not in fis_experiment.OVER]
        return {"experiments that run": running, "templates": sorted(fis.templates)}

    fault = _resolved(slug, environment)
    spare = ("iam:PassRole", "fis:TagResource", "ec2:StartInstances")  # the last where FIS leaves one stopped
    rows = Rehearsal(fault=fault, wire=wire, state=state, folder=tmp_path, spare=spare).run()

    compare(f"fis-{slug}", rows)
