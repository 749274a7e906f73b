"""No capacity in AWS, through FIS: roles and groups are refused; seen by a launch that changes nothing; granted again.

moto's EC2 has capacity always and its FIS injects nothing: a double starts the experiment, and the recorder in front of
the account refuses the canary's launches as long as it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import InputError
from stormproof.faults import capacity_denied, catalogue, fis_experiment
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault
from stormproof.plan.resolve import resolve_faults
from stormproof.spec.environment_file import load_environment
from stormproof.spec.loader import load_experiment
from stormproof.staging.environment import discover
from support.aws_fault import Rehearsal, compare
from support.command import ROOT, stormproof
from support.emulated_aws import ACCOUNT, ROLE, Call, Estate, Recorder, environment_file, recorder
from support.fis_double import FisDouble

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

DEPLOYS = f"arn:aws:iam::{ACCOUNT}:role/shop-deployment"
FIS = {"fis": {"role": f"arn:aws:iam::{ACCOUNT}:role/stormproof-fis", "launch_roles": [DEPLOYS]}}


@pytest.fixture
def wire(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A recorder in front of the estate, in which only the canary starts instances."""
    monkeypatch.setattr(fis_experiment, "POLL_FIRST_S", 0.01)
    monkeypatch.setattr(capacity_denied.CapacityDeniedInAws, "gap_s", 0.05)
    with recorder(estate.url) as running:
        running.harmless = lambda call: call.operation == "StartInstances"
        yield running


@pytest.fixture
def fis(estate: Estate, wire: Recorder) -> FisDouble:
    """FIS in front of the estate; what it denies is refused."""
    denied: set[str] = set()

    def deny(_: Any, arns: list[str], begin: bool) -> None:
        (denied.update if begin else denied.difference_update)(arns)

    def refuse(call: Call) -> tuple[int, str] | None:
        is_denied = call.operation == "StartInstances" and DEPLOYS in denied
        return (500, "InsufficientInstanceCapacity") if is_denied else None

    double = FisDouble(estate, acts={capacity_denied.ACTION: deny, capacity_denied.GROUP_ACTION: deny})
    wire.instead, wire.refuse = double, refuse
    return double


def _environment(estate: Estate, folder: Path, url: str, **changes: Any) -> Environment:
    cloud = load_environment(environment_file(estate, folder, url=url, **FIS, **changes).parent, "staging").cloud
    assert cloud is not None
    return discover("staging", cloud)


def _resolved(environment: Environment) -> ResolvedFault:
    """The shipped experiment, unchanged."""
    experiment = load_experiment(ROOT / "experiments/capacity-denied", catalogue=catalogue.argument_models())
    return resolve_faults(experiment, environment)[0]


def test_the_labs_experiment_is_planned_unchanged(estate: Estate, tmp_path: Path) -> None:
    """Capacity is denied through FIS for `limits.duration`, in every zone; a zone is lost, by our calls or by FIS."""
    environment = _environment(estate, tmp_path, estate.url)
    denied, lost = _resolved(environment).parts

    assert denied.what == "through AWS FIS, refuse every launch by shop-deployment, shop: no capacity"
    actions = denied.target["request"]["actions"]
    assert [one["actionId"] for one in actions.values()] == [capacity_denied.ACTION, capacity_denied.GROUP_ACTION]
    zones = "us-east-1a,us-east-1b,us-east-1c"
    parameters = {"availabilityZoneIdentifiers": zones, "duration": "PT3M", "percentage": "100"}
    assert all(one["parameters"] == parameters for one in actions.values())
    assert (lost.kind, lost.target["mode"], lost.at_s) == ("az-loss", "outage", 1.0)

    assert environment.cloud is not None
    by_fis = replace(environment, cloud=replace(environment.cloud, az_loss_by="fis"))
    _, lost = _resolved(by_fis).parts
    assert (lost.target["mode"], lost.at_s) == ("fis", 1.0)
    ids = [one["actionId"] for one in lost.target["request"]["actions"].values()]
    assert capacity_denied.ACTION not in ids, "FIS is not asked twice for the same"


def test_a_dry_run_reads_and_a_policy_names_the_calls(
    estate: Estate, wire: Recorder, fis: FisDouble, tmp_path: Path
) -> None:
    """The look, which launches, is left out of a dry run, and said to be; a policy has FIS's calls and the role's."""
    file = environment_file(estate, tmp_path / "env", url=wire.url, **FIS)
    spec, state = ROOT / "experiments/capacity-denied", {"STORMPROOF_STATE_DIR": str(tmp_path / "state")}

    dry = stormproof("run", spec, "--env", file, "--dry-run", "--json", **state)
    policy = stormproof("plan", spec, "--env", file, "--iam-policy", **state)

    assert dry.code == 0, dry.err
    assert "asks EC2 to start an instance that runs already" in dry.document["faults"][0]["evidence"]["because"]
    assert wire.changes == []
    assert "StartInstances" not in [one.operation for one in wire.calls]
    assert fis.templates == {}
    assert policy.code == 0, policy.err
    allowed = {(action, one["Resource"][0]) for one in policy.document["Statement"] for action in one["Action"]}
    assert ("sts:AssumeRole", DEPLOYS) in allowed
    assert {"fis:StartExperiment", "fis:StopExperiment", "ec2:StopInstances"} <= {action for action, _ in allowed}


def test_wherever_it_is_cut_off_nothing_is_left(estate: Estate, wire: Recorder, fis: FisDouble, tmp_path: Path) -> None:
    """Felt by the canary, granted again after the undo; before and after each change, and at each of the undo."""
    denied = _resolved(_environment(estate, tmp_path / "env", wire.url)).parts[0]

    def state() -> dict[str, Any]:
        running = [one for one in fis.states() if one not in fis_experiment.OVER]
        return {"experiments that run": running, "templates": sorted(fis.templates)}

    rows = Rehearsal(
        fault=denied, wire=wire, state=state, folder=tmp_path,
        spare=("iam:PassRole", "fis:TagResource"), also=("ec2:StartInstances",),
    ).run()  # fmt: skip

    compare("capacity-denied", rows)


def test_our_own_role_is_never_denied(estate: Estate, tmp_path: Path) -> None:
    """The undo of what is lost has to launch; and without a role that launches nothing could be seen."""
    environment = _environment(estate, tmp_path, estate.url)
    assert environment.cloud is not None
    assert environment.cloud.fis is not None
    for roles, says in (((ROLE,), "without our own"), ((), "names who replaces .* got nobody")):
        cloud = replace(environment.cloud, fis=replace(environment.cloud.fis, launch_roles=roles))
        with pytest.raises(InputError, match=says):
            _resolved(replace(environment, cloud=cloud))
