"""The window by effect: what was planted is found to a slot, and a run without an effect shows none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from stormproof.analysis.felt import felt
from stormproof.analysis.grid import BINS, bins_of, edges_ms, grid_of, slot_width_s
from support.synthetic import START_S, Stretch, samples_of

if TYPE_CHECKING:
    import pandas as pd

WINDOWS = {
    "steady": (START_S, START_S + 15),
    "fault": (START_S + 15, START_S + 35),
    "recovery": (START_S + 35, START_S + 50),
}


def stretches_of(frame: pd.DataFrame) -> list[tuple[float, float]]:
    """What was felt, in seconds from the start of load."""
    grid = grid_of(frame, WINDOWS)
    assert grid is not None
    found = felt(grid)
    assert found is not None
    return [(round(start - START_S, 3), round(end - START_S, 3)) for start, end in found.stretches]


def run(*parts: Stretch, seed: int = 1) -> pd.DataFrame:
    return samples_of(parts, seed=seed)


def test_failures_bound_the_window_to_a_tenth_of_a_second() -> None:
    """Half of the requests fail from 15.5 s to 30.2 s: the change points are within a few requests of that."""
    ((start_s, end_s),) = stretches_of(
        run(
            Stretch(start_s=0, end_s=15.5),
            Stretch(start_s=15.5, end_s=30.2, failed_share=0.5),
            Stretch(start_s=30.2, end_s=50),
        )
    )

    assert start_s == pytest.approx(15.5, abs=0.11)
    assert end_s == pytest.approx(30.2, abs=0.11)


def test_slowness_is_felt_without_a_failure() -> None:
    """Requests that take five times as long are felt, though each of them succeeds."""
    ((start_s, end_s),) = stretches_of(
        run(
            Stretch(start_s=0, end_s=18),
            Stretch(start_s=18, end_s=25, latency_ms=100),
            Stretch(start_s=25, end_s=50),
        )
    )

    assert (start_s, end_s) == (pytest.approx(18, abs=0.11), pytest.approx(25, abs=0.11))


def test_two_dips_are_two_stretches() -> None:
    """A second after the onset and a second at the end, with a good time between them: both are told."""
    found = stretches_of(
        run(
            Stretch(start_s=0, end_s=15),
            Stretch(start_s=15, end_s=16, failed_share=0.6),
            Stretch(start_s=16, end_s=33),
            Stretch(start_s=33, end_s=34, failed_share=0.6),
            Stretch(start_s=34, end_s=50),
        )
    )

    assert len(found) == 2
    assert [edge for one in found for edge in one] == pytest.approx([15, 16, 33, 34], abs=0.21)


def test_nothing_is_felt_where_nothing_happened() -> None:
    """300 runs without an effect, a third of them with latencies that drift: at most 2 % show a stretch."""
    wrong = 0
    for seed in range(300):
        level = 0.1 if seed % 3 == 0 else 0.0
        frame = run(Stretch(start_s=0, end_s=50, rate_per_s=40, failed_share=0.002, level_sd=level), seed=seed)
        wrong += bool(stretches_of(frame))

    assert wrong <= 6


def test_without_steady_there_is_nothing_to_compare_with() -> None:
    """Fewer than 50 steady requests: no answer, rather than a guess."""
    grid = grid_of(run(Stretch(start_s=0, end_s=50, rate_per_s=2)), WINDOWS)
    assert grid is not None

    assert felt(grid) is None


def test_parts_of_the_samples_add_up() -> None:
    """The grid of a run is the sum of the grids of its parts, and counts every request of every phase."""
    frame = run(Stretch(start_s=0, end_s=50, failed_share=0.1))
    whole, *parts = (grid_of(one, WINDOWS) for one in (frame, frame.iloc[::2], frame.iloc[1::2]))
    assert whole is not None
    assert parts[0] is not None
    assert parts[1] is not None
    total = parts[0] + parts[1]

    assert np.array_equal(total.slots, whole.slots)
    assert {phase: int(counts.sum()) for phase, counts in total.phases.items()} == {
        "steady": 1500,
        "fault": 2000,
        "recovery": 1500,
    }


def test_bins_hold_what_their_edges_say() -> None:
    """Each latency lies between the edges of its bin; beyond the ends, and unknown ones, share the outer bins."""
    latency_ms = np.array([0.07, 1.0, 20.0, 999.9, 60_000.0])
    number = bins_of(latency_ms)
    edges = edges_ms()

    assert (edges[number] <= latency_ms * 1.000001).all()
    assert (latency_ms < edges[number + 1]).all()
    assert list(bins_of(np.array([0.0, 1e9, np.nan, -1.0]))) == [0, BINS - 1, BINS - 1, BINS - 1]
    assert [slot_width_s(span) for span in (52, 61, 3600)] == [0.1, 0.2, 10.0]
