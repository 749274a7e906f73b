"""Labs that come and go: after any end there is no process, no folder, no socket, and another lab can start."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from stormproof.errors import LabError
from stormproof.lab import control
from stormproof.lab.processes import Owner, ProcessIdentity
from stormproof.lab.state import SUPERVISOR, LabFolder, read_record
from support.command import ROOT, started
from support.lab import private_folder, until

pytestmark = pytest.mark.lab


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for one lab, and no lab in it afterwards."""
    path = private_folder()
    yield path
    control.down(path)
    shutil.rmtree(path, ignore_errors=True)


def processes(folder: Path) -> dict[str, ProcessIdentity]:
    record = read_record(LabFolder(path=folder))
    assert record is not None
    return dict(record.processes)


def none_left(folder: Path, recorded: dict[str, ProcessIdentity]) -> bool:
    """Neither a recorded process, nor any other that was started with the folder's name."""
    by_name = [p for p in psutil.process_iter(["cmdline"]) if str(folder) in (p.info["cmdline"] or [])]
    return not by_name and not any(identity.is_alive() for identity in recorded.values())


def test_down_leaves_nothing_and_up_works_again(folder: Path) -> None:
    """After `down`: no process, no folder, no shared memory; down again says that there was none."""
    first = control.up(folder, variant="naive", owner=Owner.this_process())
    recorded = processes(folder)
    assert len(recorded) == 11  # supervisor, forge, control plane, dependencies, six shops, Envoy
    assert (folder.stat().st_mode & 0o777) == 0o700
    if sys.platform == "linux":  # hot restart would leave shared memory behind
        maps = Path(f"/proc/{recorded['envoy'].pid}/maps").read_text()
        assert "/dev/shm" not in maps

    assert control.down(folder) is True
    assert none_left(folder, recorded)
    assert not folder.exists()
    assert control.down(folder) is False
    assert first.variant == "naive"


def test_a_killed_supervisor_takes_everything_with_it(folder: Path) -> None:
    """kill -9 leaves no process behind; the status says so, and the next `up` gives a whole lab."""
    control.up(folder, variant="hardened", owner=Owner.this_process())
    recorded = processes(folder)
    os.kill(recorded[SUPERVISOR].pid, signal.SIGKILL)

    if sys.platform == "linux":  # elsewhere the next `up` or `down` ends them
        until(lambda: none_left(folder, recorded), within_s=5)
    until(lambda: not control.status(folder)["running"], within_s=5)
    assert control.status(folder)["whole"] is False
    with pytest.raises(LabError, match="none that is up"):
        control.environment(folder)
    control.up(folder, variant="hardened", owner=Owner.this_process())
    assert control.status(folder)["whole"] is True


def test_leftovers_of_a_crash_are_ended_by_who_they_are(folder: Path) -> None:
    """`down` ends recorded processes that outlived their supervisor, and spares one that only has their number."""
    control.up(folder, variant="hardened", owner=Owner.this_process())
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    leftover = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        record = read_record(LabFolder(path=folder))
        assert record is not None
        os.kill(record.processes[SUPERVISOR].pid, signal.SIGKILL)
        until(lambda: not record.processes[SUPERVISOR].is_alive())
        stranger = ProcessIdentity(pid=bystander.pid, started_s=psutil.Process(bystander.pid).create_time() - 60)
        changed = {**record.processes, "old": ProcessIdentity.of(leftover.pid), "reused": stranger}
        type(record)(processes=changed, topology=record.topology, ready=True).write(LabFolder(path=folder))

        control.down(folder)

        assert not changed["old"].is_alive()
        assert bystander.poll() is None
        assert not folder.exists()
    finally:
        for process in (bystander, leftover):
            process.kill()
            process.communicate(timeout=5)


def test_a_lab_goes_with_its_owner(folder: Path) -> None:
    """A run's private lab ends by itself once the conductor is gone, after the grace that an undo needs."""
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(owner.pid)
    control.up(folder, variant="hardened", owner=Owner(pid=identity.pid, started_s=identity.started_s))
    recorded = processes(folder)
    owner.kill()
    owner.communicate(timeout=5)

    assert control.status(folder)["whole"] is True  # the grace
    until(lambda: not folder.exists(), within_s=30)
    until(lambda: none_left(folder, recorded), within_s=5)


def test_a_lab_holds_nothing_of_the_caller_open(folder: Path) -> None:
    """A pipe that `lab up` inherits (the lock of a cron job, say) is closed with the command, not with the lab."""
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    try:
        control.up(folder, variant="hardened", owner=Owner.this_process())
    finally:
        os.close(theirs)
    os.set_blocking(ours, False)
    try:
        rest = os.read(ours, 1)  # the end; with a writer left it would be a BlockingIOError
    finally:
        os.close(ours)

    assert rest == b""


def test_a_lab_of_another_version_can_be_taken_down(folder: Path) -> None:
    """Its topology is not ours to read, which `up` and `status` say with a hint; its processes are, and are ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as leftover:
        identity = ProcessIdentity.of(leftover.pid)
        row = {"pid": identity.pid, "started_s": identity.started_s}
        record = {"schema_version": 1, "ready": True, "failure": None, "processes": {"supervisor": row, "envoy": row}}
        LabFolder(path=folder).record.write_text(json.dumps({**record, "topology": {"lab_id": "lab-1"}}))
        (folder / "logs").mkdir()

        for ask in (control.status, control.environment):
            with pytest.raises(LabError, match="another's") as refused:
                ask(folder)
            assert "lab down" in str(refused.value)
        assert control.down(folder) is True
        assert not identity.is_alive()
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_private_lab_that_is_coming_up_goes_on_a_signal(folder: Path, number: signal.Signals) -> None:
    """Exit code 130 and one line, as after Ctrl-C; no process and no folder of the half-made lab is left."""
    extra = {"STORMPROOF_LAB_DIR": str(folder / "none"), "TMPDIR": str(folder)}
    with started("run", ROOT / "experiments/az-loss", "--out", folder / "runs", **extra) as run:
        until(lambda: list(folder.glob("stormproof-lab-*/lab.json")))
        recorded = processes(next(folder.glob("stormproof-lab-*")))
        run.send_signal(number)
        _, err = run.communicate(timeout=30)

    assert (run.returncode, err.splitlines()[-1]) == (130, f"interrupted ({number.name})")
    until(lambda: none_left(folder, recorded))
    assert not list(folder.glob("stormproof-lab-*"))


def test_a_folder_with_something_else_in_it_is_left_alone(folder: Path) -> None:
    """`up` never empties a folder that is not a lab's."""
    precious = folder / "precious.txt"
    precious.write_text("not yours")

    with pytest.raises(LabError, match="other files"):
        control.up(folder, variant="hardened")

    assert precious.read_text() == "not yours"
    precious.unlink()


def test_losing_a_critical_process_makes_the_lab_not_whole(folder: Path) -> None:
    """Envoy or the control plane that dies is said so, and not quietly started again; the rest stays up."""
    control.up(folder, variant="hardened", owner=Owner.this_process())
    recorded = processes(folder)
    os.kill(recorded["control-plane"].pid, signal.SIGKILL)

    until(lambda: "control-plane ended by itself" in str(control.status(folder)["reason"]))
    found = control.status(folder)
    assert (found["running"], found["whole"]) == (True, False)
    assert all(row["healthy"] and row["state"] == "unknown" for row in found["instances"])

    os.kill(recorded["envoy"].pid, signal.SIGKILL)
    until(lambda: "envoy ended by itself" in str(control.status(folder)["reason"]))
    assert not any(row["healthy"] for row in control.status(folder)["instances"])


def test_two_who_bring_it_up_at_once_get_one_lab(folder: Path) -> None:
    """The second waits for the first and finds its lab."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        pending = [pool.submit(control.up, folder, variant="hardened", owner=Owner.this_process()) for _ in range(2)]
        first, second = (future.result(timeout=60) for future in pending)

    assert first == second


def test_a_lab_that_does_not_start_says_why_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last words of what failed are in the error; the folder is gone."""
    broken = folder.parent / f"{folder.name}-python"
    broken.write_text("#!/bin/sh\necho 'no such module' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    try:
        with pytest.raises(LabError, match="did not start: no such module"):
            control.up(folder, variant="hardened")
    finally:
        broken.unlink()

    assert not folder.exists()
