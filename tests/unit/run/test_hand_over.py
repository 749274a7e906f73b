"""An undo that fails in the conductor is tried again by the watchdog, and the run's end says what came of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormproof.faults import catalogue
from stormproof.faults.ledger import Ledger
from stormproof.model.plan import RunPlan
from stormproof.record import events
from stormproof.record.layout import RunDirectory
from stormproof.run.conductor import Conductor
from stormproof.run.guard import Guard
from stormproof.run.progress import Progress
from support import file_fault
from support.lab import until
from support.planning import make_environment, make_experiment

TESTS = Path(__file__).parents[2]
# Read by every Python before anything else: the real watchdog, with one fault more in its catalogue.
CUSTOMISED = """
from stormproof.faults import catalogue
catalogue.KINDS["file"] = "support.file_fault"
"""


@pytest.fixture
def conductor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Conductor]:
    """At the end of its run, with a real watchdog, and a fault that somebody else stands in the way of undoing."""
    monkeypatch.setitem(catalogue.KINDS, "file", "support.file_fault")
    monkeypatch.setenv("STORMPROOF_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "sitecustomize.py").write_text(CUSTOMISED)
    run = RunDirectory(tmp_path / "run").create()
    world = tmp_path / "world"
    world.write_text("theirs")
    Ledger(run.ledger).intend(
        "1-file", kind="file", target={"path": str(world)}, configuration={}, prior={"text": file_fault.WHOLE}
    )
    one = Conductor(
        experiment=make_experiment(),
        environment=make_environment(),
        plan=RunPlan(faults=(), noop=False, seed=1, experiment={}),
        run=run,
        progress=Progress(quiet=True),
        process_environment={},
        environment_key="test",
    )
    one._guard = Guard.start(
        run, duration_s_max=60, environment={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(TESTS)])}
    )
    with one._guard.process as process:  # which closes its pipes
        yield one
        process.kill()


def says(conductor: Conductor, event: str) -> list[str]:
    """Who has said *event*."""
    return [row["who"] for row in events.read_events(conductor.run.events) if row["event"] == event]


def test_what_the_conductor_cannot_undo_the_watchdog_does(conductor: Conductor, tmp_path: Path) -> None:
    """The obstacle goes away after the conductor's own try; the watchdog's next one succeeds, and kills nobody."""

    def step_aside() -> None:
        until(lambda: says(conductor, "watchdog.took_over"))
        (tmp_path / "world").write_text(file_fault.BROKEN)

    aside = threading.Thread(target=step_aside)
    aside.start()
    undone = conductor._finish()
    aside.join()

    assert undone
    assert (tmp_path / "world").read_text() == file_fault.WHOLE
    assert says(conductor, events.FAULT_NOT_GONE)[0] == "conductor"
    assert says(conductor, events.FAULT_GONE) == ["watchdog"]
    assert says(conductor, events.ABORT) == []
    assert says(conductor, events.RUN_ENDED) == ["conductor"]


def test_what_nobody_can_undo_is_told(conductor: Conductor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The obstacle stays: the run ends all the same, says so, and the entry is outstanding."""
    monkeypatch.setattr("stormproof.run.conductor.WATCHDOG_TRIES_S", 1.0)

    undone = conductor._finish()

    assert not undone
    assert [entry.fault_id for entry in Ledger(conductor.run.ledger).outstanding()] == ["1-file"]
    [ended] = [row for row in events.read_events(conductor.run.events) if row["event"] == events.RUN_ENDED]
    assert ended["undone"] is False
