"""What the time plot draws."""

from __future__ import annotations

import pandas as pd
import pytest

from stormproof.report.scale import Scale, log_range, log_ticks, ticks
from stormproof.report.series import BUCKETS_MAX, OTHER, bucket_width_s, tabulate


def frame(rows: list[tuple[float, float, int, str]]) -> pd.DataFrame:
    """Samples of (scheduled_at, latency_ms, status, error)."""
    return pd.DataFrame(
        {
            "scheduled_at": [float(row[0]) for row in rows],
            "latency_ms": [float(row[1]) for row in rows],
            "status": [row[2] for row in rows],
            "ok": [row[2] == 200 for row in rows],
            "error": [row[3] for row in rows],
        }
    )


def test_requests_count_in_the_second_they_were_scheduled() -> None:
    """Rates, failures by kind and quantiles of three hand-counted seconds."""
    samples = frame(
        [
            (100.0, 10, 200, ""),
            (100.9, 30, 200, ""),
            (101.0, 5, 503, ""),
            (103.5, 900, 0, "late"),
            (103.6, 7, 200, ""),
        ]
    )

    series = tabulate(samples, [(100.0, 2), (101.0, 1), (102.0, 1), (103.0, 2)])

    assert series is not None
    assert (series.start_s, series.end_s, series.bucket_s, series.tail) == (100.0, 104.0, 1, "slowest")
    assert series.offered_per_s == (2, 1, 1, 2)
    assert series.answered_per_s == (2, 1, 0, 1)
    assert series.failed_per_s == {"status 503": (0, 1, 0, 0), "late": (0, 0, 0, 1)}
    assert series.latency_ms_p50 == (10, 5, None, 7)
    assert series.latency_ms_tail == (30, 5, None, 900)


@pytest.mark.parametrize(("rate", "tail"), [(150, "p99"), (30, "p95"), (5, "slowest")])
def test_a_tail_is_named_after_what_the_rate_bears(rate: int, tail: str) -> None:
    """No p99 of thirty requests: the line says p95 there, and *slowest* of a handful."""
    series = tabulate(frame([(100 + number / rate, 10, 200, "") for number in range(rate * 5)]), [])

    assert series is not None
    assert series.tail == tail


def test_rare_kinds_of_failure_share_the_last_colour_and_none_is_lost() -> None:
    """Ten kinds are drawn as four, the last of them all the rest."""
    samples = frame([(100.0, 1, 0, f"kind {kind}") for kind in range(10) for _ in range(10 - kind)])

    series = tabulate(samples, [])

    assert series is not None
    assert list(series.failed_per_s) == ["kind 0", "kind 1", "kind 2", OTHER]
    assert sum(values[0] for values in series.failed_per_s.values()) == len(samples)


@pytest.mark.parametrize("span_s", [1, 300, 301, 3600, 86_400, 10_000_000])
def test_a_run_of_any_length_fits_the_page(span_s: int) -> None:
    """Never more buckets than the plot has room for."""
    assert span_s / bucket_width_s(span_s) <= BUCKETS_MAX


def test_a_load_that_ends_in_mid_second_keeps_its_rate() -> None:
    """100/s from 100.5 to 103.3: half a second and a third of one are drawn at 100/s, not at 50 and 30."""
    samples = frame([(100.5 + number / 100, 10, 200, "") for number in range(280)])

    series = tabulate(samples, [(100.0, 50), (101.0, 100), (102.0, 100), (103.0, 30)])

    assert series is not None
    assert series.answered_per_s == pytest.approx([100, 100, 100, 100], rel=0.01)
    assert series.offered_per_s == pytest.approx([100, 100, 100, 100], rel=0.01)


def test_nothing_gives_no_series() -> None:
    """No samples and no offered load: nothing to draw, and no crash."""
    assert tabulate(frame([]), []) is None


def test_offered_load_without_any_sample_is_still_drawn() -> None:
    """A workload that never answered shows what was offered to it."""
    series = tabulate(frame([]), [(100.0, 5)])

    assert series is not None
    assert (series.offered_per_s, series.answered_per_s, series.latency_ms_p50) == ((5,), (0,), (None,))


def test_ticks_are_round_and_inside() -> None:
    """1, 2 or 5 times a power of ten apart."""
    assert ticks(0, 168, about=3) == [0, 100]
    assert ticks(-2, 53, about=9) == [0, 10, 20, 30, 40, 50]
    assert log_ticks(10, 2000) == [10, 30, 100, 300, 1000]


@pytest.mark.parametrize("values", [[], [0.0], [3.0], [0.001, 1e6], [5.0, 5.0]])
def test_a_log_range_holds_its_values_and_is_never_empty(values: list[float]) -> None:
    """Constant, absent or absurd latencies still give axes."""
    low, high = log_range(values)

    assert 0 < low < high
    assert all(value <= high for value in values)


def test_a_scale_keeps_to_its_edges() -> None:
    """A value beyond the axis is drawn at its end, not outside the picture."""
    scale = Scale(low=1, high=100, start_px=200, end_px=0, log=True)

    assert [scale.px(value) for value in (0.1, 1, 10, 100, 1000)] == [200, 200, 100, 0, 0]
