"""Rolling levels and stop conditions, from aggregates written by hand."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from stormproof.load.histogram import bin_of
from stormproof.load.live import LiveSli, StopState, StopWatch
from stormproof.load.wire import Aggregate
from stormproof.model.hypothesis import Metric, Op, StopCondition

START = 1_000_000.0


def tenth(
    number: int, *, worker: int = 0, ended: int = 10, ok: int | None = None, latency_ms: float = 20.0
) -> Aggregate:
    """The *number*-th tenth of a second after START."""
    return Aggregate(
        worker=worker,
        from_s=START + number / 10,
        to_s=START + (number + 1) / 10,
        offered=10,
        sent=10,
        ended=ended,
        ok=ended if ok is None else ok,
        bins={bin_of(latency_ms): ended} if ended else {},
    )


def availability_below_half(for_s: float) -> StopCondition:
    return StopCondition(
        text=f"availability < 50% for {for_s:g}s", metric=Metric.AVAILABILITY, op=Op.LT, bound=0.5, for_s=for_s
    )


def test_a_reading_covers_the_window_and_nothing_else() -> None:
    """Ten tenths of 10 requests with 9 ok in the last five: 95 % over a second, 90 % over the last half."""
    sli = LiveSli(1)
    for number in range(10):
        sli.add(tenth(number, ok=10 if number < 5 else 9, latency_ms=20.0 if number < 5 else 200.0))

    second, half = sli.reading(1.0), sli.reading(0.5)

    assert second is not None
    assert half is not None
    assert (second.ended, second.ok, second.availability, second.throughput_per_s) == (100, 95, 0.95, 100.0)
    assert (half.ended, half.availability) == (50, 0.9)
    assert second.error_rate == pytest.approx(0.05)
    assert second.latency_ms(0.5) == pytest.approx(20, rel=0.02)
    assert second.latency_ms(0.99) == pytest.approx(200, rel=0.02)
    assert second.latency_ms_mean == pytest.approx(110, rel=0.02)


def test_time_is_settled_where_nothing_is_under_way() -> None:
    """The oldest arrival that has not ended, of any worker, says up to when; a closed model never says."""
    sli = LiveSli(2)
    sli.add(replace(tenth(5), settled_s=START + 0.55))
    assert sli.settled_until_s() is None
    sli.add(replace(tenth(5, worker=1), settled_s=START + 0.2))
    assert sli.settled_until_s() == START + 0.2

    sli.add(Aggregate.from_message(replace(tenth(6, worker=1), settled_s=START + 0.6).to_message()))
    assert sli.settled_until_s() == START + 0.55
    sli.add(tenth(7, worker=1))
    assert sli.settled_until_s() is None


def test_time_is_complete_when_every_worker_has_reported() -> None:
    """With two workers, the slower one decides up to when anything is said."""
    sli = LiveSli(2)
    sli.add(tenth(0))
    sli.add(tenth(1))

    assert sli.complete_until_s() is None
    assert sli.reading(1.0) is None

    sli.add(tenth(0, worker=1))

    assert sli.complete_until_s() == START + 0.1
    reading = sli.reading(1.0)
    assert reading is not None
    assert reading.ended == 20, "the second tenth of worker 0 is not complete time yet"
    assert sli.reading(1.0, until_s=START + 0.2) is None


def test_a_second_without_answers_has_no_availability() -> None:
    """Nothing ended: availability and latency are None, neither 0 % nor 100 %."""
    sli = LiveSli(1)
    sli.add(tenth(0, ended=0))

    reading = sli.reading(1.0)

    assert reading is not None
    assert (reading.availability, reading.error_rate, reading.latency_ms(0.99), reading.latency_ms_mean) == (
        None,
        None,
        None,
        None,
    )


def test_a_condition_must_be_true_for_as_long_as_it_says() -> None:
    """`availability < 50% for 2s`: 20 bad tenths in a row stop the run, not one fewer."""
    sli = LiveSli(1)
    watch = StopWatch(availability_below_half(2.0), sli)
    assert watch.breached(START) is None
    for number in range(10):  # the first second is looked at as a whole
        sli.add(tenth(number, ok=0))
    seen = []
    for number in range(10, 29):
        seen.append((watch.breached(START + number / 10), watch.state))
        sli.add(tenth(number, ok=0))

    assert [reason for reason, _ in seen] == [None] * 19
    assert {state for _, state in seen} == {StopState.COUNTING}

    reason = watch.breached(START + 2.9)

    assert reason is not None
    assert "`availability < 50% for 2s` was true for 2 s" in reason
    assert "availability 0.0% over 100 requests" in reason
    assert watch.state is StopState.BREACHED


def test_one_good_tenth_starts_the_count_again() -> None:
    """The condition has to hold without a break."""
    sli = LiveSli(1)
    watch = StopWatch(availability_below_half(2.0), sli)
    watch.breached(START)
    for number in range(60):
        # 100 good requests in one tenth of each 2.5 s lift the second around it over half
        good = number % 25 == 24
        sli.add(tenth(number, ended=1000 if good else 10, ok=1000 if good else 0))

    assert watch.breached(START + 6) is None


def test_no_data_neither_counts_nor_clears() -> None:
    """1 s of failures, then 3 s without any answer, then 1 s of failures: 2 s of evidence in all, so it stops."""
    sli = LiveSli(1)
    watch = StopWatch(availability_below_half(2.0), sli)
    watch.breached(START)
    number = 0
    for ended, tenths in ((10, 10), (0, 30)):
        for _ in range(tenths):
            sli.add(tenth(number, ended=ended, ok=0))
            number += 1

    assert watch.breached(START + 4) is None
    assert watch.state is StopState.NO_DATA

    while watch.breached(START + number / 10) is None:
        assert number < 60
        sli.add(tenth(number, ok=0))
        number += 1

    assert watch.state is StopState.BREACHED


def test_no_data_alone_is_no_breach() -> None:
    """A latency condition does not fire on a second in which nothing ended, and says so by its state."""
    condition = StopCondition(
        text="p99 latency > 2s for 1s", metric=Metric.LATENCY_QUANTILE, op=Op.GT, bound=2000.0, for_s=1.0, quantile=0.99
    )
    sli = LiveSli(1)
    watch = StopWatch(condition, sli)
    watch.breached(START)
    for number in range(100):
        sli.add(tenth(number, ended=0))

    assert watch.breached(START + 10) is None
    assert watch.state is StopState.NO_DATA


def test_what_was_before_the_watch_does_not_count() -> None:
    """Failures before the first look (warm-up) are not held against the run."""
    sli = LiveSli(1)
    for number in range(100):
        sli.add(tenth(number, ok=0))
    watch = StopWatch(availability_below_half(2.0), sli)

    assert watch.breached(START + 10) is None

    for number in range(100, 200):
        sli.add(tenth(number))

    assert watch.breached(START + 20) is None
    assert watch.state is StopState.CLEAR


def test_readers_may_add_while_the_conductor_asks() -> None:
    """Four threads add at once; every request is in the reading."""
    sli = LiveSli(4)
    threads = [
        threading.Thread(target=lambda w=worker: [sli.add(tenth(n, worker=w)) for n in range(100)])
        for worker in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        sli.reading(5.0)
        thread.join()

    reading = sli.reading(10.0)
    assert reading is not None
    assert reading.ended == 4 * 100 * 10
