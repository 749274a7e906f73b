"""Signals as a request to stop, never as an exception in the middle of an undo."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While entered, SIGINT, SIGTERM and SIGHUP are remembered in `reason` instead of raised.

    The first one asks the conductor to end the run; later ones change nothing, because what is going on by then
    is the undo.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.count = 0
        self._before: dict[signal.Signals, Any] = {}

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.reason = self.reason or f"{signal.Signals(number).name} received"

    def __enter__(self) -> Self:
        for one in STOPPING:
            self._before[one] = signal.signal(one, self._remember)
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for one, before in self._before.items():
            signal.signal(one, before)
