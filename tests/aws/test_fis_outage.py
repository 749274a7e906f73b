"""The loss of a zone through AWS FIS: previewed, checked against the plan, started, stopped, and nothing left behind.

moto's FIS injects nothing and resolves nothing, so a double answers that keeps to FIS's documentation and botocore's
model of it: what is shown here is what we ask and what we make of the answers, and not that FIS breaks anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import FaultEndedError, FaultError, SpecError
from stormproof.faults import catalogue, fis_experiment, fis_outage
from stormproof.faults.outage_network import OutageNetwork
from stormproof.model.plan import ResolvedFault
from stormproof.plan.fis import compile_fis
from stormproof.plan.resolve import resolve_faults
from stormproof.spec.environment_file import load_environment
from stormproof.spec.loader import load_experiment
from stormproof.staging.environment import discover
from support.aws_fault import Rehearsal, compare, inject, undo
from support.command import ROOT, stormproof
from support.emulated_aws import (
    ACCOUNT,
    READY,
    Estate,
    Recorder,
    configuration,
    environment_file,
    recorder,
    state_of,
)
from support.fis_double import HALTED, FisDouble

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

FIS = {
    "fis": {"role": f"arn:aws:iam::{ACCOUNT}:role/stormproof-fis"},
    "az_loss": {"parts": ["network", "instances"], "by": "fis"},
}


@pytest.fixture
def wire(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A recorder in front of the shared estate: what these tests do to it, they bring back."""
    monkeypatch.setattr(fis_experiment, "POLL_FIRST_S", 0.01)
    with recorder(estate.url) as running:
        yield running


@pytest.fixture
def fis(estate: Estate, wire: Recorder) -> FisDouble:
    """FIS in front of the estate."""
    double = FisDouble(estate)
    wire.instead = double
    return double


def _fault(estate: Estate, folder: Path, url: str) -> ResolvedFault:
    cloud = load_environment(environment_file(estate, folder, url=url, **FIS).parent, "staging").cloud
    assert cloud is not None
    experiment = load_experiment(ROOT / "experiments/az-loss", catalogue=catalogue.argument_models())
    return resolve_faults(experiment, discover("staging", cloud))[0]


def test_it_is_previewed_started_stopped_and_leaves_nothing(
    estate: Estate, wire: Recorder, fis: FisDouble, tmp_path: Path
) -> None:
    """In that order; bounded in time by FIS itself; undone from another process by the ledger alone."""
    before = state_of(estate)
    fault = _fault(estate, tmp_path / "env", wire.url)
    assert fault.what.startswith("through AWS FIS, zone a: aws:ec2:stop-instances")

    assert inject(fault, tmp_path / "run")["felt"]

    template = next(iter(fis.templates.values()))
    modes = [one["experimentOptions"]["actionsMode"] for one in fis.experiments.values()]
    assert modes == ["skip-all", "run-all"]
    assert template["experimentOptions"]["emptyTargetResolutionMode"] == "fail"
    stop = template["actions"]["stop-instances"]["parameters"]["startInstancesAfterDuration"]
    assert stop == "PT3M", "limits.duration: FIS ends it though nobody of ours is left"
    assert fis.states() == ["completed", "running"]
    assert [call for call in wire.changes if call == "StopInstances"] == [], "that is FIS's to do"

    done = stormproof("undo", tmp_path / "run/ledger.jsonl", STORMPROOF_STATE_DIR=str(tmp_path / "state"))

    assert done.code == 0, done.err
    assert fis.states() == ["completed", "stopped"]
    assert fis.templates == {}
    assert state_of(estate) == before


@pytest.mark.parametrize(
    ("wrong", "says", "told"),
    [
        ({"finds_nothing": True}, "failed: Target resolution returned empty set", "fault.failed"),
        (
            {"finds_nothing": True, "says_completed": True},
            r"completed: .*resolved nothing for .*zone-instances",
            "fault.failed",
        ),
        ({"fails": "Action stop-instances failed."}, "is failed: Action stop-instances failed", "fault.failed"),
        ({"halted": True}, f"is stopped: {HALTED}", "fault.ended"),
    ],
)
def test_what_fis_did_not_do_is_not_taken_for_done(
    estate: Estate, wire: Recorder, fis: FisDouble, tmp_path: Path, wrong: dict[str, Any], says: str, told: str
) -> None:
    """`completed` with no target, or failed: the fault failed. Stopped by an alarm: it was ended. Nothing is left."""
    before = state_of(estate)
    fault = _fault(estate, tmp_path / "env", wire.url)
    for name, value in wrong.items():
        setattr(fis, name, value)

    with pytest.raises(FaultEndedError if told == "fault.ended" else FaultError, match=says):
        inject(fault, tmp_path / "run")

    events = [json.loads(line) for line in (tmp_path / "run/events.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == told
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert fis.templates == {}
    assert state_of(estate) == before


def test_what_was_tagged_since_the_plan_stops_it(
    scratch: Estate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """FIS would hit one more: it is never started for good, and nothing was stopped."""
    monkeypatch.setattr(fis_experiment, "POLL_FIRST_S", 0.01)
    with recorder(scratch.url) as wire:
        wire.instead = fis = FisDouble(scratch)
        fault = _fault(scratch, tmp_path / "env", wire.url)
        late = scratch.strangers[0]
        tags = [{"Key": key, "Value": value} for key, value in READY.items()]
        scratch.client("ec2").create_tags(Resources=[late], Tags=tags)
        before = state_of(scratch)

        with pytest.raises(FaultError, match=f"FIS would hit .*{late}.* as zone-instances, planned are"):
            inject(fault, tmp_path / "run")

        assert fis.states() == ["completed"]
        assert state_of(scratch) == before
        assert [row["undone"] for row in undo(tmp_path / "run")] == [True]


def test_an_acl_that_fis_leaves_behind_is_said(
    estate: Estate, wire: Recorder, fis: FisDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Stopped is not restored: the undo looks which ACL each subnet has, and is not done until it is the former one."""
    monkeypatch.setattr(fis_outage, "ACLS_BACK_WITHIN_S", 0.1)
    before = state_of(estate)
    swapped = OutageNetwork(
        zone="a", subnets=[estate.subnets["a"]], owner="the double", configuration=configuration(estate.url)
    )
    prior = swapped.prior()

    def cut(_: Any, __: list[str], begin: bool) -> None:
        if begin:
            swapped.act(prior)

    fis.acts = {"aws:network:disrupt-connectivity": cut}
    fault = _fault(estate, tmp_path / "env", wire.url)
    inject(fault, tmp_path / "run")

    (left,) = undo(tmp_path / "run")
    swapped.revert(prior)

    assert not left["undone"]
    assert "FIS to give the subnets their ACLs" in left["reason"]
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert state_of(estate) == before


def test_wherever_it_is_cut_off_nothing_is_left(
    estate: Estate, wire: Recorder, fis: FisDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before and after each change, and at each of the undo: no experiment runs on, no template, no stopped machine."""
    monkeypatch.setattr(fis_outage.FisOutage, "gap_s", 0.05)

    def state() -> dict[str, Any]:
        states = state_of(estate)["instances"]
        named = {
            f"{zone}{at}": states[one] for zone, own in estate.instances.items() for at, one in enumerate(own, start=1)
        }
        running = [one for one in fis.states() if one not in fis_experiment.OVER]
        return {**named, "experiments that run": running, "templates": sorted(fis.templates)}

    fault = _fault(estate, tmp_path / "env", wire.url)
    # AWS wants the first two of whoever calls; FIS stops the machines in its own role, and starts them again by itself.
    spare = ("iam:PassRole", "fis:TagResource", "ec2:StartInstances")
    rows = Rehearsal(fault=fault, wire=wire, state=state, folder=tmp_path, spare=spare).run()

    compare("fis-az-loss", rows)


def test_the_same_template_is_compiled_whoever_injects(estate: Estate, tmp_path: Path) -> None:
    """`compile --to fis` does not depend on who would do it in a run."""
    cloud = load_environment(environment_file(estate, tmp_path, **FIS).parent, "staging").cloud
    assert cloud is not None
    experiment = load_experiment(ROOT / "experiments/az-loss", catalogue=catalogue.argument_models())
    by_fis = discover("staging", cloud)
    assert by_fis.cloud is not None
    by_calls = replace(by_fis, cloud=replace(by_fis.cloud, az_loss_by="calls"))

    compiled = [compile_fis(experiment, resolve_faults(experiment, one), one) for one in (by_fis, by_calls)]

    assert compiled[0] == compiled[1]


def test_fis_without_its_role_is_an_error(tmp_path: Path, estate: Estate) -> None:
    """Found in the file, before anybody is asked."""
    path = environment_file(estate, tmp_path, az_loss={"by": "fis"})

    with pytest.raises(SpecError, match=r"az_loss.by: expected a section `fis`"):
        load_environment(path.parent, "staging")
