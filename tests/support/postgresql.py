"""A real PostgreSQL of our own: a new cluster in a temporary folder, reached by a Unix socket, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

START_S = 30.0
USER = "stormproof"


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a server that is up; its database `postgres` is empty. No PostgreSQL is a failure, never a skip."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="sp-pg-"))  # short: the path of a Unix socket has at most 107 bytes
    try:
        account = _account()
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        _run(account, [binaries / "initdb", "--pgdata", folder / "data", "--username", USER, "--auth", "trust",
                       "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"])  # fmt: skip
        settings = ("listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", "shared_buffers=16MB")
        command = [binaries / "postgres", "-D", folder / "data", *(part for one in settings for part in ("-c", one))]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **_as(account))  # type: ignore[call-overload]
        try:
            _wait_until_ready(server, binaries, folder)
            yield f"postgresql://{USER}@/postgres?host={folder}"
        finally:
            server.send_signal(signal.SIGINT)  # fast shutdown
            server.wait(timeout=START_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    """Where initdb and postgres are; Debian keeps them out of the path."""
    named = shutil.which("initdb")
    found = [Path(named).resolve().parent] if named else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.fail("PostgreSQL is not installed: run scripts/install-debian-packages, which installs it")


def _account() -> pwd.struct_passwd | None:
    """Whom to run it as: PostgreSQL refuses root; None: as whoever we are."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.fail("there is no account to run PostgreSQL as: it refuses root")


def _as(account: pwd.struct_passwd | None) -> dict[str, int | list[int]]:
    return {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _run(account: pwd.struct_passwd | None, command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/", **_as(account))  # type: ignore[call-overload]
    assert 0 == done.returncode, done.stderr


def _wait_until_ready(server: subprocess.Popen[bytes], binaries: Path, folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert server.poll() is None, (folder / "log").read_text()
        asked = subprocess.run([binaries / "pg_isready", "-h", folder, "-U", USER], capture_output=True, check=False)
        if asked.returncode == 0:
            return
        time.sleep(0.05)
    pytest.fail(f"PostgreSQL was not ready within {START_S:g} s: {(folder / 'log').read_text()}")
