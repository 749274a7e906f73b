"""A phase that lasts its time, or until an event is on record."""

import threading
import time
from pathlib import Path

from stormproof.faults.hold import hold
from stormproof.record import events

LONG_S = 20.0


def test_a_phase_ends_when_the_event_is_on_record(tmp_path: Path) -> None:
    """The event may be written at any time; a torn line before it does not matter."""
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "deci')

    def write() -> None:
        with path.open("a") as file:
            file.write("\n")
        events.record_event(path, events.DECIDED, who="conductor", reason="all of it")

    timer = threading.Timer(0.2, write)
    timer.start()
    begun = time.monotonic()
    held = hold("fault", LONG_S, until=events.DECIDED, configuration={"events_path": str(path)})
    timer.join()

    assert time.monotonic() - begun < LONG_S / 2
    assert held["phase"] == "fault"
    assert 0.2 <= float(held["held_s"]) < LONG_S / 2


def test_without_the_event_it_lasts_its_time(tmp_path: Path) -> None:
    """Other events end nothing, nor do a missing file and nobody asking for an early end."""
    path = tmp_path / "events.jsonl"
    events.record_event(path, events.PHASE, who="conductor", phase="fault")
    absent = {"events_path": str(tmp_path / "absent.jsonl")}

    waited = [
        hold("fault", 0.15, until=events.DECIDED, configuration={"events_path": str(path)})["held_s"],
        hold("fault", 0.15, until=events.DECIDED, configuration=absent)["held_s"],
        hold("steady", 0.15)["held_s"],
    ]

    assert all(float(one) >= 0.15 for one in waited)
