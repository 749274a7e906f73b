"""Every shipped experiment: held on hardened, refuted on naive, invalid with a no-op fault."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from controls.nine import NINE, SHORT, SHORTER, Control, run_control
from support.command import stormproof

pytestmark = [pytest.mark.lab, pytest.mark.alone, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the nine runs go."""
    return tmp_path_factory.mktemp("controls")


def _in_turn(control: Control) -> Any:
    """One is played at each commit, as later tests read it; of the others one that holds, one naive, one no-op."""
    marks = () if control.id == "az-loss-hardened" else (pytest.mark.rota(1 / 3, by="kind"),)
    return pytest.param(control, control.name, id=control.id, marks=marks)


@pytest.mark.parametrize(("control", "kind"), [_in_turn(control) for control in NINE])
def test_control(control: Control, kind: str, runs: Path, no_lab: dict[str, str]) -> None:
    """The verdict, its exit code, and a reason for each."""
    more = SHORT if kind == "hardened" else SHORTER
    done, document = run_control(control, out=runs / control.name, more=more, **no_lab)

    assert (document.get("verdict"), done.code) == (control.verdict, control.code), done.err[-2000:]
    assert document["reasons"]
    if control.name == "no-op":  # invalid because nothing was felt, and for no other reason
        assert {check["name"] for check in document["checks"] if not check["ok"]} == {"fault felt"}
    assert document["simulated"] is True


def _run_of(runs: Path, control: str, experiment: str) -> Path:
    found = sorted((runs / control / experiment).glob("2*"))
    if not found:
        pytest.fail(f"the control {experiment}-{control} has not left a run")
    return found[-1]


def test_analyse_elsewhere_gives_the_same_verdict(runs: Path, tmp_path: Path) -> None:
    """A copied run directory without its verdict and reports is judged to the same bytes."""
    original = _run_of(runs, "hardened", "az-loss")
    copy = tmp_path / "elsewhere"
    shutil.copytree(original, copy)
    for name in ("verdict.json", "report.html", "report.md", "junit.xml", "SHA256SUMS"):
        (copy / name).unlink()
    done = stormproof("analyse", copy)

    assert done.code == 0, done.err
    assert (copy / "verdict.json").read_bytes() == (original / "verdict.json").read_bytes()


def test_altered_samples_change_the_verdict(runs: Path, tmp_path: Path) -> None:
    """The verdict comes from the rows: with half of them failed, what held is refuted, and the seal says so."""
    original = _run_of(runs, "hardened", "az-loss")
    copy = tmp_path / "altered"
    shutil.copytree(original, copy)
    start, end = json.loads((original / "verdict.json").read_text())["windows"]["fault"]
    for part in (copy / "samples").glob("*.parquet"):
        rows = pd.read_parquet(part)
        rows.loc[rows.scheduled_at.between((start + end) / 2, end), "ok"] = False
        rows.to_parquet(part)
    done = stormproof("analyse", copy)

    assert done.code == 1, done.err
    assert "was changed" in done.err


def test_lost_zone_is_silent(runs: Path) -> None:
    """While zone a is gone no sample comes from it, and before it a third of them does."""
    run = _run_of(runs, "hardened", "az-loss")
    windows = json.loads((run / "verdict.json").read_text())["windows"]
    rows = pd.concat(pd.read_parquet(part) for part in (run / "samples").glob("*.parquet"))
    counts = {
        phase: rows[rows.scheduled_at.between(start + (1 if phase == "fault" else 0), end - 1)]["zone"].value_counts()
        for phase, (start, end) in windows.items()
    }

    assert counts["fault"].get("a", 0) == 0
    assert counts["steady"]["a"] > 0.25 * counts["steady"].sum()


@pytest.mark.timeout(120)
def test_fault_aimed_at_an_unused_dependency_is_invalid(runs: Path, no_lab: dict[str, str]) -> None:
    """Nobody calls reviews: its time-out is confirmed by our own request, but the workload never felt it."""
    from support.command import ROOT

    done = stormproof(
        "run", ROOT / "experiments/dependency-timeout", "--json", "--out", runs / "unused",
        "--set", "faults.0.dependency-timeout.dependency=reviews", *(a for s in SHORTER for a in ("--set", s)),
        **no_lab,
    )  # fmt: skip

    assert (done.document["verdict"], done.code) == ("invalid", 3), done.err[-2000:]
