"""`stormproof rehearse` in an account: cut off at each step, undone by another process, described as data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stormproof.faults.envoy_admin import EnvoyAdmin
from support.command import ROOT, stormproof
from support.emulated_aws import Estate, environment_file, state_of
from support.mailbox import mailbox
from support.sidecar import sidecar

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("unhurried")]


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
    _compare("az-loss", [_told(row) for row in done.document["steps"]])
    assert state_of(estate) == before
    calls = [json.loads(line) for line in next(tmp_path.glob("runs/*/*/calls.jsonl")).read_text().splitlines()]
    assert {"StopInstances", "DescribeInstances"} <= {call["operation"] for call in calls}
    assert not any("Authorization" in json.dumps(call) for call in calls)
    begins, ended = (one["Message"] for one in letters.letters())
    assert "a rehearsal, each fault cut off and undone" in begins
    assert ended.startswith("REHEARSED in staging: ")
    assert "why: 5 of 5 times, each as before\neverything that was broken was put back" in ended


def test_what_is_in_a_side_car_is_rehearsed_alike(estate: Estate, tmp_path: Path) -> None:
    """A real Envoy: what is set in it and the file that is replaced are among the calls, its runtime in the state."""
    with sidecar(estate, tmp_path, {"cart": {"service": "dynamodb"}}) as running:
        assert running.file.sidecar is not None
        envoy = EnvoyAdmin(url=running.file.sidecar.admin_url, node_id=running.file.sidecar.node_id)
        before = (running.files(), envoy.all_overrides(), envoy.listeners())

        done = stormproof(
            "rehearse", ROOT / "experiments/throttling", "--env", tmp_path / "environments/staging.yaml", "--json",
            "--out", tmp_path / "runs", timeout_s=300, STORMPROOF_STATE_DIR=str(tmp_path / "state"),
        )  # fmt: skip

        assert done.code == 0, f"{done.out}\n{done.err}"
        _compare("throttling", [_told(row) for row in done.document["steps"]])
        assert (running.files(), envoy.all_overrides(), envoy.listeners()) == before


def _compare(slug: str, rows: list[dict[str, Any]]) -> None:
    golden = ROOT / f"tests/golden/aws/{slug}-rehearsed.json"
    if os.environ.get("STORMPROOF_UPDATE_GOLDEN"):
        golden.write_text(json.dumps(rows, indent=2) + "\n")
    assert rows == json.loads(golden.read_text())


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """Without ids and times; a change by the part of the state that it is in.

    How far an undo came that was killed while it went on is chance.
    """
    told = {key: row[key] for key in ("fault_id", "step", "differences", "passed")}
    if row["step"] == "in undo":
        return told
    changed = {".".join(one.partition(":")[0].split(".")[:2]) for one in row["changed"]}
    parts = {"instances" if one.startswith("instances.") else one for one in changed}
    return {**told, "broken_by": row["broken_by"], "changed": sorted(parts), "undone_by": row["undone_by"]}
