"""The lease that the watchdog grants the conductor, while the conductor waits for others to start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stormproof.record import events
from stormproof.record.layout import RunDirectory

TESTS = Path(__file__).parents[2]
LEASE_S = 1.0
SLOW_LOCUSTFILE = f"""
import time
from locust import FastHttpUser, task

time.sleep({LEASE_S + 0.5})  # an overloaded machine

class Customer(FastHttpUser):
    @task
    def look(self): self.client.get("/")
"""
# The watchdog kills the conductor that it gives up, so this is a process of its own.
CONDUCTOR = f"""
import dataclasses, os, pathlib, sys
from stormproof.model.plan import RunPlan
from stormproof.record.layout import RunDirectory
from stormproof.run.conductor import Conductor
from stormproof.run.guard import Guard
from stormproof.run.interrupt import Interrupts
from stormproof.run.progress import Progress
from support.planning import make_environment, make_experiment

folder = pathlib.Path(sys.argv[1])
Guard.beat.__defaults__ = ({LEASE_S},)
experiment = make_experiment(arrivals_per_s=1.0)
conductor = Conductor(
    experiment=dataclasses.replace(
        experiment, load=dataclasses.replace(experiment.load, locustfile=str(folder / "load.py"))
    ),
    environment=dataclasses.replace(make_environment(), proxy=None),
    plan=RunPlan(faults=(), noop=False, seed=1, experiment={{}}),
    run=RunDirectory(folder / "run"),
    progress=Progress(quiet=True),
    process_environment=dict(os.environ),
    environment_key="test",
)
conductor._start(Interrupts())
conductor._abort("the test is over", by="person")
conductor._finish()
"""


def test_a_load_that_starts_slowly_is_not_taken_for_a_conductor_that_hangs(tmp_path: Path) -> None:
    """The workers take longer to import than the lease lasts; the conductor waits for them, and is let live."""
    run = RunDirectory(tmp_path / "run").create()
    (tmp_path / "load.py").write_text(SLOW_LOCUSTFILE)
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "STORMPROOF_STATE_DIR": str(tmp_path / "state")}
    done = subprocess.run(
        [sys.executable, "-c", CONDUCTOR, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert events.LOAD_STARTED in [row["event"] for row in events.read_events(run.events)]
