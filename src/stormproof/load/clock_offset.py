"""How far the clocks of a load worker's machine are from ours, and how well that is known.

As in NTP (RFC 5905, section 8): we send at t1, it hears at t2 and answers at t3, we hear at t4. Then

    offset = ((t2 − t1) + (t3 − t4)) / 2,   round trip = (t4 − t1) − (t3 − t2),

and the true offset lies within half a round trip of it, however unequal the two ways are. Of several exchanges the one
with the shortest round trip is believed. The offset is that of the *monotonic* clocks: from it come the worker's start
and the instants of its rows, so that its wall clock, and any step of it, moves nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stormproof.model.load_listener import CLOCK_ERROR_S_MAX

EXCHANGES_FIRST = 8  # before the start
EXCHANGES_LAST = 50  # the last ten seconds of beats, five a second
# A wall clock further off says that nobody keeps that machine's time, and its logs cannot be laid beside the run.
WALL_OFFSET_S_MAX = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The two clocks of one machine; arguments, so that a test can have a machine with other ones."""

    mono_s: Callable[[], float] = time.monotonic
    wall_s: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What one exchange told."""

    offset_s: float  # its monotonic clock minus ours
    uncertainty_s: float  # half the round trip
    wall_offset_s: float  # its wall clock minus ours


def exchange(
    asked_mono_s: float, answer: Mapping[str, Any], heard_mono_s: float, *, mono_s: float, wall_s: float
) -> Exchange:
    """Out of our two instants and its answer (`heard_mono_s`, `heard_wall_s`, `sent_mono_s`).

    *mono_s* and *wall_s* are our two clocks at one instant.
    """
    t1, t2, t3, t4 = asked_mono_s, float(answer["heard_mono_s"]), float(answer["sent_mono_s"]), heard_mono_s
    offset_s = ((t2 - t1) + (t3 - t4)) / 2
    ours_wall_s = wall_s - (mono_s - (t2 - offset_s))  # our wall clock at the instant at which it heard
    return Exchange(
        offset_s=offset_s,
        uncertainty_s=max(0.0, (t4 - t1) - (t3 - t2)) / 2,
        wall_offset_s=float(answer["heard_wall_s"]) - ours_wall_s,
    )


class ClockOffset:
    """The exchanges with one worker, first and last."""

    def __init__(self) -> None:
        self._first: list[Exchange] = []
        self._last: deque[Exchange] = deque(maxlen=EXCHANGES_LAST)

    def note(self, one: Exchange) -> None:
        """Take in one exchange; the first `EXCHANGES_FIRST` fix the start."""
        if len(self._first) < EXCHANGES_FIRST:
            self._first.append(one)
        self._last.append(one)

    @property
    def start(self) -> Exchange:
        """What the start was computed from."""
        return min(self._first, key=lambda one: one.uncertainty_s)

    @property
    def error_s(self) -> float:
        """How far the worker's rows may be off: first by what was not known, in the end by the drift as well."""
        start, last = self.start, min(self._last, key=lambda one: one.uncertainty_s)
        return max(start.uncertainty_s, abs(last.offset_s - start.offset_s) + last.uncertainty_s)

    def unfit(self) -> str | None:
        """Why a worker with these clocks may not take part; None when it may."""
        start = self.start
        if start.uncertainty_s > CLOCK_ERROR_S_MAX:
            return (
                f"its clock is known to {start.uncertainty_s * 1000:.0f} ms only, at most"
                f" {CLOCK_ERROR_S_MAX * 1000:.0f} ms are allowed: the network between is too slow"
            )
        if abs(start.wall_offset_s) > WALL_OFFSET_S_MAX:
            return (
                f"its wall clock is {start.wall_offset_s:+.1f} s off the conductor's, at most"
                f" {WALL_OFFSET_S_MAX:g} s are allowed: does NTP run there, and here?"
            )
        return None
