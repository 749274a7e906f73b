"""Ctrl-C, SIGTERM and `stormproof abort` at any moment: undone, kept, aborted, and the lab whole."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from support.command import ROOT, started, stormproof, stormproof_here, variables, wait_for
from support.lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.alone, pytest.mark.timeout(120)]


def settings(**other: str) -> list[str]:
    """The timeline as `--set` arguments: long phases after a short steady one, but for those in *other*."""
    phases = {"steady": "2s", "fault": "30s", "recovery": "30s", **other}
    return [argument for name, span in phases.items() for argument in ("--set", f"timeline.{name}={span}")]


def events_of(out: Path) -> list[dict[str, Any]]:
    """The events of the only run under *out*, so far."""
    return [
        json.loads(line)
        for path in out.glob("*/2*/events.jsonl")
        for line in path.read_text().splitlines()
        if line.endswith("}")
    ]


def reached(out: Path, moment: str) -> bool:
    """Whether the run under *out* has come to *moment*: a phase, or an event."""
    return any(moment in (row["event"], row.get("phase")) for row in events_of(out))


def assert_whole(lab: RunningLab, environment: dict[str, str], out: Path) -> None:
    """Six healthy instances, no delay, no throttle, nothing left to undo."""
    status = wait_for(
        "the lab to be whole",
        lambda: (done := stormproof_here("lab", "status", "--json", **environment)).code == 0 and done.document,
        within_s=15,
    )
    assert status["faults"] == []
    assert [instance["healthy"] for instance in status["instances"]] == [True] * 6
    assert stormproof_here("undo", "--list", "--out", out, **environment).code == 0


@pytest.mark.rota(1 / 4, by="number")
@pytest.mark.parametrize(
    ("experiment", "moment", "number"),
    [
        ("dependency-timeout", "warmup", signal.SIGINT),
        ("dependency-timeout", "steady", signal.SIGTERM),
        ("az-loss", "fault.injecting", signal.SIGINT),
        ("throttling", "fault.injected", signal.SIGINT),
        ("az-loss", "fault", signal.SIGTERM),
        ("throttling", "fault", signal.SIGINT),
        ("dependency-timeout", "fault", signal.SIGHUP),
    ],
)
def test_a_signal_at_any_moment(
    lab: RunningLab, tmp_path: Path, experiment: str, moment: str, number: signal.Signals
) -> None:
    """Whatever the phase: exit code 4, verdict aborted, the samples so far kept, the lab whole."""
    environment = variables(lab.directory, tmp_path)
    out = tmp_path / "runs"
    with started("run", ROOT / "experiments" / experiment, "--json", "--out", out, *settings(), **environment) as run:
        wait_for(f"the run to reach {moment}", lambda: reached(out, moment), within_s=40, every_s=0.01)
        run.send_signal(number)
        stdout, stderr = run.communicate(timeout=60)

    assert run.returncode == 4, stderr[-2000:]
    document = json.loads(stdout)
    assert document["verdict"] == "aborted"
    assert any(number.name in reason for reason in document["reasons"])
    assert list(Path(document["run_dir"]).glob("samples/*.parquet"))
    assert_whole(lab, environment, out)


def test_recovery_can_be_interrupted(lab: RunningLab, tmp_path: Path) -> None:
    """After the undo the run is cut short, not undone again."""
    environment = variables(lab.directory, tmp_path)
    out = tmp_path / "runs"
    arguments = settings(fault="3s")
    with started("run", ROOT / "experiments/throttling", "--json", "--out", out, *arguments, **environment) as run:
        wait_for("recovery", lambda: reached(out, "recovery"), within_s=60)
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=60)

    assert run.returncode in (1, 4), stderr[-2000:]  # a claim refuted before the abort stays refuted
    assert [row["event"] for row in events_of(out)].count("fault.gone") == 1
    assert_whole(lab, environment, out)


def test_ctrl_c_twice_does_not_interrupt_the_undo(lab: RunningLab, tmp_path: Path) -> None:
    """The second Ctrl-C, in the middle of the undo, changes nothing (chaoslib alone would lose the rest)."""
    environment = variables(lab.directory, tmp_path)
    out = tmp_path / "runs"
    with started("run", ROOT / "experiments/az-loss", "--json", "--out", out, *settings(), **environment) as run:
        wait_for("the fault", lambda: reached(out, "fault"), within_s=40)
        run.send_signal(signal.SIGINT)
        wait_for("the undo", lambda: reached(out, "fault.undoing"), within_s=20, every_s=0.005)
        os.killpg(run.pid, signal.SIGINT)
        _, stderr = run.communicate(timeout=60)

    assert run.returncode == 4, stderr[-2000:]
    assert_whole(lab, environment, out)


def test_abort_from_another_terminal(lab: RunningLab, tmp_path: Path) -> None:
    """`stormproof abort` ends the run; a second run in the same environment is refused meanwhile."""
    environment = variables(lab.directory, tmp_path)
    out = tmp_path / "runs"
    spec = ROOT / "experiments/dependency-timeout"
    with started("run", spec, "--json", "--out", out, *settings(), **environment) as run:
        wait_for("the fault", lambda: reached(out, "fault"), within_s=40)
        refused = stormproof("run", spec, "--out", tmp_path / "second", **environment)
        assert refused.code == 69
        assert "a run is going on" in refused.err

        assert stormproof("abort", "20260304T120000Z-az-loss-0001", **environment).code == 69  # another one
        assert stormproof("abort", next(out.glob("*/2*")).name, **environment).code == 0
        _, stderr = run.communicate(timeout=60)

    assert run.returncode == 4, stderr[-2000:]
    assert_whole(lab, environment, out)
    assert stormproof("abort", **environment).code == 69


def test_stop_condition_ends_the_fault(lab: RunningLab, tmp_path: Path) -> None:
    """A stop condition that comes true aborts the run and undoes the fault, long before its planned end."""
    environment = variables(lab.directory, tmp_path)
    out = tmp_path / "runs"
    spec = tmp_path / "stop" / "experiment.yaml"
    spec.parent.mkdir()
    text = (ROOT / "experiments/dependency-timeout/experiment.yaml").read_text()
    (spec.parent / "load.py").write_text((ROOT / "experiments/dependency-timeout/load.py").read_text())
    spec.write_text(text.replace("availability < 50% for 5s", "p99 latency > 1ms for 2s"))
    done = stormproof("run", spec, "--json", "--out", out, *settings(), **environment)

    assert done.document["verdict"] == "aborted", done.err[-2000:]
    assert any("p99 latency > 1ms" in reason for reason in done.document["reasons"])
    assert_whole(lab, environment, out)
