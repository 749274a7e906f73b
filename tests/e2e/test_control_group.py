"""A control group by header on the real lab: its requests are kept apart, and go through the fault unharmed."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path

import pytest

from stormproof.lab.topology import CONTROL_HEADER, CONTROL_ZONE
from stormproof.model.control import IN_CONTROL, NOT_IN_CONTROL
from stormproof.record.layout import RunDirectory
from stormproof.record.samples import read_samples
from stormproof.verdict.control import CHECKS
from support.command import ROOT, stormproof
from support.lab import RunningLab

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
SPEC = """\
title: Who is sent to a slow zone waits, and nobody else does
load: {locustfile: load.py, arrivals: 120/s, warmup: 1s}
timeline: {steady: 5s, fault: 5s, recovery: 1s}
faults:
  - az-loss: {zone: a, mode: slow, latency: 400ms}
hypotheses:
  - p90 latency during fault <= 2x control
  - availability during fault >= 50%
control: {header: x-stormproof-control, share: 33%}
limits: {duration: 90s}
"""


def zones_of(lab: RunningLab, mark: str | None) -> list[str]:
    headers = {CONTROL_HEADER: mark} if mark else {}
    found = []
    for _ in range(60):
        with OPENER.open(
            urllib.request.Request(f"{lab.environment.base_url}/healthz", headers=headers), timeout=10
        ) as answer:
            found.append(answer.headers["x-zone"])
    return found


@pytest.mark.lab
def test_the_balancer_keeps_the_groups_apart(lab: RunningLab) -> None:
    """Marked requests are answered by the control's zone alone, others by all but that; those without a mark by all."""
    lab.wait_until_whole()

    assert set(zones_of(lab, IN_CONTROL)) == {CONTROL_ZONE}
    assert set(zones_of(lab, NOT_IN_CONTROL)) == {"a", "b"}
    assert set(zones_of(lab, None)) == {"a", "b", "c"}


@pytest.mark.lab
@pytest.mark.alone
def test_the_control_holds_while_the_others_are_refuted(tmp_path: Path, no_lab: dict[str, str]) -> None:
    """Half of the others' requests are the slow zone's, and late; the control's in the same seconds are not."""
    shutil.copy(ROOT / "experiments/az-loss/load.py", tmp_path)
    spec = tmp_path / "beside-control.yaml"
    spec.write_text(SPEC)
    done = stormproof("run", spec, "--set", "lab.variant=naive", "--json", "--out", tmp_path / "runs", **no_lab)

    assert (done.code, done.document["verdict"]) == (1, "refuted"), done.out + done.err
    run = RunDirectory(Path(done.document["run_dir"]))
    verdict = json.loads(run.verdict.read_text())
    checks = {one["name"]: one for one in verdict["checks"]}
    beside, alone = verdict["findings"]
    start_s, end_s = verdict["windows"]["fault"]
    samples = read_samples(run)
    control = samples[samples["control"] & samples["scheduled_at"].between(start_s, end_s)]

    assert checks.keys() >= CHECKS
    assert {name for name, one in checks.items() if not one["ok"]} == set()
    assert [beside["verdict"], alone["verdict"]] == ["refuted", "held"]
    assert beside["low"] > 2
    assert alone["n"] < 0.75 * len(samples[samples["scheduled_at"].between(start_s, end_s)])
    assert len(control) > 150
    assert control["latency_ms"].quantile(0.9) < 200
    assert set(control["zone"]) == {CONTROL_ZONE}
