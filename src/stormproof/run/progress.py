"""What a person sees while a run goes on: phase, time left, live availability and p99.

On a terminal one line that is redrawn; elsewhere a plain line a phase and one every five seconds. Everything goes to
stderr, and a terminal that has gone away (SIGHUP) is no reason to stop undoing.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

PLAIN_EVERY_S = 5.0
DRAW_EVERY_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The numbers of the moment; None where nothing has been answered yet."""

    phase: str
    left_s: float | None
    availability: float | None
    latency_ms_p99: float | None
    rate_per_s: float | None


@dataclass(slots=True)
class Progress:
    """Writes to *stream*; *quiet* writes nothing."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    quiet: bool = False
    _begun: float = field(default_factory=time.monotonic)
    _drawn_at: float = 0.0
    _line_open: bool = False

    @property
    def is_terminal(self) -> bool:
        """Whether the line can be redrawn."""
        return not self.quiet and self.stream.isatty()

    def say(self, text: str) -> None:
        """One lasting line, with the seconds since the start before it."""
        stamp = f"{time.monotonic() - self._begun:6.1f}s"
        self._write(("\r\x1b[2K" if self._line_open else "") + f"{stamp}  {text}\n")
        self._line_open = False

    def draw(self, live: Live) -> None:
        """The passing line, or, where there is no terminal, a line now and then."""
        now = time.monotonic()
        every = DRAW_EVERY_S if self.is_terminal else PLAIN_EVERY_S
        if now - self._drawn_at < every:
            return
        self._drawn_at = now
        if not self.is_terminal:
            self.say(_line(live))
            return
        stamp = f"{now - self._begun:6.1f}s"
        self._write(f"\r\x1b[2K{stamp}  {_coloured(live)}")
        self._line_open = True

    def close(self) -> None:
        """Leave the passing line."""
        if self._line_open:
            self._write("\n")
            self._line_open = False

    def _write(self, text: str) -> None:
        if self.quiet:
            return
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()


def _line(live: Live) -> str:
    left = f"{max(0.0, live.left_s):3.0f} s left" if live.left_s is not None else ""
    return f"{live.phase:<9}{left:<12}{_availability(live):<22}{_latency(live):<16}{_rate(live)}".rstrip()


def _coloured(live: Live) -> str:
    colour = {"steady": "36", "fault": "31", "recovery": "33"}.get(live.phase, "37")
    bad = live.availability is not None and live.availability < 0.99
    text = _line(live)
    head, tail = text[:9], text[9:]
    availability = _availability(live)
    if bad and availability in tail:
        tail = tail.replace(availability, f"\x1b[31m{availability}\x1b[0m", 1)
    return f"\x1b[1;{colour}m{head}\x1b[0m{tail}"


def _availability(live: Live) -> str:
    return "availability    –" if live.availability is None else f"availability {live.availability:7.2%}"


def _latency(live: Live) -> str:
    return "p99     –" if live.latency_ms_p99 is None else f"p99 {live.latency_ms_p99:5.0f} ms"


def _rate(live: Live) -> str:
    return "" if live.rate_per_s is None else f"{live.rate_per_s:4.0f}/s"
