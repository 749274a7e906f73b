"""The lab as the command line and a run see it: up, down, status, and what it offers as an environment."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from stormproof.errors import LabError
from stormproof.lab import condition
from stormproof.lab.processes import Owner, ProcessIdentity, child_environment, end
from stormproof.lab.state import SUPERVISOR, LabFolder, LabRecord, read_record
from stormproof.lab.topology import resolve
from stormproof.lab.variants import variant_named
from stormproof.model.environment import Environment

START_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.05


def default_directory() -> Path:
    """Where a lab stands unless told otherwise: ``$STORMPROOF_LAB_DIR``, or one folder per user for temporary files."""
    chosen = os.environ.get("STORMPROOF_LAB_DIR")
    return Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"stormproof-lab-{os.getuid()}"


def up(directory: Path, *, variant: str, owner: Owner | None = None) -> Environment:
    """Bring a lab up in *directory*, or find it up; returns when every instance is healthy.

    With *owner* the lab takes itself down some seconds after that process is gone. What a crashed lab left behind
    is removed first. Raises `LabError` when a lab of another variant is up, or when the lab does not start;
    `UsageError` for an unknown variant.
    """
    variant_named(variant)
    directory = directory.absolute()
    with _locked(directory) as folder:
        record = read_record(folder)
        if record is not None and _is_up(record):
            assert record.topology is not None
            if record.topology.variant != variant:
                raise LabError(
                    f"{directory}: expected a lab of variant {variant!r}, got {record.topology.variant!r}",
                    hint="`stormproof lab down` first",
                )
            return resolve(record.topology, directory)
        _clear(folder, record)
        supervisor = _start_supervisor(folder, variant=variant, owner=owner)
        return _wait_until_ready(folder, supervisor)


def down(directory: Path) -> bool:
    """Take the lab in *directory* down, crashed or not, without a trace; False when there was none.

    Raises `LabError` when a process would not end, and when the record does not say which there are.
    """
    directory = directory.absolute()
    if not directory.exists():
        return False
    with _locked(directory) as folder:
        record = read_record(folder, with_topology=False)
        supervisor = record.processes[SUPERVISOR].find() if record else None
        if supervisor is not None:
            supervisor.send_signal(signal.SIGTERM)
            with contextlib.suppress(psutil.TimeoutExpired):
                supervisor.wait(timeout=STOP_WITHIN_S)
        _clear(folder, record)
        shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        raise LabError(f"{directory}: could not be removed", hint="is something else writing there?")
    return record is not None


def status(directory: Path) -> dict[str, Any]:
    """The lab in *directory* as its parts say it is: see `condition.read` for the keys."""
    directory = directory.absolute()
    record = read_record(LabFolder(path=directory))
    if record is None or not _is_up(record):
        return condition.not_running(_why_not_up(record))
    assert record.topology is not None
    return condition.read(record, directory)


def wait_until_whole(directory: Path, *, within_s: float) -> None:
    """Return once the lab in *directory* is whole; `LabError`, with its own reason, when it is not in time."""
    give_up_at = time.monotonic() + within_s
    while not (seen := status(directory))["whole"]:
        if time.monotonic() > give_up_at:
            raise LabError(
                f"the lab that is up is not whole: {seen['reason']}",
                hint="stormproof lab status; stormproof undo --list",
            )
        time.sleep(_LOOK_EVERY_S)


def environment(directory: Path) -> Environment:
    """The lab in *directory* as an environment; raises `LabError` when none is up."""
    directory = directory.absolute()
    record = read_record(LabFolder(path=directory))
    if record is None or not _is_up(record):
        raise LabError(f"{directory}: expected a lab, got none that is up", hint="`stormproof lab up`")
    assert record.topology is not None
    return resolve(record.topology, directory)


def _why_not_up(record: LabRecord | None) -> str:
    if record is None:
        return "no lab is up"
    if record.processes[SUPERVISOR].is_alive():
        return "the lab is starting"
    return record.failure or "the lab has crashed"


def _is_up(record: LabRecord) -> bool:
    return record.ready and record.processes[SUPERVISOR].is_alive()


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[LabFolder]:
    """The folder, made if need be, ours alone (0700), and nobody else's to start or stop meanwhile."""
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700, parents=True)
        _check_ours(directory)
        try:
            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # another `down` was faster
            continue
        try:
            if _take(handle, deadline) and _is_same(handle, directory):
                yield LabFolder(path=directory)
                return
        finally:
            os.close(handle)  # gives the lock back
        if time.monotonic() > deadline:
            raise LabError(f"{directory}: another `lab up` or `lab down` has held it for {START_WITHIN_S:.0f} s")


def _take(handle: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_EVERY_S)
        else:
            return True


def _is_same(handle: int, directory: Path) -> bool:
    """Whether the folder that we locked is still the one at its path."""
    try:
        return os.path.samestat(os.fstat(handle), directory.stat())
    except FileNotFoundError:
        return False


def _check_ours(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        found = directory.lstat()
        if not directory.is_dir() or directory.is_symlink() or found.st_uid != os.getuid():
            raise LabError(
                f"{directory}: expected a folder of our own, got something else", hint="set STORMPROOF_LAB_DIR"
            )


def _clear(folder: LabFolder, record: LabRecord | None) -> None:
    """End what an earlier lab left running, and empty its folder; refuses a folder that is not a lab's."""
    if record is not None:
        stuck = end(record.processes.values())
        if stuck:
            raise LabError(f"{folder.path}: processes {stuck} of an earlier lab do not end")
    elif folder.path.exists() and any(folder.path.iterdir()) and not (folder.path / "logs").is_dir():
        raise LabError(
            f"{folder.path}: expected an empty folder or a lab's, got other files", hint="choose another folder"
        )
    if folder.path.exists():
        for entry in folder.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _start_supervisor(folder: LabFolder, *, variant: str, owner: Owner | None) -> ProcessIdentity:
    """A process of its own session: a Ctrl-C at the terminal is for the run, not for the lab."""
    folder.log(SUPERVISOR).parent.mkdir()
    command = [sys.executable, "-m", "stormproof.lab.supervisor", str(folder.path), "--variant", variant]
    if owner is not None:
        command += ["--owner-pid", str(owner.pid), "--owner-started", repr(owner.started_s)]
    log = str(folder.log(SUPERVISOR))
    # Not `Popen`: it is meant to outlive us, which `Popen` takes for a mistake.
    pid = os.posix_spawn(
        sys.executable,
        command,
        child_environment(os.environ),
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    return ProcessIdentity.of(pid)


def _wait_until_ready(folder: LabFolder, supervisor: ProcessIdentity) -> Environment:
    deadline = time.monotonic() + START_WITHIN_S
    try:
        while True:
            record = read_record(folder)
            if record is not None and record.ready and record.topology is not None:
                return resolve(record.topology, folder.path)
            _check_starting(folder, record, supervisor, deadline)
            time.sleep(_LOOK_EVERY_S)
    except BaseException:  # also Ctrl-C: half a lab is no lab
        _give_up(folder, supervisor)
        raise


def _check_starting(folder: LabFolder, record: LabRecord | None, supervisor: ProcessIdentity, deadline: float) -> None:
    if not supervisor.is_alive():
        raise LabError(f"the lab did not start: {_why(folder, record)}")
    if time.monotonic() > deadline:
        raise LabError(f"the lab did not start within {START_WITHIN_S:.0f} s")


def _why(folder: LabFolder, record: LabRecord | None) -> str:
    if record is not None and record.failure:
        return record.failure
    lines = folder.log(SUPERVISOR).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "the supervisor ended without a word"


def _give_up(folder: LabFolder, supervisor: ProcessIdentity) -> None:
    end([supervisor])
    with contextlib.suppress(LabError):
        _clear(folder, read_record(folder))
    shutil.rmtree(folder.path, ignore_errors=True)
