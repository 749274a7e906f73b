"""The schedule of the open model: pure, seeded, dealt out without loss."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormproof.errors import LoadError
from stormproof.load.schedule import ARRIVALS_MAX, arrival_offsets, make_schedule, share_of
from stormproof.model.experiment import ArrivalProcess

processes = st.sampled_from(ArrivalProcess)
rates = st.floats(0.5, 300)
durations = st.floats(0, 5)
seeds = st.integers(0, 2**32)


@settings(deadline=None)
@given(process=processes, rate=rates, duration=durations, seed=seeds, workers=st.integers(1, 5))
def test_workers_share_one_schedule_without_loss_or_duplicate(
    process: ArrivalProcess, rate: float, duration: float, seed: int, workers: int
) -> None:
    """Whatever the number of workers, their arrivals and tasks together are those of one worker alone."""
    options = {"process": process, "rate_per_s": rate, "duration_s": duration, "seed": seed}
    weights = [3.0, 1.0, 0.5]

    alone = make_schedule(**options, weights=weights)
    shares = [make_schedule(**options, weights=weights, worker=w, workers=workers) for w in range(workers)]

    together = sorted(pair for share in shares for pair in zip(share.due_s, share.choices, strict=True))
    assert together == sorted(zip(alone.due_s, alone.choices, strict=True))


@settings(deadline=None)
@given(process=processes, rate=rates, duration=durations, seed=seeds)
def test_instants_ascend_and_lie_in_the_load(process: ArrivalProcess, rate: float, duration: float, seed: int) -> None:
    """Every arrival is due within the load, each not before the one before it."""
    offsets = list(arrival_offsets(process, rate, duration, seed))

    assert all(0 <= offset < duration for offset in offsets)
    assert all(earlier <= later for earlier, later in pairwise(offsets))


def test_uniform_arrivals_come_one_every_nth_of_a_second() -> None:
    """At 4/s over a second: 0, 0.25, 0.5, 0.75."""
    assert list(arrival_offsets(ArrivalProcess.UNIFORM, 4.0, 1.0, 0)) == [0.0, 0.25, 0.5, 0.75]


def test_uniform_arrivals_do_not_drift() -> None:
    """The millionth arrival at 3/s is due at exactly a third of its number: no sum of rounded gaps."""
    offsets = make_schedule(
        process=ArrivalProcess.UNIFORM, rate_per_s=3.0, duration_s=100_000.0, weights=[1.0], seed=0
    ).due_s

    assert len(offsets) == 300_000
    assert offsets[299_999] == 299_999 / 3.0


def test_poisson_gaps_are_exponential_with_the_rate_asked_for() -> None:
    """20,000 gaps at 100/s: mean 10 ms and, as for no other gap law, a deviation that equals the mean (±5 %)."""
    offsets = list(arrival_offsets(ArrivalProcess.POISSON, 100.0, 200.0, 5))
    gaps = [later - earlier for earlier, later in pairwise(offsets)]

    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.010, rel=0.05)
    assert deviation == pytest.approx(mean, rel=0.05)


def test_tasks_are_drawn_by_weight() -> None:
    """With weights 3, 1 and 0 the first task runs three times as often as the second, the third never."""
    schedule = make_schedule(
        process=ArrivalProcess.UNIFORM, rate_per_s=1000.0, duration_s=20.0, weights=[3.0, 1.0, 0.0], seed=11
    )

    counts = Counter(schedule.choices)
    assert counts[2] == 0
    assert counts[0] / counts[1] == pytest.approx(3.0, rel=0.06)


def test_another_seed_is_another_load() -> None:
    """The seed decides the instants and the tasks."""
    one, other = (
        make_schedule(process=ArrivalProcess.POISSON, rate_per_s=50.0, duration_s=2.0, weights=[1.0, 1.0], seed=seed)
        for seed in (1, 2)
    )

    assert list(one.due_s) != list(other.due_s)
    assert list(one.choices) != list(other.choices)


def test_what_was_offered_is_counted_up_to_an_instant() -> None:
    """At 4/s, five arrivals are due in the first second and its end, in the Unix seconds they fall in."""
    schedule = make_schedule(process=ArrivalProcess.UNIFORM, rate_per_s=4.0, duration_s=10.0, weights=[1.0], seed=0)

    assert schedule.offered_by(1.0) == 5
    assert schedule.offered_per_second(1000.5, 1.0) == {1000: 2, 1001: 3}
    assert schedule.offered_by(-1.0) == 0


def test_a_load_without_bound_is_refused() -> None:
    """More than ARRIVALS_MAX arrivals are an error that says how many, not a machine out of memory."""
    with pytest.raises(LoadError, match="20,000,000"):
        make_schedule(process=ArrivalProcess.UNIFORM, rate_per_s=ARRIVALS_MAX, duration_s=1.5, weights=[1.0], seed=0)


@given(total=st.integers(0, 10_000), workers=st.integers(1, 50))
def test_user_shares_add_up(total: int, workers: int) -> None:
    """Users are dealt out evenly: shares add up to the total and differ by one at most."""
    shares = [share_of(total, worker, workers) for worker in range(workers)]

    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


def test_a_control_group_is_drawn_apart() -> None:
    """A share of the arrivals is marked, whatever else is drawn: instants and tasks stay, and so do others' marks."""
    ask = {"process": ArrivalProcess.POISSON, "rate_per_s": 200.0, "duration_s": 60.0, "weights": [3, 1], "seed": 7}
    plain, fifth = make_schedule(**ask), make_schedule(**ask, control_share=0.2)
    dealt = [make_schedule(**ask, control_share=0.2, worker=worker, workers=3) for worker in range(3)]
    marked = [choice >= 2 for choice in fifth.choices]

    assert fifth.due_s == plain.due_s
    assert [choice % 2 for choice in fifth.choices] == list(plain.choices)
    assert sum(marked) / len(marked) == pytest.approx(0.2, abs=0.02)  # five standard errors
    assert [list(one.choices) for one in dealt] == [list(fifth.choices)[worker::3] for worker in range(3)]
    assert sum(plain.choices[i] for i, one in enumerate(marked) if one) / sum(marked) == pytest.approx(0.25, abs=0.05)
