"""Greenlets that run arrivals, one after another: as many as are in flight at once, and none made for one arrival only.

A new greenlet has the interpreter map a stack of 16 KiB and touch it page by page, which costs an arrival more than
sending its request does. In a crew that happens once for each arrival that was ever in flight beside the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent

# Looked at this often whether the last arrivals have ended, once no new ones come.
DRAIN_LOOK_S = 0.005


class Arrival(gevent.Greenlet):  # type: ignore[misc]  # gevent has no types
    """One of the crew, with the arrival that it runs. *due_mono_s* is None once the arrival's first request went out.

    What a task leaves in the greenlet (a context variable, a timer that it did not cancel) meets a later arrival.
    """

    due_mono_s: float | None = None
    scheduled_mono_s: float = 0.0  # the same, for good
    task: tuple[Any, ...] = ()

    def __init__(self, crew: Crew) -> None:
        super().__init__()
        self._crew = crew

    def _run(self) -> None:
        busy, idle, run = self._crew.busy, self._crew.idle, self._crew.run
        wait = gevent.get_hub().switch
        try:
            while True:
                if self.task:
                    run(*self.task)
                busy.discard(self)
                idle.append(self)
                wait()  # `Crew.take` has given it another arrival when this returns
        finally:  # killed, or hit by what no task may stop: it takes no more
            busy.discard(self)
            if self in idle:
                idle.remove(self)


class Crew:
    """Runs arrivals by *run*, which gets what `take` was given and must end without an `Exception`."""

    def __init__(self, run: Callable[..., None]) -> None:
        self.run = run
        self.busy: set[Arrival] = set()  # also those that will begin as soon as the others let them
        self.idle: list[Arrival] = []

    def gather(self, count: int) -> None:
        """Make *count* greenlets beforehand; they are idle once others have had their turn."""
        for _ in range(count):
            Arrival(self).start()

    def take(self, due_mono_s: float, *task: Any) -> None:
        """An arrival that is due begins at once, and comes back here when it waits. Must be called in the hub.

        One that needs a greenlet of its own begins as soon as the greenlets that are ready have had their turn.
        """
        known = bool(self.idle)
        one = self.idle.pop() if known else Arrival(self)
        one.due_mono_s = one.scheduled_mono_s = due_mono_s
        one.task = task
        self.busy.add(one)
        if known:
            one.switch()
        else:
            one.start()

    def oldest_mono_s(self) -> float | None:
        """The due instant of the oldest arrival in flight; None when there is none."""
        return min((one.scheduled_mono_s for one in self.busy), default=None)

    def end(self, drain_s: float) -> None:
        """Wait *drain_s* for the arrivals in flight, then cut off the rest. Nothing may be taken any more."""
        give_up_mono_s = time.monotonic() + drain_s
        while self.busy and time.monotonic() < give_up_mono_s:
            gevent.sleep(DRAIN_LOOK_S)
        gevent.killall([*self.busy, *self.idle])
