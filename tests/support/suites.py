"""Suites of stand-in runs: specs, the state, a night that plays it, and one in a process that can be killed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from stormproof.record.layout import RunDirectory
from stormproof.suite.after import Recorder
from stormproof.suite.entry import Entry, digest_of
from stormproof.suite.lease import suite_lease
from stormproof.suite.night import Night, is_finished
from stormproof.suite.state import FOLDER, Item, SuiteDirectory, SuiteState, read_state, write_state
from stormproof.suite.write import finish, write_pages
from support.command import environment

PROGRAM = Path(__file__).with_name("suite_program.py")
DRIVER = Path(__file__).with_name("suite_driver.py")
SUITE_ID = "20261127T030000Z-local-0001"


def entry(slug: str, **changes: object) -> Entry:
    """An entry by hand."""
    fields: dict[str, object] = {
        "slug": slug, "spec": f"{slug}/experiment.yaml", "spec_sha256": "", "title": slug, "tags": (), "settings": (),
        "expected_s": 40.0, "target_seconds": 20.0, "workload": "shop", "touches": (f"shop/{slug}",),
    }  # fmt: skip
    return Entry(**{**fields, **changes})  # type: ignore[arg-type]


def begin(reports: Path, titles: Mapping[str, str], **changes: object) -> tuple[SuiteDirectory, SuiteState]:
    """A suite of experiments that come to what their titles say (`suite_program`), on disk and not yet played."""
    items = []
    for slug, title in titles.items():
        spec = reports.parent / "experiments" / slug / "experiment.yaml"
        spec.parent.mkdir(parents=True, exist_ok=True)
        spec.write_text(f'title: "{title}"\n')
        items.append(Item(entry=entry(slug, spec=str(spec), spec_sha256=digest_of(spec), title=title)))
    fields: dict[str, object] = {
        "suite_id": SUITE_ID, "environment": "local", "env": "local", "source": "experiments",
        "command": "stormproof suite x", "started_at": "2026-11-27T03:00:00.000+00:00", "items": items,
    }  # fmt: skip
    state = SuiteState(**{**fields, **changes})  # type: ignore[arg-type]
    folder = SuiteDirectory(reports / FOLDER / state.suite_id)
    write_state(folder, state)
    return folder, state


def play(
    folder: SuiteDirectory,
    state: SuiteState,
    said: list[str] | None = None,
    recorders: Sequence[Recorder] = (),
    lease_lost: Callable[[], str | None] = lambda: None,
) -> SuiteState:
    """Play *state* here, as `stormproof suite` does."""
    say = (said if said is not None else []).append
    with suite_lease(state.environment, suite_id=state.suite_id, within_s=60) as lease:
        night = Night(
            state=state, folder=folder, reports=folder.path.parent.parent, lease=lease, recorders=recorders, say=say,
            program=(str(PROGRAM),), lease_lost=lease_lost,
        )  # fmt: skip
        night.play()
        write_pages(folder, state)
        finish(folder, state)
    return state


def write_name(run: RunDirectory) -> None:
    """A recorder that is idempotent: the run's id as the name of an empty file beside the experiments."""
    noted = run.path.parent.parent / "recorded"
    noted.mkdir(exist_ok=True)
    (noted / run.path.name).touch()


def drive(reports: Path, state_dir: Path, *, kill_at: int = 0, waits: bool = False) -> tuple[int, str]:
    """Play, or resume, the suite under *reports* in a process that kills itself at its *kill_at*-th event.

    Returns its exit code (-9: killed) and the number of events that it saw, as text, where it lived to say so.
    """
    with driving(reports, state_dir, kill_at=kill_at, waits=waits) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode in (0, -9), err
    return process.returncode, out.strip()


@contextlib.contextmanager
def driving(
    reports: Path, state_dir: Path, *, kill_at: int = 0, waits: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """The process of `drive`, going on; killed if it is still there after."""
    process = subprocess.Popen(
        [sys.executable, str(DRIVER), str(reports), str(kill_at), *(["waits"] if waits else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment({"STORMPROOF_STATE_DIR": str(state_dir), "PYTHONPATH": str(DRIVER.parents[1])}),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def drive_here(reports: Path) -> None:
    """What the driver does, once it watches itself."""
    folder = SuiteDirectory(reports / FOLDER / SUITE_ID)
    state = read_state(folder)
    if is_finished(state):
        return
    play(folder, state, recorders=[Recorder(name="names", record=write_name)])


def outcomes(state: SuiteState) -> dict[str, list[str]]:
    """Slug → what its counted runs came to."""
    return {item.entry.slug: [str(one.outcome) for one in item.counted] for item in state.items}


def run_directories(reports: Path) -> set[str]:
    """The ids of all runs on disk."""
    return {path.name for path in reports.glob("*/2*") if path.parent.name != FOLDER}


def check_nothing_lost_or_twice(folder: SuiteDirectory, reports: Path, expected: Mapping[str, list[str]]) -> None:
    """The counted runs are those of an undisturbed suite; no run is unknown, or counted or recorded twice."""
    state = read_state(folder)
    attempts = [one for item in state.items for one in item.attempts]
    counted = [one.run_id for item in state.items for one in item.counted]
    ended = {path.parent.name for path in reports.glob("*/2*/SHA256SUMS")}

    assert expected == outcomes(state)
    assert len(attempts) == len({one.run_id for one in attempts})
    assert run_directories(reports) <= {one.run_id for one in attempts}
    assert {path.name for path in (reports / "recorded").iterdir()} == ended
    assert set(counted) <= ended
    assert all(one.outcome is not None for one in attempts)
    assert 2 * len(expected) == folder.junit.read_text().count("<testcase")  # of each the experiment and its claim
