"""Watching from outside for the instant a fault takes hold, or lets go."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from stormproof.faults.protocol import Fault, Look, Seen


@dataclass(slots=True)
class Watch:
    """Looks at *fault* in a thread until it has been seen as *until* *streak* times in a row.

    Started before the act, so that the last look at the old state bounds the onset from below: what happens
    between that instant and the first look at the new one belongs to the fault, not to nobody.
    """

    fault: Fault
    until: Seen
    streak: int = 1
    last_before_at: float | None = None  # Unix s: start of the last look at the whole old state
    seen_at: float | None = None  # Unix s: start of the first look of the streak
    look: Look | None = None  # the latest look
    looks: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> Watch:
        """Begin looking."""
        self._thread = threading.Thread(target=self._run, name="onset", daemon=True)
        self._thread.start()
        return self

    def wait(self, deadline_s: float) -> bool:
        """Whether the state was seen within *deadline_s* seconds; the looking ends either way."""
        reached = self._done.wait(deadline_s)
        self.stop()
        return reached

    def wait_for_first_look(self, deadline_s: float) -> None:
        """Return once the world was looked at before anything is done to it."""
        give_up_at = time.monotonic() + deadline_s
        while self.looks == 0 and not self._done.is_set() and time.monotonic() < give_up_at:
            time.sleep(0.005)

    def stop(self, *, join_s: float = 5.0) -> None:
        """End the looking; waits up to *join_s* seconds for the look in flight."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=join_s)

    def _run(self) -> None:
        first_of_streak: float | None = None
        count = 0
        while not self._stop.is_set():
            at = time.time()
            look = self.fault.look()
            self.look = look
            if look.seen is self.until:
                first_of_streak = at if first_of_streak is None else first_of_streak
                count += 1
                if count >= self.streak:
                    self.seen_at = first_of_streak
                    self.looks += 1
                    self._done.set()
                    return
            else:
                first_of_streak, count = None, 0
                if look.seen is not Seen.PARTIAL:  # half broken is not whole: it belongs to the fault already
                    self.last_before_at = at
            self.looks += 1
            self._stop.wait(self.fault.gap_s)
