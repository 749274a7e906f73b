"""A worker's books: what was offered, sent and answered, in tenths of a second and in all.

Counted from the packed rows as they are flushed, many at a time, so that it costs nothing per request.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from stormproof.load.histogram import BINS_PER_OCTAVE, FLOAT32_BIAS, FLOAT32_SHIFT, LATENCY_MS_MIN, bin_of
from stormproof.load.wire import LATE_MS, Aggregate, WorkerTotals
from stormproof.record.samples import RAW_ROW

if TYPE_CHECKING:
    from array import array

    from numpy.typing import NDArray

    from stormproof.load.schedule import Schedule

_BIN_MIN = bin_of(LATENCY_MS_MIN)


class Account:
    """The counts of one worker. Times are monotonic seconds unless the name says otherwise."""

    def __init__(self, worker: int, schedule: Schedule | None) -> None:
        self._worker, self._schedule = worker, schedule
        self._start_mono_s = self._start_s = self._cpu_start_s = 0.0
        self._reported_mono_s = 0.0
        self._reported = (0, 0, 0, 0)  # offered, sent, ended, ok
        self._ended = self._ok = 0
        self._bins: Counter[int] = Counter()
        self._sent_per_second: Counter[int] = Counter()  # of the requests that ended; closed model

    def begin(self, start_mono_s: float, start_s: float) -> None:
        """The load starts at this instant: monotonic and Unix seconds."""
        self._start_mono_s = self._reported_mono_s = start_mono_s
        self._start_s = start_s
        self._cpu_start_s = time.process_time()

    def take(self, rows: memoryview) -> None:
        """Count packed rows: `RowWriter`'s *on_flush*."""
        samples = np.frombuffer(rows, dtype=RAW_ROW)
        self._ended += len(samples)
        self._ok += int(np.count_nonzero(samples["ok"]))
        self._bins.update(count_bins(samples["latency_ms"]))
        if self._schedule is None:
            self._sent_per_second.update(_count_seconds(samples["sent_at"]))

    def aggregate(self, now_mono_s: float, arrivals_sent: int, *, settled_mono_s: float | None = None) -> Aggregate:
        """What happened since the last aggregate, up to now. Flush the rows first."""
        offered, sent = self._offered_and_sent(now_mono_s, arrivals_sent)
        current = (offered, sent, self._ended, self._ok)
        new = [count - before for count, before in zip(current, self._reported, strict=True)]
        aggregate = Aggregate(
            worker=self._worker,
            from_s=self._start_s + (self._reported_mono_s - self._start_mono_s),
            to_s=self._start_s + (now_mono_s - self._start_mono_s),
            offered=new[0],
            sent=new[1],
            ended=new[2],
            ok=new[3],
            bins=self._bins,
            # Reckoned as a row's instant is: rounded otherwise, it may lie behind an arrival that has not ended.
            settled_s=None if settled_mono_s is None else settled_mono_s + (self._start_s - self._start_mono_s),
        )
        self._reported, self._reported_mono_s, self._bins = current, now_mono_s, Counter()
        return aggregate

    def totals(
        self, stopped_mono_s: float, sent_mono_s: array[float], lateness_s: array[float], tasks_ended: int
    ) -> WorkerTotals:
        """The whole load, stopped at *stopped_mono_s*. Flush the rows first.

        *sent_mono_s* and *lateness_s* have one value an arrival that was sent; both are empty in the closed model.
        """
        offered_count, sent_count = self._offered_and_sent(stopped_mono_s, len(sent_mono_s))
        if self._schedule is None:
            offered = sent = self._sent_per_second
        else:
            offered = self._schedule.offered_per_second(self._start_s, stopped_mono_s - self._start_mono_s)
            offset_s = self._start_s - self._start_mono_s
            sent = Counter(int(at + offset_s) for at in sent_mono_s)
        lateness_ms = np.asarray(lateness_s) * 1000 if len(lateness_s) else np.zeros(1)
        p50, p99, longest = (float(value) for value in np.quantile(lateness_ms, [0.5, 0.99, 1.0]))
        elapsed_s = max(time.monotonic() - self._start_mono_s, 1e-9)
        return WorkerTotals(
            worker=self._worker,
            offered=offered_count,
            sent=sent_count,
            completed=self._ended if self._schedule is None else tasks_ended,
            late_share=float(np.mean(lateness_ms > LATE_MS)),
            lateness_ms_p50=p50,
            lateness_ms_p99=p99,
            lateness_ms_max=longest,
            cpu_share=(time.process_time() - self._cpu_start_s) / elapsed_s,
            per_second=[[second, offered[second], sent[second]] for second in sorted(offered | sent)],
            rows=self._ended,
        )

    def _offered_and_sent(self, mono_s: float, arrivals_sent: int) -> tuple[int, int]:
        if self._schedule is None:
            return self._ended, self._ended
        return self._schedule.offered_by(mono_s - self._start_mono_s), arrivals_sent


def count_bins(latency_ms: NDArray[np.float32]) -> dict[int, int]:
    """`histogram.bin_of` for many latencies at once, counted."""
    bits = latency_ms.astype(np.float32).view(np.int32)  # a copy: what is below zero stays below
    numbers = (bits >> FLOAT32_SHIFT) - (FLOAT32_BIAS * BINS_PER_OCTAVE + _BIN_MIN)
    counts = np.bincount(np.maximum(numbers, 0))
    found = np.flatnonzero(counts)
    return dict(zip((found + _BIN_MIN).tolist(), counts[found].tolist(), strict=True))


def _count_seconds(at_s: NDArray[np.float64]) -> dict[int, int]:
    """How many instants fall in each second."""
    first, last = int(at_s.min()), int(at_s.max())
    if first == last:  # nine flushes of ten
        return {first: len(at_s)}
    seconds, counts = np.unique(at_s.astype(np.int64), return_counts=True)
    return dict(zip(seconds.tolist(), counts.tolist(), strict=True))
