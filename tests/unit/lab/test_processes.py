"""Processes are told by number and start; children end with their parent; nothing of AWS is inherited."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import psutil
import pytest

from stormproof.lab.processes import ProcessIdentity, child_environment, end, from_record, to_record


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate(timeout=5)


def test_a_number_used_again_is_another_process(sleeper: subprocess.Popen[bytes]) -> None:
    """Same pid, other start: not ours, not alive, not ended."""
    identity = ProcessIdentity.of(sleeper.pid)
    stranger = ProcessIdentity(pid=sleeper.pid, started_s=identity.started_s - 3600)

    assert identity.is_alive()
    assert not stranger.is_alive()
    assert end([stranger]) == []
    assert sleeper.poll() is None
    assert from_record(to_record(identity)) == identity


def test_end_ends(sleeper: subprocess.Popen[bytes]) -> None:
    """SIGKILL, waited for; a second time there is nothing to do."""
    identity = ProcessIdentity.of(sleeper.pid)

    assert end([identity]) == []
    assert not identity.is_alive()
    assert end([identity]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_child_does_not_outlive_a_killed_parent() -> None:
    """kill -9 of the parent is the child's end too, without anybody's help."""
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import os, subprocess, sys
                from pathlib import Path
                from stormproof.lab.processes import spawn
                child = spawn([sys.executable, "-c", "import time; time.sleep(60)"],
                              log=Path(os.devnull), environment=os.environ)
                print(child.pid, flush=True)
                child.wait()
            """),
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = ProcessIdentity.of(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate(timeout=5)

    deadline = time.monotonic() + 5
    while child.is_alive():
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)


def test_children_inherit_no_identity_and_no_proxy() -> None:
    """Whoever starts the lab, nothing in it can reach AWS with their credentials."""
    found = child_environment(
        {
            "PATH": "/bin",
            "AWS_PROFILE": "production",
            "AWS_ACCESS_KEY_ID": "real",
            "https_proxy": "http://proxy.example",
            "HTTP_PROXY": "http://proxy.example",
        }
    )

    assert found["PATH"] == "/bin"
    assert "AWS_PROFILE" not in found
    assert found["AWS_ACCESS_KEY_ID"] == "testing"
    assert found["AWS_EC2_METADATA_DISABLED"] == "true"
    assert not [key for key in found if key.upper().endswith("_PROXY")]


def test_this_process_is_its_own_owner() -> None:
    """An owner is found again by what it wrote down."""
    assert ProcessIdentity.of(os.getpid()).started_s == pytest.approx(psutil.Process().create_time())
