"""A run in steps on the real lab: each broken, held and taken back in turn, each judged by its own window."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import ROOT, stormproof, variables
from support.lab import RunningLab

SPEC = """\
title: Two steps
load: {locustfile: load.py, arrivals: 40/s}
timeline: {steady: 3s, recovery: 2s}
steps:
  - name: degraded
    duration: 3s
    faults:
      - dependency-error: {dependency: recommendations}
  - name: broken
    duration: 3s
    faults:
      - release: {version: v1}
      - dependency-error: {dependency: recommendations}
hypotheses:
  - share of traffic of static during degraded >= 80%
  - availability during degraded >= 90%
  - error rate during broken >= 80%
  - availability during recovery >= 90%
limits: {duration: 60s, targets: 7, share: 100%, faults_at_once: 2}
"""


@pytest.mark.lab
@pytest.mark.alone
def test_each_step_is_in_force_by_itself_and_judged_by_itself(lab: RunningLab, tmp_path: Path) -> None:
    """Degraded first, an error page then: what the one release does is not counted for the other."""
    shutil.copy(ROOT / "experiments/health-checks/load.py", tmp_path)
    spec = tmp_path / "two-steps.yaml"
    spec.write_text(SPEC)
    done = stormproof("run", spec, "--json", "--out", tmp_path / "runs", **variables(lab.directory, tmp_path))

    assert (done.code, done.document["verdict"]) == (0, "held"), done.out + done.err
    run = Path(done.document["run_dir"])
    verdict = json.loads((run / "verdict.json").read_text())
    (_, first_end), (second_start, _) = verdict["steps"]["degraded"], verdict["steps"]["broken"]
    assert first_end < second_start
    assert verdict["windows"]["fault"][0] <= verdict["steps"]["degraded"][0]
    lab.wait_until_whole()

    read = subprocess.run(
        [sys.executable, "-m", "stormprobes.health_check", "--run", str(run)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    value = json.loads(read.stdout)["value"]
    assert ["shallow", "shallow"] == [value["steps"][name]["depth"] for name in ("degraded", "broken")]
    assert (0, None) == (value["flips"], value["detect_s"])
