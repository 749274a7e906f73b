"""A worker's books, from packed rows."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stormproof.load.account import Account, count_bins
from stormproof.load.histogram import bin_of
from stormproof.load.schedule import make_schedule
from stormproof.model.experiment import ArrivalProcess
from stormproof.record.rows import ROW

START_MONO_S, START_S = 50.0, 1_000_000.0


def packed(*sent_offsets_s: float, ok: bool = True) -> memoryview:
    """Rows sent so many seconds after the start, 20 ms each."""
    rows = (ROW.pack(START_S + at, START_S + at, 20.0, 20.0, 200, ok, 0, 0, 0) for at in sent_offsets_s)
    return memoryview(b"".join(rows))


@given(st.lists(st.floats(0, 1e7, width=32), max_size=50))
def test_many_latencies_are_binned_as_one_is(latencies_ms: list[float]) -> None:
    """The vector form and `bin_of` agree on every float32."""
    assert count_bins(np.array(latencies_ms, dtype=np.float32)) == Counter(bin_of(value) for value in latencies_ms)


def test_an_open_load_that_could_not_be_sent_says_so() -> None:
    """At 10/s over 2 s, 20 arrivals are due; 15 went out, 3 of them 200 ms late: both are in the books."""
    schedule = make_schedule(process=ArrivalProcess.UNIFORM, rate_per_s=10.0, duration_s=60.0, weights=[1.0], seed=0)
    account = Account(2, schedule)
    account.begin(START_MONO_S, START_S)
    lateness_s = array("d", [0.001] * 12 + [0.2] * 3)
    sent_mono_s = array("d", (START_MONO_S + index / 10 + late for index, late in enumerate(lateness_s)))
    account.take(packed(*(at - START_MONO_S for at in sent_mono_s)))

    totals = account.totals(START_MONO_S + 1.95, sent_mono_s, lateness_s, 14)

    assert (totals.worker, totals.offered, totals.sent, totals.completed) == (2, 20, 15, 14)
    assert totals.late_share == 0.2
    assert totals.lateness_ms_p50 == 1.0
    assert totals.lateness_ms_max == 200.0
    assert totals.per_second == [[1_000_000, 10, 10], [1_000_001, 10, 5]]


def test_a_closed_load_is_what_ended() -> None:
    """Without a schedule, offered and sent are the requests that ended, and nothing is late."""
    account = Account(0, None)
    account.begin(START_MONO_S, START_S)
    account.take(packed(0.1, 0.2, 1.5))

    totals = account.totals(START_MONO_S + 2, array("d"), array("d"), 0)

    assert (totals.offered, totals.sent, totals.completed, totals.late_share) == (3, 3, 3, 0.0)
    assert totals.per_second == [[1_000_000, 2, 2], [1_000_001, 1, 1]]


def test_aggregates_touch_and_count_each_request_once() -> None:
    """Each aggregate begins where the one before it ended and holds only what is new."""
    account = Account(0, None)
    account.begin(START_MONO_S, START_S)
    account.take(packed(0.01, 0.02))
    first = account.aggregate(START_MONO_S + 0.1, 0)
    account.take(packed(0.11, ok=False))
    second = account.aggregate(START_MONO_S + 0.2, 0)

    assert (first.from_s, first.ended, first.ok, first.bins) == (START_S, 2, 2, {bin_of(20.0): 2})
    assert (second.from_s, second.ended, second.ok, second.bins) == (first.to_s, 1, 0, {bin_of(20.0): 1})


@given(st.floats(0, 600), st.floats(1e3, 1e6))
def test_what_is_settled_never_lies_behind_an_arrival_that_has_not_ended(due_s: float, start_mono_s: float) -> None:
    """The instant of the next arrival, which is not settled yet, is the same float in the books and in its row."""
    start_s = 1_795_664_181.2345
    account = Account(0, None)
    account.begin(start_mono_s, start_s)
    due_mono_s = start_mono_s + due_s

    aggregate = account.aggregate(due_mono_s + 0.1, 0, settled_mono_s=due_mono_s)

    assert aggregate.settled_s == due_mono_s + (start_s - start_mono_s)  # as `Recorder` writes a row
