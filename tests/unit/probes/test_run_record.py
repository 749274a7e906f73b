"""A run directory read as the history of a health check."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from repo.files import ROOT
from stormprobes._run_record import faults_of, history_of, opinions_of, steps_of
from stormprobes.health_check import main

SAMPLE = next((ROOT / "reports/sample/az-loss").iterdir())


def test_a_run_gives_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """The sample run of the repository: both instances of zone a, detected and taken back, nothing else touched."""
    assert 0 == main(["--run", str(SAMPLE)])
    document = json.loads(capsys.readouterr().out)
    value = document["value"]

    assert ("health_check", 4, 0) == (document["probe"], value["flips"], value["flaps"])
    assert [2, 0] == sorted((sum(bool(row["faults"]) for row in value["targets"].values()), value["flaps"]))[::-1]
    assert 0 < value["detect_s"] < 3
    assert 1 < value["readd_s"] < 3
    assert None is value["theory"]  # recorded before environments said how the balancer checks


def test_the_contract_of_a_closing_probe_is_kept() -> None:
    """`python -m stormprobes.health_check --run DIR`: one document on stdout, the keys that others rely on."""
    done = subprocess.run(
        [sys.executable, "-m", "stormprobes.health_check", "--run", str(SAMPLE)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    value = json.loads(done.stdout)["value"]

    times = {f"{name}{part}_s" for name in ("detect", "drain", "readd") for part in ("", "_low", "_high")}
    others = {"flaps", "flaps_per_min", "healthy_but_failing_min", "unhealthy_but_fine_min", "all_fail", "depth"}
    assert set() == (times | others | {"targets", "theory", "reasons"}) - set(value)


def test_what_is_no_run_directory_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """65, one sentence, nothing on stdout."""
    assert 65 == main(["--run", str(tmp_path)])
    said = capsys.readouterr()

    assert ("", True) == (said.out, "expected a run directory" in said.err)


def row(wall_s: float, healthy: bool | None) -> dict[str, Any]:
    base: dict[str, Any] = {"probe": "target_health", "wall_s": wall_s}
    if healthy is None:
        return {**base, "error": "OSError: refused"}
    return {**base, "reading": {"targets": {"a": {"zone": "a", "healthy": healthy, "flags": []}}}}


def test_a_failed_look_says_nothing_and_bounds_the_one_before() -> None:
    """Each look was over when the next began, failed or not."""
    looks = opinions_of([row(2.0, True), row(1.0, True), row(3.0, None), row(4.0, False), {"probe": "alarm_state"}])

    assert [(1.0, 2.0), (2.0, 3.0), (4.0, 4.0)] == [(look.at_s, look.until_s) for look in looks]


def felt(effect: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"event": "fault.felt", "fault_id": "1", "at": 10.2, "last_ok_at": 10.0, "wall_s": 10.3, "effect": effect},
        {"event": "fault.undoing", "fault_id": "1", "at": 20.0, "wall_s": 20.0},
        {"event": "fault.gone", "fault_id": "1", "at": 20.4, "wall_s": 20.4},
    ]


@pytest.mark.parametrize(
    ("effect", "targets", "silences", "dependency"),
    [
        ({"kind": "zone-silent", "zone": "a"}, ("i-1", "i-2"), True, False),
        ({"kind": "client-silent", "clients": ["i-3"]}, ("i-3",), True, False),
        ({"kind": "arrivals-flagged", "dependency": "cart"}, (), False, True),
        ({"kind": "arrivals-refused", "dependency": "x", "clients": ["i-1"]}, ("i-1",), False, True),
    ],
)
def test_what_a_fault_breaks_is_read_from_its_effect(
    effect: dict[str, Any], targets: tuple[str, ...], silences: bool, dependency: bool
) -> None:
    """A zone's instances, named instances, or what stands behind all or some of them."""
    (fault,) = faults_of(felt(effect), {"a": ("i-1", "i-2"), "b": ("i-3",)})

    assert (targets, silences, dependency) == (fault.targets, fault.silences, fault.dependency)
    assert (10.0, 10.2, 20.0, 20.4) == (fault.onset_low_s, fault.onset_high_s, fault.end_low_s, fault.end_high_s)


def test_a_change_that_breaks_nothing_and_a_fault_never_felt_are_no_faults() -> None:
    """A release is none; nor is what nobody saw."""
    assert () == faults_of(felt({"kind": "release-served"}), {})
    assert () == faults_of(felt({"kind": "zone-silent", "zone": "a"})[1:], {"a": ("i-1",)})


def test_samples_become_requests_of_a_zone(tmp_path: Path) -> None:
    """sent_at and service_ms: when it was sent and over; the zone is who served it."""
    samples = {
        "sent_at": [2.0, 1.0], "service_ms": [500.0, 100.0], "status": [200, 503],
        "ok": [True, False], "zone": ["a", ""],
    }  # fmt: skip
    (tmp_path / "samples").mkdir()
    pd.DataFrame(samples).to_parquet(tmp_path / "samples/part-000.parquet")
    (tmp_path / "environment.json").write_text(json.dumps({"zones": {"a": [{"id": "i-1"}]}, "proxy": None}))
    history = history_of(tmp_path)

    assert history.requests is not None
    assert [(1.0, 1.1, "", False), (2.0, 2.5, "a", True)] == [
        tuple(one) for one in history.requests[["sent_at", "done_at", "served_by", "ok"]].itertuples(index=False)
    ]
    assert {"a": ("i-1",)} == history.groups


def test_targets_of_groups_are_the_instances_that_faults_know(tmp_path: Path) -> None:
    """``<group>/<id>``: in several groups an instance is out when all say so. The groups' check is the balancer's."""
    check = {"interval_s": 5, "timeout_s": 2, "unhealthy_threshold": 2, "healthy_threshold": 5}
    environment = {
        "zones": {"a": [{"id": "i-1"}, {"id": "i-2"}]},
        "proxy": {"health_check": None},
        "health_check": check,
    }
    (tmp_path / "environment.json").write_text(json.dumps(environment))
    healthy = {"web/i-1": False, "api/i-1": True, "web/i-2": False, "api/i-2": False, "web/10.0.0.9": True}
    targets = {name: {"zone": "a", "healthy": one, "flags": [name[:3]]} for name, one in healthy.items()}
    reading = {"probe": "target_health", "wall_s": 1.0, "reading": {"targets": targets}}
    (tmp_path / "readings.jsonl").write_text(json.dumps(reading) + "\n")
    history = history_of(tmp_path)

    views = history.opinions[0].targets
    assert {"i-1": True, "i-2": False, "web/10.0.0.9": True} == {name: view.healthy for name, view in views.items()}
    assert ("web", "api") == views["i-2"].flags
    assert history.settings is not None
    assert 12 == history.settings.eject_s[1]


def test_each_step_has_its_own_faults_and_what_lies_between_its_neighbours(tmp_path: Path) -> None:
    """Two steps that break something and one that does not: a late return is the first one's, until the next onset."""
    from dataclasses import replace as changed

    from support.health_history import OFF, STALE, requests
    from support.health_history import history as written
    from support.health_history import looks as seen

    second = changed(OFF, fault_id="3", onset_low_s=23.0, onset_high_s=23.1, end_low_s=28.0, end_high_s=28.1)
    steps = [
        {"name": "first", "faults": ["1"]},
        {"name": "nothing", "faults": ["2"]},
        {"name": "last", "faults": ["3"]},
    ]
    (tmp_path / "plan.json").write_text(json.dumps({"extensions": [{"name": "stormproof", "steps": steps}]}))
    whole = written(opinions=seen({"a": (11.0, 22.0)}), sent=requests(), faults=[STALE, second])
    found = steps_of(tmp_path, whole)

    assert [("first", ["1"]), ("last", ["3"])] == [
        (name, [fault.fault_id for fault in step.faults]) for name, step in found.items()
    ]
    assert [(0.0, pytest.approx(22.9)), (pytest.approx(20.1), 30.0)] == [
        (step.opinions[0].at_s, step.opinions[-1].at_s) for step in found.values()
    ]
    assert found["last"].requests is not None
    assert 20.05 <= found["last"].requests["sent_at"].min() < 20.2
    assert {} == steps_of(tmp_path / "elsewhere", whole)
