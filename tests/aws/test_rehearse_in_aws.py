"""`stormproof rehearse` in an account: cut off at each step, undone by another process, described as data."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from stormproof.faults import catalogue
from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.faults.ledger import Ledger
from stormproof.record.layout import RunDirectory
from stormproof.run.rehearsal import Rehearsal, Step
from stormproof.run.session import child_environment
from stormproof.staging.environment import discover
from support.command import ROOT, stormproof
from support.emulated_aws import Estate, environment_file, state_of
from support.mailbox import mailbox
from support.sidecar import RunningSidecar, listening, sidecar

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("unhurried")]

IN_A_SIDE_CAR = ("dependency-timeout", "dependency-latency", "dependency-error", "dependency-refuse", "throttling")


def test_each_step_is_rehearsed_and_told_as_data(estate: Estate, tmp_path: Path) -> None:
    """Which calls were made, which parts of the state they changed, which calls brought them back; nothing is left."""
    before = state_of(estate)
    letters = mailbox(estate.client)
    file = environment_file(estate, tmp_path / "environments", notify={"topic": letters.topic})

    done = stormproof(
        "rehearse", ROOT / "experiments/az-loss", "--env", file, "--json", "--out", tmp_path / "runs",
        timeout_s=500, STORMPROOF_STATE_DIR=str(tmp_path / "state"),
    )  # fmt: skip

    assert done.code == 0, f"{done.out}\n{done.err}"
    _compare("az-loss", _told(done.document["steps"], Path(done.document["folder"])))
    assert state_of(estate) == before
    calls = [json.loads(line) for line in next(tmp_path.glob("runs/*/*/calls.jsonl")).read_text().splitlines()]
    assert {"StopInstances", "DescribeInstances"} <= {call["operation"] for call in calls}
    assert not any("Authorization" in json.dumps(call) for call in calls)
    begins, ended = (one["Message"] for one in letters.letters())
    assert "a rehearsal, each fault cut off and undone" in begins
    assert ended.startswith("REHEARSED in staging: ")
    assert "why: 5 of 5 times, each as before\neverything that was broken was put back" in ended


def test_what_is_in_a_side_car_is_rehearsed_alike(estate: Estate, tmp_path: Path) -> None:
    """Together with what is in AWS: cut off while that is in force, and the other way round; neither is left."""
    with sidecar(estate, tmp_path, {"cart": {"service": "dynamodb"}}) as running:
        before = (state_of(estate), _state(running))

        done = stormproof(
            "rehearse", _together(tmp_path / "together"), "--env", tmp_path / "environments/staging.yaml", "--json",
            "--out", tmp_path / "runs", timeout_s=500, STORMPROOF_STATE_DIR=str(tmp_path / "state"),
        )  # fmt: skip

        assert done.code == 0, f"{done.out}\n{done.err}"
        _compare("together", _told(done.document["steps"], Path(done.document["folder"])))
        assert (state_of(estate), _state(running)) == before


def _together(folder: Path) -> Path:
    """A spec: an instance is stopped, and then a dependency throttled."""
    steps = [{"instance-stop": {"zone": "a", "count": 1}}, {"throttling": {"dependency": "cart", "rate": "5/s"}}]
    folder.mkdir()
    (folder / "load.py").write_text("")
    document = {
        "title": "An instance is gone while a dependency is throttled",
        "load": {"locustfile": "load.py", "arrivals": "1/s"},
        "timeline": {"steady": "5s", "fault": "5s", "recovery": "5s"},
        "faults": [{"composite": {"steps": steps}}],
        "hypotheses": ["availability during fault >= 1%"],
        "limits": {"duration": "3m", "targets": 2, "faults_at_once": 2},
    }
    (folder / "experiment.yaml").write_text(json.dumps(document))
    return folder


def test_each_fault_of_a_side_car_comes_back_wherever_it_is_cut_off(estate: Estate, tmp_path: Path) -> None:
    """Killed at each step and undone by another process, as the command does it; its state is the side-car's alone."""
    with (
        listening() as upstream,
        sidecar(
            estate, tmp_path, {"recommendations": {"upstream": upstream.url}, "cart": {"service": "dynamodb"}}
        ) as running,
    ):
        environment = discover("staging", running.file)
        faults = [
            catalogue.resolve(kind, catalogue.module(kind).EXAMPLE, environment, fault_id=f"{at}-{kind}")
            for at, kind in enumerate(IN_A_SIDE_CAR, start=1)
        ]
        run = RunDirectory(tmp_path / "run")
        run.create()
        rows = Rehearsal(
            snapshot=lambda: _state(running),
            faults=faults,
            run=run,
            process_environment=child_environment(environment),
            before_each=lambda: None,
        ).play()

        _compare("side-car", _told([{**asdict(row), "passed": row.passed} for row in rows], run.path))


def _state(running: RunningSidecar) -> dict[str, Any]:
    """What is set in a side-car, which listeners it has, and what is in the files that it watches."""
    assert running.file.sidecar is not None
    envoy = EnvoyAdmin(url=running.file.sidecar.admin_url, node_id=running.file.sidecar.node_id)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in running.files().items()}
    return {"runtime": envoy.all_overrides(), "listeners": envoy.listeners(), "files": files}


def _compare(slug: str, rows: list[dict[str, Any]]) -> None:
    golden = ROOT / f"tests/golden/aws/{slug}-rehearsed.json"
    if os.environ.get("STORMPROOF_UPDATE_GOLDEN"):
        golden.write_text(json.dumps(rows, indent=2) + "\n")
    assert rows == json.loads(golden.read_text())


def _told(rows: Iterable[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Each step without ids and times; a change by the part of the state that it is in."""
    classes = {
        entry.fault_id.rpartition(".")[0]: type(catalogue.bind(entry.kind, entry.target, entry.configuration)).__name__
        for entry in Ledger(folder / "ledger.jsonl").entries()
    }
    return [{"fault": row["kind"], "class": classes[row["fault_id"]], **_step(row)} for row in rows]


def _step(row: dict[str, Any]) -> dict[str, Any]:
    """How far an undo came that was killed while it went on is chance."""
    told = {key: row[key] for key in ("fault_id", "step", "differences", "passed")}
    if row["step"] == Step.UNDOING:
        return told
    changed = sorted({_part(one.partition(":")[0]) for one in row["changed"]})
    return {**told, "broken_by": row["broken_by"], "changed": changed, "undone_by": row["undone_by"]}


def _part(place: str) -> str:
    """Where in the state; of a side-car exactly where, but not of what has an id for a name."""
    if place.startswith("instances."):
        return "instances"
    exact = place.startswith(("runtime.", "files.", "proxy."))
    return place if exact else ".".join(place.split(".")[:2])
