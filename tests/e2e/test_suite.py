"""A suite of real runs in the lab: killed under a fault, it leaves nothing broken, and goes on where it was."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from support.command import started, stormproof, variables, wait_for
from support.kill import SHORT
from support.lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.deadline, pytest.mark.timeout(120)]


def reached(out: Path, moment: str) -> bool:
    """Whether some run under *out* has come to *moment*."""
    return any(f'"{moment}"' in path.read_text() for path in out.glob("*/2*/events.jsonl"))


def test_a_suite_that_is_killed_under_a_fault(lab: RunningLab, tmp_path: Path) -> None:
    """SIGKILL: its run undoes and ends; the resumed suite waits for that, runs it once more, and is done."""
    out, state = tmp_path / "reports", variables(lab.directory, tmp_path)
    settings = [argument for one in SHORT for argument in ("--set", one)]
    command = ["suite", "experiments", "--only", "dependency-timeout", "--out", out, *settings]

    with started(*command, **state) as suite:
        wait_for("the fault", lambda: reached(out, "fault.felt"), within_s=60)
        suite.send_signal(signal.SIGKILL)
        suite.wait(timeout=10)
    done = stormproof("suite", "experiments", "--resume", "--json", "--out", out, **state)
    lab.wait_until_whole()
    document: dict[str, Any] = json.loads(done.out)
    attempts = document["experiments"][0]["attempts"]

    assert "interrupted" == attempts[0]["outcome"]
    assert done.code == document["exit_code"] < 64, done.err
    assert all(one["outcome"] in ("held", "refuted", "inconclusive", "invalid") for one in attempts[1:])
    assert {one["run_id"] for one in attempts} == {path.name for path in (out / "dependency-timeout").iterdir()}
    assert all(one["recorded"]["evidence"] == "" for one in attempts)
    assert stormproof("undo", "--list", "--out", out, **state).code == 0
    assert len(attempts) >= 2
    assert Path(document["summary"]).is_file()
