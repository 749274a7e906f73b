"""A fault on the real lab that is taken back as soon as its claims are decided."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from stormproof.analysis.sequence import ANY_TIME
from support.command import ROOT, stormproof, variables
from support.lab import RunningLab

SPEC = """\
title: Decided early
load: {locustfile: load.py, arrivals: 30/s}
timeline:
  steady: 4s
  fault: {at_most: 30s, until: decided}
  recovery: 2s
faults:
  - dependency-error: {dependency: recommendations}
hypotheses:
  - availability during fault >= 50%
  - availability during recovery >= 50%
limits: {duration: 90s}
"""


@pytest.mark.lab
@pytest.mark.alone
def test_the_fault_is_taken_back_once_nothing_is_left_to_learn(lab: RunningLab, tmp_path: Path) -> None:
    """The player hears the conductor's event: a fault of thirty seconds at most is over well before."""
    shutil.copy(ROOT / "experiments/az-loss/load.py", tmp_path)
    spec = tmp_path / "decided-early.yaml"
    spec.write_text(SPEC)
    done = stormproof("run", spec, "--json", "--out", tmp_path / "runs", **variables(lab.directory, tmp_path))

    assert (done.code, done.document["verdict"]) == (0, "held"), done.out + done.err
    run = Path(done.document["run_dir"])
    verdict = json.loads((run / "verdict.json").read_text())
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    begun_s, ended_s = verdict["windows"]["fault"]
    (decided,) = (row for row in events if row["event"] == "decided")
    undoing = next(row for row in events if row["event"] == "fault.undoing")

    assert 5.0 <= ended_s - begun_s < 15.0
    assert begun_s < decided["at"] <= undoing["at"] < decided["at"] + 3.0
    assert [one["verdict"] for one in decided["claims"]] == ["held"]
    assert [one["method"] == ANY_TIME for one in verdict["findings"]] == [True, False]
    assert verdict["reasons"][-1].startswith("The fault was ended early: every claim is decided ")
    lab.wait_until_whole()
