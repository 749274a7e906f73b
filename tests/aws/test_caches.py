"""The part `caches` of the loss of a zone in AWS: who leads, who takes over, and that the former one leads again.

moto has no failover of ElastiCache: a double has, as AWS describes it, with its own choice of the heir.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import FaultError, UnavailableError
from stormproof.faults import catalogue, outage_part
from stormproof.faults.az_outage import AzOutage
from stormproof.faults.outage_caches import OutageCaches
from stormproof.model.plan import ResolvedFault
from stormproof.plan.describe import describe, describe_text
from stormproof.plan.resolve import resolve_faults
from stormproof.spec.environment_file import load_environment
from stormproof.spec.loader import load_experiment
from stormproof.staging.environment import discover, discovery_calls
from stormproof.staging.snapshot import snapshot
from support.aws_fault import Rehearsal, compare, inject, resolve, undo
from support.command import ROOT
from support.emulated_aws import REGION, Estate, Recorder, environment_file, state_of
from support.query_double import CacheDouble, CacheGroup

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

A, B, C = (f"{REGION}{zone}" for zone in "abc")


@pytest.fixture
def caches(wire: Recorder, monkeypatch: pytest.MonkeyPatch) -> CacheDouble:
    """One group that is led from zone a, with a replica in b; our own waits look more often."""
    monkeypatch.setitem(outage_part.wait_until.__kwdefaults__, "every_s", 0.01)
    monkeypatch.setattr(AzOutage, "gap_s", 0.05)
    double = CacheDouble([CacheGroup(name="sessions", members={"s-1": A, "s-2": B}, primary="s-1")])
    wire.instead = double
    return double


def _lost(estate: Estate, folder: Path, url: str, *parts: str) -> ResolvedFault:
    changes: dict[str, Any] = {"az_loss": {"parts": list(parts or ("caches", "instances"))}}
    return resolve(estate, folder, url, "az-loss", {"zone": "a"}, cache_groups=["sessions"], **changes)


def _part(fault: ResolvedFault) -> OutageCaches:
    return OutageCaches(zone="a", configuration=fault.configuration, **fault.target["losses"]["caches"])


def test_the_former_primary_leads_again_wherever_it_is_cut_off(
    estate: Estate, wire: Recorder, caches: CacheDouble, tmp_path: Path
) -> None:
    """It fails over before the zone goes, and back when the zone is there again."""
    (group,) = caches.groups

    def state() -> dict[str, Any]:
        instances = state_of(estate)["instances"]
        return {"sessions": group.primary, **{f"a{at}": instances[one] for at, one in enumerate(estate.instances["a"])}}

    fault = _lost(estate, tmp_path / "env", wire.url)
    rows = Rehearsal(fault=fault, wire=wire, state=state, folder=tmp_path).run()

    compare("az-loss-caches", rows)
    assert rows[0]["whole"] == ["TestFailover", "StopInstances"]
    assert rows[0]["undone_by"] == ["StartInstances", "TestFailover"]


def test_a_group_that_is_led_from_elsewhere_is_left_alone(
    estate: Estate, wire: Recorder, caches: CacheDouble, tmp_path: Path
) -> None:
    """Its replica in the zone is lost with the network, and nothing must be asked of ElastiCache."""
    caches.groups[0].primary = "s-2"

    assert list(_lost(estate, tmp_path, wire.url).target["losses"]) == ["instances"]


def test_who_leads_instead_is_said_when_elasticache_chooses_another(
    estate: Estate, wire: Recorder, caches: CacheDouble, tmp_path: Path
) -> None:
    """With two replicas the way back is its to choose: tried twice, then named; and again by the next undo."""
    (group,) = caches.groups
    group.members["s-3"] = C
    group.heirs = ["s-2", "s-3", "s-2", "s-1"]
    inject(_lost(estate, tmp_path / "env", wire.url), tmp_path / "run")
    first = undo(tmp_path / "run")

    assert [row["undone"] for row in first] == [False]
    assert "sessions is led by s-2, which ElastiCache chose, and not by s-1" in first[0]["reason"]
    assert {state_of(estate)["instances"][one] for one in estate.instances["a"]} == {"running"}
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert (group.primary, group.failovers) == ("s-1", 4)


def test_an_heir_in_the_zone_itself_is_no_failover(
    estate: Estate, wire: Recorder, caches: CacheDouble, tmp_path: Path
) -> None:
    """Found after the call, because ElastiCache chooses: the fault fails, and is undone."""
    (group,) = caches.groups
    group.members["s-3"] = A
    group.heirs = ["s-3", "s-1"]
    with pytest.raises(FaultError, match="ElastiCache made s-3 lead sessions, which is in zone a as well"):
        inject(_lost(estate, tmp_path / "env", wire.url), tmp_path / "run")

    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert group.primary == "s-1"


def test_a_former_primary_that_is_no_member_any_more_is_named(
    estate: Estate, wire: Recorder, caches: CacheDouble, tmp_path: Path
) -> None:
    """Nobody is made to lead in its place."""
    (group,) = caches.groups
    part = _part(_lost(estate, tmp_path / "env", wire.url))
    prior = part.prior()
    part.act(prior)
    del group.members["s-1"]
    with pytest.raises(FaultError, match="sessions has no member s-1 any more: somebody else changed it since"):
        part.revert(prior)

    assert (group.primary, group.failovers) == ("s-2", 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"automatic_failover": "disabled"}, "with automatic failover, and led by s-1, got .*disabled"),
        ({"status": "snapshotting"}, "expected sessions to be available, .* got .*snapshotting"),
        ({"primary": "s-2"}, "and led by s-1, got .*led by s-2"),
    ],
)
def test_a_group_that_is_not_as_planned_is_refused(
    estate: Estate, wire: Recorder, caches: CacheDouble, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    """Before anything is touched."""
    fault = _lost(estate, tmp_path / "env", wire.url)
    for key, value in change.items():
        setattr(caches.groups[0], key, value)
    with pytest.raises(FaultError, match=says):
        inject(fault, tmp_path / "run")

    assert wire.changes == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cluster_mode": True}, "does not say which member leads sessions"),
        ({"members": {"s-1": A, "s-2": A}}, f"sessions has no member outside {A} that could take over"),
    ],
)
def test_a_group_that_cannot_fail_over_is_a_finding_of_its_own(
    estate: Estate, wire: Recorder, caches: CacheDouble, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    """Said by the plan; without the part nobody asks."""
    for key, value in change.items():
        setattr(caches.groups[0], key, value)
    with pytest.raises(FaultError, match=says):
        _lost(estate, tmp_path, wire.url)

    assert list(_lost(estate, tmp_path, wire.url, "instances").target["losses"]) == ["instances"]


@pytest.mark.parametrize("case", ["gone", "untagged"])
def test_a_group_that_is_not_there_or_not_tagged_is_no_target(
    estate: Estate, wire: Recorder, caches: CacheDouble, tmp_path: Path, case: str
) -> None:
    """A name in the file is no permission."""
    if case == "gone":
        caches.groups.clear()
    else:
        caches.tags.clear()
    with pytest.raises(UnavailableError, match=r"cache_groups: expected sessions (in 1234|with the tags)"):
        _lost(estate, tmp_path, wire.url)


def test_it_is_a_part_of_the_fault_in_its_place(
    estate: Estate, wire: Recorder, caches: CacheDouble, tmp_path: Path
) -> None:
    """After the databases, before the groups: whoever takes over does so while the zone is still there."""
    parts = ("instances", "scaling", "caches", "databases")
    fault = _lost(estate, tmp_path, wire.url, *parts)

    assert list(fault.target["losses"]) == ["databases", "caches", "scaling", "instances"]
    assert "have a replica elsewhere take over sessions (led by s-1)" in fault.what
    assert catalogue.bind(fault.kind, fault.target, fault.configuration).what == fault.what


def test_a_plan_and_a_snapshot_say_who_leads_and_a_policy_lets_it_be_asked(
    estate: Estate, wire: Recorder, caches: CacheDouble, tmp_path: Path
) -> None:
    """With nothing but what the discovery says that it calls."""
    path = environment_file(estate, tmp_path / "env", url=wire.url, cache_groups=["sessions"])
    cloud = load_environment(path.parent, "staging").cloud
    assert cloud is not None
    environment = discover("staging", cloud)
    called = {(one.service, one.operation) for one in wire.calls if one.service == "elasticache"}
    experiment = load_experiment(ROOT / "experiments/az-loss", catalogue=catalogue.argument_models())

    assert called == {(one.service, one.operation) for one in discovery_calls("staging", cloud)} & called
    assert len(called) == 2
    plan = describe(experiment, resolve_faults(experiment, environment), environment)
    assert "  cache     sessions, led by s-1" in describe_text(plan).splitlines()
    assert snapshot(environment, ())["caches"] == {"sessions": {"s-1": "primary", "s-2": "replica"}}
