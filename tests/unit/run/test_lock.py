"""One run per environment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import orjson
import psutil
import pytest

from stormproof.errors import UnavailableError
from stormproof.run import lock


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Locks of our own."""
    monkeypatch.setenv("STORMPROOF_STATE_DIR", str(tmp_path))
    return lock.lock_folder()


def test_second_run_is_refused_and_told_what_to_type(folder: Path) -> None:
    """While one run holds the environment another gets an error that names it and the way out."""
    with lock.environment_lock("local", run=folder / "run-1", duration_s_max=60):
        with (
            pytest.raises(UnavailableError, match="run-1") as refusal,
            lock.environment_lock("local", run=folder / "run-2", duration_s_max=60),
        ):
            pass
        assert "stormproof abort" in str(refusal.value)
        with lock.environment_lock("staging", run=folder / "run-3", duration_s_max=60):
            assert {Path(owner["run"]).name for owner in lock.holders()} == {"run-1", "run-3"}

    assert lock.holders() == []


def test_a_dead_owner_holds_nothing(folder: Path) -> None:
    """A lock whose process was killed is nobody's."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    created = psutil.Process(process.pid).create_time()
    row = {"pid": process.pid, "created": created, "run": "r", "expires_at": time.time() + 60}
    (folder / "local.json").write_bytes(orjson.dumps(row))
    assert lock.holder("local") is not None
    process.kill()
    process.wait()

    assert lock.holder("local") is None


def test_a_reused_pid_holds_nothing(folder: Path) -> None:
    """Another process under the same number is not the owner."""
    row = {"pid": os.getpid(), "created": 12345.0, "run": "r", "expires_at": time.time() + 60}
    (folder / "local.json").write_bytes(orjson.dumps(row))

    assert lock.holder("local") is None


def test_an_expired_lock_holds_nothing(folder: Path) -> None:
    """A conductor that hangs past its limit does not keep the environment for ever."""
    row = {"pid": os.getpid(), "created": psutil.Process().create_time(), "run": "r", "expires_at": time.time() - 1}
    (folder / "local.json").write_bytes(orjson.dumps(row))

    assert lock.holder("local") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}'])
def test_a_torn_lock_holds_nothing(folder: Path, content: bytes) -> None:
    """A lock file that cannot be read is nobody's."""
    (folder / "local.json").write_bytes(content)

    assert lock.holder("local") is None
