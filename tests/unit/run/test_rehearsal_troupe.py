"""Players that are forked: each a process of its own, killed like any other, and gone with whoever forked it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stormproof.errors import FaultError
from stormproof.run import rehearsal_player
from stormproof.run.rehearsal_troupe import Troupe
from support.command import wait_for


@pytest.fixture
def troupe(tmp_path: Path) -> Iterator[Troupe]:
    """One, with this process' own surroundings."""
    made = Troupe(log=tmp_path / "troupe.log", environment=dict(os.environ))
    yield made
    made.dismiss()


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of what takes a connection and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _order(folder: Path, admin: str) -> dict[str, Any]:
    """To set a runtime value of the Envoy at *admin*."""
    target = {"dependency": "cart", "url": admin, "status": 503, "percent": 100, "percent_key": "p", "status_key": "s"}
    where = {"ledger_path": str(folder / "ledger.jsonl"), "events_path": str(folder / "events.jsonl")}
    configuration = {"envoy_admin_url": admin, "envoy_node_id": "one", **where}
    return {
        "kind": "dependency-error", "fault_id": "1", "target": target, "configuration": configuration, "before": []
    }  # fmt: skip


def test_each_is_a_process_of_its_own_and_what_it_says_is_kept(troupe: Troupe, tmp_path: Path) -> None:
    """Nothing to undo: done. Nobody there to inject into: not done, and why is the last line of its log."""
    order = _order(tmp_path, "http://127.0.0.1:9")
    first = troupe.player(rehearsal_player.UNDO, order, log=tmp_path / "undo.log")
    done = first.collect(within_s=30)
    second = troupe.player(rehearsal_player.FELT, order, log=tmp_path / "inject.log")
    refused = second.collect(within_s=30)

    assert (done, refused) == (0, 1)
    assert len({first.pid, second.pid, os.getpid()}) == 3
    assert (first.tail(1), second.running) == ("", False)
    assert "127.0.0.1:9" in second.tail(1), second.tail()


def test_one_that_hangs_is_killed_and_nobody_outlives_the_troupe(troupe: Troupe, tmp_path: Path, silent: str) -> None:
    """From outside by its signal, at the deadline by ours; the third with the one that it was forked from."""
    order, log = _order(tmp_path, silent), tmp_path / "inject.log"
    killed = troupe.player(rehearsal_player.FELT, order, log=log).end(signal.SIGKILL, within_s=30)
    late = troupe.player(rehearsal_player.FELT, order, log=log).collect(within_s=0.05)
    left = psutil.Process(troupe.player(rehearsal_player.FELT, order, log=log).pid)
    psutil.Process(left.ppid()).kill()

    assert (killed, late) == (-signal.SIGKILL, -signal.SIGKILL)
    wait_for("its end", lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE, within_s=1)
    with pytest.raises(FaultError, match="needs a process to play in, got none"):
        troupe.player(rehearsal_player.UNDO, order, log=log)
