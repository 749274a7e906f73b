"""Instances are gone for good: the run is whole when their group has replaced them, healthy, and says so until then.

moto's groups replace at once, without telling the balancer: that a new instance takes its time there is the double's.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormproof.cli.dry_running import show_dry_run
from stormproof.cli.rehearsing import rehearse
from stormproof.errors import FaultError, GuardrailError, InputError, UsageError
from stormproof.faults import instance_terminate
from stormproof.faults.instance_terminate import InstanceTerminate
from stormproof.model.plan import ResolvedFault
from stormproof.run.rehearsal import Step
from stormproof.spec.override import split_overrides
from support.aws_fault import compare, headed, inject, resolve, undo
from support.command import ROOT
from support.emulated_aws import Cut, Estate, Recorder, environment_file
from support.query_double import form_of, respond

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

TAGS = {"chaos-ready": "true", "app": "workers"}


@dataclasses.dataclass(slots=True)
class Fleet:
    """A group of two in zone a, behind a target group to which what is new is not healthy until it is told."""

    estate: Estate
    target_group: str
    known: set[str] = dataclasses.field(default_factory=set)

    def __call__(self, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        form = form_of(body)
        if form.get("Action") != "DescribeTargetHealth" or form["TargetGroupArn"] != self.target_group:
            return None
        shown = [
            {"Target": {"Id": one}, "TargetHealth": {"State": "healthy" if one in self.known else "initial"}}
            for one in self.members()
        ]
        return 200, respond("elbv2", "DescribeTargetHealth", {"TargetHealthDescriptions": shown})

    def settle(self) -> None:
        """What is there is healthy from now on."""
        self.known |= set(self.members())

    def group(self) -> dict[str, Any]:
        found: dict[str, Any] = self.estate.client("autoscaling").describe_auto_scaling_groups(
            AutoScalingGroupNames=["workers"]
        )["AutoScalingGroups"][0]
        return found

    def members(self) -> list[str]:
        return sorted(one["InstanceId"] for one in self.group()["Instances"])


@pytest.fixture
def fleet(estate: Estate, wire: Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """The group, whole; our own waits are short."""
    monkeypatch.setattr(instance_terminate, "EVERY_S", 0.02)
    monkeypatch.setattr(instance_terminate, "UNTOUCHED_FOR_S", 0.0)
    monkeypatch.setattr(InstanceTerminate, "gap_s", 0.02)
    monkeypatch.setattr(InstanceTerminate, "gone_within_s", 5.0)
    elbv2, scaling = estate.client("elbv2"), estate.client("autoscaling")
    vpc = estate.client("ec2").describe_subnets(SubnetIds=[estate.subnets["a"]])["Subnets"][0]["VpcId"]
    tags = [{"Key": key, "Value": value} for key, value in TAGS.items()]
    made = elbv2.create_target_group(Name="workers", Protocol="HTTP", Port=8080, VpcId=vpc, Tags=tags)
    target_group = made["TargetGroups"][0]["TargetGroupArn"]
    own = {"ResourceId": "workers", "ResourceType": "auto-scaling-group", "PropagateAtLaunch": True}
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="workers", LaunchConfigurationName="shop", MinSize=0, MaxSize=4, DesiredCapacity=2,
        VPCZoneIdentifier=estate.subnets["a"], TargetGroupARNs=[target_group], Tags=[{**tag, **own} for tag in tags],
    )  # fmt: skip
    fleet = Fleet(estate, target_group)
    fleet.settle()
    wire.instead = fleet
    yield fleet
    scaling.delete_auto_scaling_group(AutoScalingGroupName="workers", ForceDelete=True)
    elbv2.delete_target_group(TargetGroupArn=target_group)


def _terminate(estate: Estate, folder: Path, url: str, **changes: Any) -> ResolvedFault:
    there = {
        "tags": TAGS, "load_balancers": [], "database_clusters": [],
        "target_groups": ["workers"], "auto_scaling_groups": ["workers"],
    }  # fmt: skip
    return resolve(estate, folder, url, "instance-terminate", {"zone": "a"}, **{**there, **changes})


def _row(estate: Estate, wire: Recorder, fleet: Fleet, folder: Path, cut: Cut | None) -> dict[str, Any]:
    """Taken through it once, cut off or not; what replaces the instance is healthy after the first undo only."""
    folder.mkdir()
    fault = _terminate(estate, folder / "env", wire.url)
    (one,) = fault.targets
    wire.calls.clear()
    wire.cut = cut
    if cut:
        with pytest.raises(Exception, match="ExpiredToken"):
            inject(fault, folder / "run")
    else:
        assert inject(fault, folder / "run")["felt"] is True
    wire.cut = None
    changes = list(wire.changes)
    first = undo(folder / "run")
    fleet.settle()
    again = undo(folder / "run")
    assert undo(folder / "run") == []
    there = {"the instance": one in fleet.members(), "of two in service": len(fleet.members())}
    step = Step.FELT if cut is None else Step.INTENT if cut.before else Step.ACTED
    return {
        **headed(fault, step),
        "cut_off": "no" if cut is None else f"{'before' if cut.before else 'after'} TerminateInstances",
        "called": changes,
        "undone_by": wire.changes[len(changes) :],
        "undone": [row["undone"] for row in (*first, *again)],
        "after": there,
    }


def test_it_is_whole_when_the_group_has_replaced_them_and_not_before(
    estate: Estate, wire: Recorder, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is cut off; the undo changes nothing, says what is missing, and is asked again."""
    monkeypatch.setattr(instance_terminate, "REPLACED_WITHIN_S", 0.1)
    cuts = [None, Cut(at=1, before=True), Cut(at=1, before=False)]
    rows = [_row(estate, wire, fleet, tmp_path / str(at), cut) for at, cut in enumerate(cuts)]

    compare("instance-terminate", rows)
    assert [row["undone"] for row in rows] == [[False, True], [True], [False, True]]
    assert {row["after"]["of two in service"] for row in rows} == {2}


def test_what_is_missing_is_said(
    estate: Estate, wire: Recorder, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is not whole, and its reason says which instance is what to the balancer."""
    monkeypatch.setattr(instance_terminate, "REPLACED_WITHIN_S", 0.1)
    inject(_terminate(estate, tmp_path / "env", wire.url), tmp_path / "run")
    left = undo(tmp_path / "run")

    (new,) = set(fleet.members()) - fleet.known
    assert (
        f"waited 0.1 s for the Auto Scaling groups to be whole: workers: not healthy at the balancer: {{'{new}':"
        in (left[0]["reason"])
    )


def test_a_group_that_wants_fewer_by_now_is_named(estate: Estate, wire: Recorder, fleet: Fleet, tmp_path: Path) -> None:
    """Whole at a smaller size is not what was there before."""
    inject(_terminate(estate, tmp_path / "env", wire.url), tmp_path / "run")
    estate.client("autoscaling").set_desired_capacity(AutoScalingGroupName="workers", DesiredCapacity=1)
    fleet.settle()
    left = undo(tmp_path / "run")

    assert "groups want fewer instances than before: {'workers': '1 instead of 2'}; somebody else" in left[0]["reason"]
    assert int(fleet.group()["DesiredCapacity"]) == 1


def test_a_fault_that_does_nothing_is_not_felt(
    estate: Estate, wire: Recorder, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: everything but the act. That nothing was touched is believed only when it stays so."""
    monkeypatch.setattr(InstanceTerminate, "felt_within_s", 0.5)
    monkeypatch.setattr(instance_terminate, "UNTOUCHED_FOR_S", 0.2)

    assert inject(_terminate(estate, tmp_path / "env", wire.url), tmp_path / "run", noop=True)["felt"] is False
    wire.calls.clear()
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert wire.changes == []
    assert [one.operation for one in wire.calls].count("DescribeInstances") > 1


@pytest.mark.parametrize("case", ["suspended", "alone", "short", "unwatched"])
def test_what_nobody_would_replace_is_refused(
    estate: Estate, wire: Recorder, fleet: Fleet, tmp_path: Path, case: str
) -> None:
    """Before anything is touched: it would be lost for nothing."""
    scaling, changes = estate.client("autoscaling"), {}
    if case == "suspended":
        scaling.suspend_processes(AutoScalingGroupName="workers", ScalingProcesses=["Launch"])
    elif case == "alone":
        changes = {"tags": {"chaos-ready": "true", "app": "shop"}, "target_groups": [], "auto_scaling_groups": ["shop"]}
        changes |= {"instances": {"address": "private"}}
    elif case == "short":
        fleet.known.pop()
    else:
        scaling.detach_load_balancer_target_groups(AutoScalingGroupName="workers", TargetGroupARNs=[fleet.target_group])
    says = {
        "suspended": "workers has processes suspended, and would replace nothing: Launch",
        "alone": r"expected instances of shop, got i-\w+, which nothing would replace",
        "short": "expected the groups to be whole before, got: workers: not healthy at the balancer",
        "unwatched": "workers is attached to no target group",
    }[case]
    with pytest.raises(FaultError, match=says):
        inject(_terminate(estate, tmp_path / "env", wire.url, **changes), tmp_path / "run")

    assert wire.changes == []
    assert not (tmp_path / "run/ledger.jsonl").exists()


def test_it_is_not_rehearsed_and_not_run_unless_the_environment_allows_it(estate: Estate, tmp_path: Path) -> None:
    """There is nothing to rehearse; and a run is refused before anything of it exists."""
    environment_file(estate, tmp_path / "environments")
    spec = tmp_path / "instance-terminate"
    shutil.copytree(ROOT / "experiments/instance-stop", spec)
    text = (spec / "experiment.yaml").read_text()
    (spec / "experiment.yaml").write_text(text.replace("- instance-stop:", "- instance-terminate:"))

    with pytest.raises(UsageError, match="instance-terminate: there is no undo that could be rehearsed"):
        rehearse(spec, env="staging")
    with pytest.raises(GuardrailError, match=r"guardrails.allow_no_undo: allowed is none; got 'instance-terminate'"):
        show_dry_run(spec, "staging", split_overrides([]), seed=None, as_json=True)


def test_an_environment_without_groups_has_nobody_who_would_replace_them(estate: Estate, tmp_path: Path) -> None:
    """Said by the plan."""
    with pytest.raises(
        InputError, match="expected an environment with auto_scaling_groups, which replace what is term"
    ):
        _terminate(estate, tmp_path, estate.url, tags={"chaos-ready": "true", "app": "shop"}, target_groups=["shop"],
                   auto_scaling_groups=[])  # fmt: skip
