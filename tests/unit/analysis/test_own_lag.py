"""What a worker added to each latency, told from its rows, against a simulated loop of which it is known."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from stormproof.analysis.own_lag import CELL_S, COLUMNS, LagFold, LessOwnFold, OwnLag, own_lag
from support.synthetic import START_S

SECONDS, RATE_PER_S = 20, 200
Spacing = Callable[[np.random.Generator], np.ndarray]


def uniform(_: np.random.Generator) -> np.ndarray:
    return np.arange(SECONDS * RATE_PER_S) / RATE_PER_S


def poisson(rng: np.random.Generator) -> np.ndarray:
    return np.cumsum(rng.exponential(1 / RATE_PER_S, SECONDS * RATE_PER_S))


def loop(
    due_s: np.ndarray, answer_s: np.ndarray, *, cost_s: float, stalls: Sequence[tuple[float, float]] = ()
) -> pd.DataFrame:
    """Rows of a worker that sends and reads in turn; *answer_s* is how long the target takes to answer each.

    A send takes *cost_s*; in a stall (at, length) nothing happens.
    """
    answers: list[tuple[float, int]] = []
    waiting = deque(sorted(stalls))
    sent, read = np.empty(len(due_s)), np.empty(len(due_s))
    pending = deque(enumerate(due_s))
    now = 0.0
    while pending or answers:
        next_due = pending[0][1] if pending else np.inf
        next_answer = answers[0][0] if answers else np.inf
        now = max(now, min(next_due, next_answer))
        while waiting and waiting[0][0] <= now:
            at, length = waiting.popleft()
            now = max(now, at + length)
        if next_answer <= next_due:
            read[heapq.heappop(answers)[1]] = now
        else:
            number, _ = pending.popleft()
            now += cost_s
            sent[number] = now
            heapq.heappush(answers, (now + answer_s[number], number))
    return pd.DataFrame(
        {
            "scheduled_at": START_S + due_s,
            "sent_at": START_S + sent,
            "latency_ms": ((read - due_s) * 1000).astype(np.float32),
            "service_ms": ((read - sent) * 1000).astype(np.float32),
            "worker": np.int16(0),
        }
    )


def own_of(samples: pd.DataFrame, ticks: Sequence[Sequence[float]] = ()) -> OwnLag:
    fold = LagFold(start_s=START_S, end_s=START_S + SECONDS + 10)
    sent = fold.empty()
    fold.note(sent, *(samples[name].to_numpy() for name in ("scheduled_at", "sent_at", "worker")))
    return own_lag(fold.start_s, sent, {0: ticks})


@pytest.mark.parametrize("spacing", [uniform, poisson])
@pytest.mark.parametrize(
    ("cost_ms", "stalls"),
    [
        (3.75, ()),  # three quarters of a core
        (4.25, ()),
        (0.5, ((4.0, 0.25), (9.0, 0.25), (14.0, 0.25))),
        (0.5, ((5.0, 0.4),)),
        (3.5, ((5.0, 0.3),)),
    ],
)
@pytest.mark.parametrize("answer_ms", [1.0, 100.0])
def test_what_is_left_is_what_the_target_took(
    spacing: Spacing, cost_ms: float, stalls: tuple[tuple[float, float], ...], answer_ms: float
) -> None:
    """Whatever the spacing and the cause: of p99, what is reckoned is at least 0.85 and at most 1.3 of what was added.

    Or 5 ms, where that is more: a loop's lag is known to its cell and to the next arrival.
    """
    rng = np.random.default_rng(7)
    due_s = spacing(rng)
    target_s = answer_ms / 1000 * rng.lognormal(0, 0.1, len(due_s))
    samples = loop(due_s, target_s, cost_s=cost_ms / 1000, stalls=stalls)

    left_ms = own_of(samples).less_of(samples)["latency_ms"]
    measured, without, truth = (np.quantile(one, 0.99) for one in (samples["latency_ms"], left_ms, target_s * 1000))
    added, reckoned = measured - truth, measured - without

    assert min(0.85 * added, added - 5) <= reckoned <= max(1.3 * added, added + 5)


def test_a_target_that_slows_down_keeps_its_latency() -> None:
    """A worker at ease and a target that takes 80 ms instead of 20: all of it is the target's, to two milliseconds."""
    due_s = uniform(np.random.default_rng(1))
    samples = loop(due_s, np.where(due_s > 10, 0.08, 0.02), cost_s=0.0005)

    left_ms = own_of(samples).less_of(samples)["latency_ms"].to_numpy()

    assert np.quantile(left_ms[due_s > 10], 0.5) == pytest.approx(80, abs=2)
    assert np.quantile(left_ms, 0.99) == pytest.approx(80, abs=2)


def test_each_worker_answers_for_its_own_rows() -> None:
    """One stalls and the other does not: only the first one's rows become less."""
    due_s = uniform(np.random.default_rng(1))
    one, other = (
        loop(due_s, np.full(len(due_s), 0.02), cost_s=0.0005, stalls=stalls).assign(worker=np.int16(number))
        for number, stalls in enumerate((((5.0, 1.0),), ()))
    )
    samples = pd.concat([one, other], ignore_index=True)

    less_ms = samples["latency_ms"] - own_of(samples).less_of(samples)["latency_ms"]

    assert less_ms[samples["worker"] == 0].max() > 900
    assert less_ms[samples["worker"] == 1].max() < 10


def test_where_no_arrival_is_near_the_ticks_stand_in() -> None:
    """Two arrivals a second, and answers in between: the longest lag of their second is taken, in the other none."""
    samples = pd.DataFrame(
        {
            "scheduled_at": START_S + np.array([0.0, 0.5, 1.0, 1.5]),
            "sent_at": START_S + np.array([0.001, 0.501, 1.001, 1.501]),
            "latency_ms": np.float32(251.0),
            "service_ms": np.float32(250.0),
            "worker": np.int16(0),
        }
    )

    left_ms = own_of(samples, [[START_S + 1, 10, 0, 70.0, 100.0]]).less_of(samples)["latency_ms"]

    assert left_ms.tolist() == pytest.approx([250, 250, 180, 180])


def test_an_arrival_that_was_sent_just_after_an_answer_was_read_waited_with_it() -> None:
    """Read at the end of a stall, in a cell of its own, before what fell due in it is sent; no ticks asked."""
    samples = pd.DataFrame(
        {
            "scheduled_at": START_S + np.array([0.4, 0.5]),
            "sent_at": START_S + np.array([0.401, 0.75]),
            "latency_ms": np.float32([335.0, 251.0]),
            "service_ms": np.float32([334.0, 1.0]),
            "worker": np.int16(0),
        }
    )

    left_ms = own_of(samples, [[START_S, 10, 0, 900.0, 100.0]]).less_of(samples)["latency_ms"]

    assert left_ms.tolist() == pytest.approx([334 - 250, 0], abs=0.1)


def test_later_requests_of_a_task_say_nothing_of_the_loop() -> None:
    """They are due when they are sent: a worker of which there are no others is taken for one at ease."""
    due_s = uniform(np.random.default_rng(1))
    samples = loop(due_s, np.full(len(due_s), 0.02), cost_s=0.004)
    samples = samples.assign(scheduled_at=samples["sent_at"], latency_ms=samples["service_ms"])

    assert own_of(samples).less_of(samples)["latency_ms"].tolist() == samples["latency_ms"].tolist()


def test_the_window_that_is_spared_is_left_as_it_is() -> None:
    """As a claim relative to steady needs it."""
    due_s = uniform(np.random.default_rng(1))
    samples = loop(due_s, np.full(len(due_s), 0.02), cost_s=0.004)
    steady = samples["scheduled_at"] < START_S + 10

    left = replace(own_of(samples), spared=(START_S, START_S + 10)).less_of(samples)["latency_ms"]

    assert left[steady].tolist() == samples["latency_ms"][steady].tolist()
    assert (left[~steady] < samples["latency_ms"][~steady]).all()


class _Sum:
    """A fold of the latencies, to see what a fold is shown."""

    columns = frozenset({"latency_ms"})

    def empty(self) -> list[float]:
        return []

    def add(self, state: list[float], batch: pa.RecordBatch) -> None:
        state += batch.column("latency_ms").to_pylist()

    def merge(self, state: list[float], other: list[float]) -> None:
        state += other


def test_parts_in_any_order_tell_the_same_as_rows() -> None:
    """Batch by batch, two states merged; memory is that of the span, not of the rows."""
    due_s = poisson(np.random.default_rng(3))
    samples = loop(due_s, np.full(len(due_s), 0.05), cost_s=0.004, stalls=((5.0, 0.4),))
    batches = [pa.RecordBatch.from_pandas(samples[list(COLUMNS)].iloc[i::7]) for i in range(7)]
    fold = LagFold(start_s=START_S, end_s=START_S + SECONDS + 10)
    state, other = fold.empty(), fold.empty()
    for number, batch in enumerate(batches):
        fold.add(state if number % 2 else other, batch)
    fold.merge(state, other)
    own = own_lag(fold.start_s, state, {})
    less = LessOwnFold(fold=_Sum(), own=own)
    shown = less.empty()
    for batch in batches:
        less.add(shown, batch)

    expected = own_of(samples).less_of(samples)["latency_ms"]
    assert sorted(shown) == sorted(expected.tolist())
    assert own.lags[0].nbytes == 4 * round((SECONDS + 10) / CELL_S)
