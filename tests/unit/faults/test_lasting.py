"""A fault that somebody else can end: told once, and only until its undo begins."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stormproof.faults import lasting
from stormproof.record import events
from support.file_fault import FileFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded(FileFault):
    """A file fault that is over, or cannot be asked, when its test says so."""

    over: threading.Event = field(default_factory=threading.Event)
    deaf: threading.Event = field(default_factory=threading.Event)
    asked: list[float] = field(default_factory=list)

    def ended(self) -> str | None:
        self.asked.append(time.monotonic())
        if self.deaf.is_set():
            raise OSError("nobody answers")
        return "the alarm fired" if self.over.is_set() else None


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bounded:
    """Asked every few milliseconds."""
    monkeypatch.setattr(lasting, "ASK_FIRST_S", 0.005)
    monkeypatch.setattr(lasting, "ASK_MOST_S", 0.005)
    return Bounded(path=str(tmp_path / "file"), configuration={})


def _until(is_so: object, *, within_s: float = 10.0) -> None:
    assert callable(is_so)
    give_up_at = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.002)


def _told(log: Path) -> list[tuple[str, str]]:
    rows = events.read_events(log) if log.exists() else []
    return [(row["event"], row["reason"]) for row in rows]


def test_its_end_is_told_once(fault: Bounded, tmp_path: Path) -> None:
    """Also when it could not be asked in between: who does not answer says nothing."""
    log, before = tmp_path / "events.jsonl", set(threading.enumerate())
    fault.deaf.set()
    lasting.watch(fault, log, fault_id="1-file", kind="file")
    _until(lambda: len(fault.asked) >= 2)
    assert _told(log) == []

    fault.over.set()
    fault.deaf.clear()
    _until(lambda: set(threading.enumerate()) <= before)  # and nobody asks any more

    assert _told(log) == [("fault.ended", "the alarm fired")]
    lasting.leave("1-file")


def test_after_the_undo_has_begun_nothing_is_told(fault: Bounded, tmp_path: Path) -> None:
    """Its end is ours by then."""
    log, before = tmp_path / "events.jsonl", set(threading.enumerate())
    lasting.watch(fault, log, fault_id="1-file", kind="file")
    _until(lambda: fault.asked)

    lasting.leave("1-file")
    fault.over.set()
    _until(lambda: set(threading.enumerate()) <= before)

    assert _told(log) == []


def test_a_fault_that_only_we_can_end_is_not_asked(tmp_path: Path) -> None:
    """No thread, and nothing to leave."""
    before = threading.active_count()
    lasting.watch(FileFault(path="", configuration={}), tmp_path / "log", fault_id="1-file", kind="file")

    assert threading.active_count() == before
    lasting.leave("1-file")
