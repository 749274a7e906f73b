"""What the load sees right now, for the progress line and for stop conditions.

Workers send an aggregate ten times a second. A tenth of a second is *complete* when every worker has reported
past its end; nothing is said about time that is not complete. Requests count where they *ended*: a request still
waiting is in no number here. Findings never come from this; they come from the rows.
"""

from __future__ import annotations

import enum
import math
import threading
from collections import Counter, deque
from dataclasses import dataclass

from stormproof.load.histogram import middle_ms, quantile_ms
from stormproof.load.wire import AGGREGATE_EVERY_S, Aggregate
from stormproof.model.hypothesis import Metric, Op, StopCondition

# Aggregates older than this are forgotten: bounds memory, far beyond any window that is asked for.
KEEP_S = 120.0
# A stop condition looks at the second before each tenth: a tenth alone holds too few requests to judge.
STOP_WINDOW_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveReading:
    """The service levels over a window of complete time; None where nothing ended in it."""

    from_s: float  # Unix s
    to_s: float  # Unix s
    offered: int
    sent: int
    ended: int
    ok: int
    availability: float | None  # ok / ended
    throughput_per_s: float  # ended a second
    bins: Counter[int]  # latencies of the ended requests

    @property
    def error_rate(self) -> float | None:
        """1 - availability."""
        return None if self.availability is None else 1.0 - self.availability

    def latency_ms(self, quantile: float) -> float | None:
        """A latency quantile (0 … 1), within 1.6 %; from the due instant in an open model."""
        return quantile_ms(self.bins, quantile)

    @property
    def latency_ms_mean(self) -> float | None:
        """The mean latency, within 1.6 %."""
        if not self.ended:
            return None
        return sum(middle_ms(number) * count for number, count in self.bins.items()) / self.ended


class LiveSli:
    """Merges the workers' aggregates. Thread-safe: readers add, the conductor asks."""

    def __init__(self, workers: int) -> None:
        assert workers > 0
        self._lock = threading.Lock()
        self._aggregates: deque[Aggregate] = deque()
        self._reported_s: dict[int, float] = {}
        self._settled_s: dict[int, float | None] = {}
        self._workers = workers

    def add(self, aggregate: Aggregate) -> None:
        """Take one aggregate: `LoadDriver`'s *on_aggregate*."""
        with self._lock:
            self._aggregates.append(aggregate)
            self._reported_s[aggregate.worker] = aggregate.to_s
            self._settled_s[aggregate.worker] = aggregate.settled_s
            while self._aggregates[0].to_s < aggregate.to_s - KEEP_S:
                self._aggregates.popleft()

    def complete_until_s(self) -> float | None:
        """The instant (Unix s) up to which every worker has reported; None before each has once."""
        with self._lock:
            return self._complete_until_s()

    def settled_until_s(self) -> float | None:
        """The instant (Unix s) before which every arrival that was due has ended, its samples on disk.

        None before each worker has reported once, and in the closed model.
        """
        with self._lock:
            known = [at for at in self._settled_s.values() if at is not None]
            return min(known) if len(known) == self._workers else None

    def reading(self, window_s: float, *, until_s: float | None = None) -> LiveReading | None:
        """The levels over the *window_s* seconds before *until_s*, or before the end of complete time.

        None when *until_s* is not complete yet. An aggregate belongs where it ends.
        """
        with self._lock:
            complete_s = self._complete_until_s()
            if complete_s is None or (until_s is not None and until_s > complete_s):
                return None
            to_s = complete_s if until_s is None else until_s
            # Half a millisecond of slack: two workers' tenths never end at the very same float.
            inside = [a for a in self._aggregates if to_s - window_s + 5e-4 < a.to_s <= to_s + 5e-4]
        bins: Counter[int] = Counter()
        for aggregate in inside:
            bins.update(aggregate.bins)
        ended, ok = sum(a.ended for a in inside), sum(a.ok for a in inside)
        return LiveReading(
            from_s=to_s - window_s,
            to_s=to_s,
            offered=sum(a.offered for a in inside),
            sent=sum(a.sent for a in inside),
            ended=ended,
            ok=ok,
            availability=ok / ended if ended else None,
            throughput_per_s=ended / window_s,
            bins=bins,
        )

    def _complete_until_s(self) -> float | None:
        return min(self._reported_s.values()) if len(self._reported_s) == self._workers else None


class StopState(enum.StrEnum):
    """Where a stop condition stands."""

    NO_DATA = "no data"  # nothing ended in the last second: neither fine nor bad
    CLEAR = "clear"
    COUNTING = "counting"  # true now, not for long enough yet
    BREACHED = "breached"


class StopWatch:
    """Holds one stop condition against the live levels.

    Every complete tenth of a second, the condition is evaluated over the second before it. Breached when it has
    been true for *for_s* seconds without a tenth in which it was false. A tenth without data (no request
    ended in that second: a total hang, or hardly any load) is not evidence either way: the count stands still,
    neither grows nor starts again, and `state` says `NO_DATA`. A hang is therefore seen once its requests time out.
    """

    def __init__(self, condition: StopCondition, sli: LiveSli) -> None:
        self.condition = condition
        self.state = StopState.NO_DATA
        self._sli = sli
        self._next_s: float | None = None  # end of the first tenth not evaluated yet
        self._true_ticks = 0
        self._reason: str | None = None

    def breached(self, now: float) -> str | None:
        """The reason to stop, or None. *now* is Unix s; time before the first call never counts.

        Once breached it stays so.
        """
        if self._reason is not None:
            return self._reason
        if self._next_s is None:
            self._next_s = now + STOP_WINDOW_S  # the first second that lies wholly after the watch began
        complete_s = self._sli.complete_until_s()
        while complete_s is not None and self._next_s <= complete_s and self._reason is None:
            reading = self._sli.reading(STOP_WINDOW_S, until_s=self._next_s)
            assert reading is not None, "complete time can be read"
            self._count(reading)
            self._next_s += AGGREGATE_EVERY_S
        return self._reason

    def _count(self, reading: LiveReading) -> None:
        value = _value(self.condition, reading)
        if value is None:
            self.state = StopState.NO_DATA
        elif not _holds(self.condition.op, value, self.condition.bound):
            self.state, self._true_ticks = StopState.CLEAR, 0
        else:
            self._true_ticks += 1
            if self._true_ticks < math.ceil(self.condition.for_s / AGGREGATE_EVERY_S - 1e-9):
                self.state = StopState.COUNTING
            else:
                self.state = StopState.BREACHED
                self._reason = (
                    f"stop condition `{self.condition.text}` was true for {self.condition.for_s:g} s; "
                    f"last second: {_show(self.condition.metric, value)} over {reading.ended} requests"
                )


def _value(condition: StopCondition, reading: LiveReading) -> float | None:
    match condition.metric:
        case Metric.AVAILABILITY:
            return reading.availability
        case Metric.ERROR_RATE:
            return reading.error_rate
        case Metric.LATENCY_QUANTILE:
            assert condition.quantile is not None, "the parser gives a latency condition its quantile"
            return reading.latency_ms(condition.quantile)
        case Metric.LATENCY_MEAN:
            return reading.latency_ms_mean
        case _:
            raise AssertionError(f"the parser lets no stop condition on {condition.metric} through")


def _holds(op: Op, value: float, bound: float) -> bool:
    match op:
        case Op.LE:
            return value <= bound
        case Op.LT:
            return value < bound
        case Op.GE:
            return value >= bound
        case Op.GT:
            return value > bound


def _show(metric: Metric, value: float) -> str:
    if metric in (Metric.AVAILABILITY, Metric.ERROR_RATE):
        return f"{metric} {value:.1%}"
    return f"{metric} {value:.0f} ms"
