"""What a worker's event loop adds to every request, from ticks written by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stormproof.load.loop_watch import LoopWatch

START_MONO_S, START_S = 50.0, 1_000_000.0


def watch(*cpu_s: float) -> LoopWatch:
    """A watch that has begun; its process has used *cpu_s* at the begin and at each tick."""
    readings: Iterator[float] = iter(cpu_s)
    one = LoopWatch(lambda: next(readings))
    one.begin(START_MONO_S, START_S)
    return one


def test_a_loop_that_keeps_time_has_no_late_tick() -> None:
    """Ten ticks a millisecond late each: nothing is late, and the CPU time is that of the second."""
    one = watch(*[0.5 + i * 0.01 for i in range(11)])
    for i in range(10):
        due = START_MONO_S + i * 0.1
        assert one.tick(due, due + 0.001) == due

    totals = one.totals()

    assert totals["loop_late_share"] == 0.0
    assert totals["loop_lag_ms_max"] == pytest.approx(1.0)
    assert totals["loop_per_second"] == [[1_000_000, 10, 0, 1.0, 100.0]]


def test_a_stall_counts_every_tick_that_fell_due_in_it() -> None:
    """A stall of 0.95 s from a tick on: ten ticks were due, all but the last over 100 ms ago."""
    one = watch(0.0, 0.9)

    caught_up = one.tick(START_MONO_S + 0.05, START_MONO_S + 1.0)

    totals = one.totals()
    assert caught_up == pytest.approx(START_MONO_S + 0.95)
    assert [row[1:3] for row in totals["loop_per_second"]] == [[10, 9], [0, 0]]
    assert totals["loop_late_share"] == 0.9
    assert totals["loop_lag_ms_max"] == pytest.approx(950)
    assert totals["loop_per_second"][1] == [1_000_001, 0, 0, 0.0, 900.0]


def test_what_was_before_the_load_does_not_count() -> None:
    """A worker that waits for the common start may be slow to import; that is no load yet."""
    one = watch(0.0)

    one.tick(START_MONO_S - 2.0, START_MONO_S - 0.5)

    assert one.totals()["loop_per_second"] == []
