"""How well a worker's event loop keeps time: what it adds to every request, as one loop sends and receives them all.

A tick is due every tenth of a second. By how much it is late is by how much an answer would have been late that came in
at that instant, whatever held the loop up: a locustfile that computes, a disk that blocks, a machine that gives no CPU.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from stormproof.load.wire import AGGREGATE_EVERY_S, LATE_MS

TICKS_MAX = 36_000  # of one stall: an hour; a machine that slept longer did not drive a load


class LoopWatch:
    """The ticks of one worker, second by second. *cpu_s* is the process's CPU time, an argument for tests."""

    def __init__(self, cpu_s: Callable[[], float] = time.process_time) -> None:
        self._cpu_s = cpu_s
        self._cpu_before_s = self._start_mono_s = self._start_s = 0.0
        self._lag_ms = array("d")
        self._seconds: dict[int, list[float]] = {}  # Unix second → ticks, of them late, longest lag ms, CPU ms

    def begin(self, start_mono_s: float, start_s: float) -> None:
        """The load starts at this instant, monotonic and Unix seconds; nothing before it counts."""
        self._start_mono_s, self._start_s = start_mono_s, start_s
        self._cpu_before_s = self._cpu_s()

    def tick(self, due_mono_s: float, now_mono_s: float) -> float:
        """The tick that was due at *due_mono_s* takes place now; when the last one before now was due.

        Ticks that fell due meanwhile are noted as well, each with its own lag: a stall of a second is ten late ticks.
        """
        lag_s = max(0.0, now_mono_s - due_mono_s)
        missed = min(math.floor(lag_s / AGGREGATE_EVERY_S), TICKS_MAX)
        if self._start_s and due_mono_s >= self._start_mono_s:
            for number in range(missed + 1):
                self._note(due_mono_s + number * AGGREGATE_EVERY_S, (lag_s - number * AGGREGATE_EVERY_S) * 1000)
            cpu_s = self._cpu_s()
            self._second(now_mono_s)[3] += (cpu_s - self._cpu_before_s) * 1000
            self._cpu_before_s = cpu_s
        return due_mono_s + missed * AGGREGATE_EVERY_S

    def totals(self) -> dict[str, Any]:
        """The fields `loop_…` of `WorkerTotals`."""
        lag_ms = np.asarray(self._lag_ms) if len(self._lag_ms) else np.zeros(1)
        return {
            "loop_late_share": float(np.mean(lag_ms > LATE_MS)),
            "loop_lag_ms_p99": float(np.quantile(lag_ms, 0.99)),
            "loop_lag_ms_max": float(lag_ms.max()),
            "loop_per_second": [
                [second, int(ticks), int(late), round(most_ms, 1), round(cpu_ms, 1)]
                for second, (ticks, late, most_ms, cpu_ms) in sorted(self._seconds.items())
            ],
        }

    def _note(self, due_mono_s: float, lag_ms: float) -> None:
        self._lag_ms.append(lag_ms)
        second = self._second(due_mono_s)
        second[0] += 1
        second[1] += lag_ms > LATE_MS
        second[2] = max(second[2], lag_ms)

    def _second(self, mono_s: float) -> list[float]:
        return self._seconds.setdefault(int(self._start_s + (mono_s - self._start_mono_s)), [0, 0, 0.0, 0.0])
