"""The watchdog: a process of its own that undoes when the conductor cannot.

``python -m stormproof.run.watchdog CONFIG``. It holds one end of a pipe. The conductor writes ``beat SECONDS`` (how
long to wait for the next one), ``player PID CREATED``, and at last ``clean``. When the pipe closes without ``clean``
the conductor has died; when a beat is overdue it hangs; when the deadline has passed it is too late either way. Then
the player is killed first, for a half-finished inject must not break again what is being put right, and the ledger is
undone. With ``undo`` instead of ``clean`` the conductor says that it could not undo everything: it lives on to record
that, and the undo is tried again here. It has its own session, so that neither the terminal's end nor the process
group's reaches it, and imports everything before it says ``alive``, so that an undo starts at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from stormproof.errors import StormproofError
from stormproof.faults import activity, aws, catalogue
from stormproof.faults.ledger import Ledger
from stormproof.record import events
from stormproof.run.people import People

ALIVE_EVERY_S = 0.2
TICK_S = 0.05
KILLED_WITHIN_S = 5.0
TRIES = 5  # of the whole undo, when something stays broken
BETWEEN_TRIES_S = 2.0


@dataclass(slots=True, kw_only=True)
class Watchdog:
    """What it was told, and what it has heard since. All instants are monotonic: the wall clock may jump."""

    ledger: Path
    events: Path
    conductor: tuple[int, float]  # pid and creation time: a pid alone may be somebody else's by then
    deadline_mono_s: float
    beat_due_mono_s: float
    players: list[tuple[int, float]] = field(default_factory=list)
    people: People = field(default_factory=People)
    clean: bool = False
    handed_over: bool = False
    _heard: bytes = b""

    def watch(self) -> str | None:
        """Listen until the run is clean (None) or something is wrong (what)."""
        alive_at = 0.0
        while not self.clean:
            now = time.monotonic()
            if now >= alive_at:
                _say("alive")
                alive_at = now + ALIVE_EVERY_S
            if not self._listen():
                return None if self.clean else "the conductor died"
            if self.handed_over:
                return "the conductor could not undo everything"
            if time.monotonic() > self.deadline_mono_s:
                return "the deadline of the run has passed"
            if time.monotonic() > self.beat_due_mono_s:
                return "the conductor has not been heard of for longer than its lease"
        return None

    def rescue(self, why: str) -> bool:
        """Stop what may still break things, then undo; whether nothing is left."""
        begun = time.time()
        if self.handed_over:  # the conductor lives, and tells of the run's end itself
            events.record_event(self.events, "watchdog.took_over", who="watchdog", reason=why, by="watchdog")
        else:
            events.record_event(self.events, events.ABORT, who="watchdog", reason=why, by="watchdog")
        for pid, created in self.players if self.handed_over else [self.conductor, *self.players]:
            _kill(pid, created)
        ledger = Ledger(self.ledger)
        for _ in range(TRIES):
            with contextlib.suppress(StormproofError):  # somebody else holds the ledger: perhaps to undo
                activity.undo_outstanding(ledger, events_path=self.events, who="watchdog")
            if not ledger.outstanding():
                break
            time.sleep(BETWEEN_TRIES_S)
        undone = not ledger.outstanding()
        if self.handed_over:
            return undone
        events.record_event(
            self.events, events.RUN_ENDED, who="watchdog", at=time.time(), undone=undone, noticed_at=begun
        )
        self.people.aborted(f"{why}; its watchdog saw to the undo", left=_left(ledger))
        self.people.settle()
        return undone

    def _listen(self) -> bool:
        """Take in what the conductor has written; False once it never will again."""
        if not select.select([0], [], [], TICK_S)[0]:
            return True
        data = os.read(0, 65536)
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._understand(line.decode().split())
        return bool(data)

    def _understand(self, words: list[str]) -> None:
        match words:
            case ["beat", seconds]:
                self.beat_due_mono_s = time.monotonic() + float(seconds)
            case ["player", pid, created]:
                self.players.append((int(pid), float(created)))
            case ["clean"]:
                self.clean = True
            case ["undo"]:
                self.handed_over = True


def _left(ledger: Ledger) -> list[str]:
    return [f"{entry.fault_id} ({entry.reason})" if entry.reason else entry.fault_id for entry in ledger.outstanding()]


def _say(word: str) -> None:
    try:
        os.write(1, word.encode() + b"\n")
    except OSError:  # nobody reads any more: stdin will say so
        return


def _kill(pid: int, created: float) -> None:
    give_up_at = time.monotonic() + KILLED_WITHIN_S
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) < 1:
            process.kill()
            # A zombie does nothing any more; nobody may be there to reap it, so its end is not waited for.
            while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < give_up_at:
                time.sleep(0.005)
    except psutil.NoSuchProcess:
        return


def main() -> int:
    """Watch one run; 0 when it ended clean or was put right, 1 when something could not be undone."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)  # ended by `clean`, or not at all
    config = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for kind in catalogue.KINDS:
        catalogue.module(kind)
    aws.warm_up("sts", "ec2")
    now = time.monotonic()
    watchdog = Watchdog(
        ledger=Path(config["ledger"]),
        events=Path(config["events"]),
        conductor=(int(config["conductor"][0]), float(config["conductor"][1])),
        deadline_mono_s=now + float(config["deadline_s"]),
        beat_due_mono_s=now + float(config["first_beat_within_s"]),
        people=People.from_document(config.get("people"), events_path=Path(config["events"]), who="watchdog"),
    )
    why = watchdog.watch()
    return 0 if why is None or watchdog.rescue(why) else 1


if __name__ == "__main__":
    raise SystemExit(main())
