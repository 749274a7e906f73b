"""A ledger left open is remembered wherever it lies, and keeps the next run from starting."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from stormproof.errors import OutstandingUndoError
from stormproof.faults import activity, catalogue, outstanding
from stormproof.faults.ledger import Ledger
from support import file_fault
from support.command import stormproof


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of our own."""
    monkeypatch.setenv("STORMPROOF_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def open_ledger(folder: Path, **configuration: str) -> Path:
    """A ledger with one intent in it, registered as the conductor does."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ledger.jsonl"
    outstanding.register(path, environment="local-lab-1")
    Ledger(path).intend("1-x", kind="file", target={"path": "w"}, configuration=configuration, prior={"text": "whole"})
    return path


def test_an_open_ledger_refuses_the_next_run_and_says_what_to_type(tmp_path: Path) -> None:
    """The refusal names the ledger and the command; another environment is not concerned."""
    path = open_ledger(tmp_path / "somewhere" / "else")

    with pytest.raises(OutstandingUndoError, match=f"stormproof undo {path}"):
        outstanding.refuse_if_any("local-lab-1")
    outstanding.refuse_if_any("local-lab-2")
    assert outstanding.remembered("local") == [path]
    assert outstanding.remembered("staging") == []


def test_an_undone_ledger_is_forgotten(tmp_path: Path, state: Path) -> None:
    """Settled, nothing of it stays in the state folder."""
    path = open_ledger(tmp_path / "run")
    Ledger(path).note("1-x", "undone")

    assert outstanding.remembered() == []
    assert list((state / "outstanding").iterdir()) == []


def test_registered_but_never_broken_is_nothing(tmp_path: Path) -> None:
    """A conductor that died before its first fault leaves nothing to undo."""
    outstanding.register(tmp_path / "ledger.jsonl", environment="local-lab-1")

    outstanding.refuse_if_any("local-lab-1")
    assert outstanding.remembered() == []


def test_a_lab_that_is_gone_took_its_faults_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every endpoint on this machine and nobody listening: the entry is closed, and says why."""
    monkeypatch.setitem(catalogue.KINDS, "file", "support.file_fault")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = open_ledger(tmp_path / "run", aws_endpoint_url=f"http://127.0.0.1:{port}")
    (result,) = activity.undo_outstanding(Ledger(path), events_path=None, who="undo")

    assert result["undone"] is True
    assert "gone" in result["reason"]


@pytest.mark.parametrize(
    "configuration",
    [
        {},  # a fault without endpoints
        {"aws_endpoint_url": "https://ec2.example.invalid"},  # far away and unreachable is not gone
    ],
)
def test_what_cannot_be_reached_is_not_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configuration: dict[str, str]
) -> None:
    """Only a lab on this machine can vanish; anything else stays to be undone."""
    monkeypatch.setitem(catalogue.KINDS, "file", "support.file_fault")
    path = open_ledger(tmp_path / "run", **configuration)
    (result,) = activity.undo_outstanding(Ledger(path), events_path=None, who="undo")

    assert result["undone"] is False
    assert len(Ledger(path).outstanding()) == 1


def test_a_lab_that_still_listens_is_not_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that merely does not help is no reason to forget."""
    monkeypatch.setitem(catalogue.KINDS, "file", "support.file_fault")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        path = open_ledger(tmp_path / "run", aws_endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        (result,) = activity.undo_outstanding(Ledger(path), events_path=None, who="undo")

    assert result["undone"] is False


def test_undo_list_says_69_while_anything_is_left(tmp_path: Path, state: Path) -> None:
    """From any folder, without naming the ledger: 69 and the entry, then 0 and nothing."""
    extra = {"STORMPROOF_STATE_DIR": str(state), "STORMPROOF_REPORTS": str(tmp_path / "none")}
    path = open_ledger(tmp_path / "run")
    listed = stormproof("undo", "--list", "--json", cwd=tmp_path, **extra)
    assert listed.code == 69
    assert [row["fault_id"] for row in listed.document["outstanding"]] == ["1-x"]
    assert stormproof("undo", "--list", "--env", "local", cwd=tmp_path, **extra).code == 69
    slip = stormproof("undo", "--list", "--env", "stagin", cwd=tmp_path, **extra)
    assert (slip.code, slip.out) == (64, ""), "an environment that nobody knows is not clean"
    assert "there is no environment 'stagin' in experiments/environments or environments" in slip.err

    Ledger(path).note("1-x", "undone")
    assert stormproof("undo", "--list", cwd=tmp_path, **extra).code == 0


def test_a_full_disk_does_not_keep_anything_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When neither ledger nor events can be written any more, the undo is done all the same."""
    monkeypatch.setitem(catalogue.KINDS, "file", "support.file_fault")
    world = tmp_path / "world"
    world.write_text(file_fault.BROKEN)
    path = tmp_path / "ledger.jsonl"
    Ledger(path).intend(
        "1-x", kind="file", target={"path": str(world)}, configuration={}, prior={"text": file_fault.WHOLE}
    )
    monkeypatch.setattr("stormproof.faults.ledger.append_line", _full)
    activity.undo_outstanding(Ledger(path), events_path=Path("/dev/full"), who="undo")

    assert world.read_text() == file_fault.WHOLE


def _full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")
