"""The open model's schedule: when each request is due and which task it runs, decided before anything is sent.

Pure and seeded. The instants and the tasks of the whole load are drawn first and dealt out to the workers
afterwards (arrival i goes to worker i mod n), so that the load is the same whatever the number of workers.
"""

from __future__ import annotations

import bisect
import itertools
import random
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stormproof.errors import LoadError
from stormproof.model.experiment import ArrivalProcess

# 20 million arrivals are 200 MB of schedule and hours of load; more is a typing error in the spec.
ARRIVALS_MAX = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One worker's share of the arrivals."""

    due_s: array[float]  # seconds after the start of the load, ascending
    # One per arrival: the index into the weights that the schedule was made with; of the control group's arrivals it
    # is larger by the number of the weights.
    choices: array[int]

    def offered_by(self, offset_s: float) -> int:
        """How many arrivals were due up to *offset_s* seconds after the start."""
        return bisect.bisect_right(self.due_s, offset_s)

    def offered_per_second(self, start_s: float, offset_s: float) -> Counter[int]:
        """Arrivals due up to *offset_s*, counted by the Unix second they fall in; *start_s* is Unix seconds."""
        return Counter(int(start_s + due) for due in itertools.islice(self.due_s, self.offered_by(offset_s)))


def make_schedule(
    *,
    process: ArrivalProcess,
    rate_per_s: float,
    duration_s: float,
    weights: Sequence[float],
    seed: int,
    worker: int = 0,
    workers: int = 1,
    control_share: float = 0.0,
) -> Schedule:
    """The share of *worker* (0 … workers - 1) in a load of *rate_per_s* over *duration_s* seconds.

    *weights* are the relative weights of what an arrival can run. Each arrival is the control group's with the chance
    *control_share*, drawn apart: instants and tasks are the same with any share. Raises `LoadError` beyond
    `ARRIVALS_MAX`.
    """
    assert 0 <= worker < workers
    if rate_per_s * duration_s > ARRIVALS_MAX:
        raise LoadError(
            f"the load would be {rate_per_s * duration_s:,.0f} arrivals, expected at most {ARRIVALS_MAX:,}",
            hint="lower `load.arrivals` or the timeline",
        )
    due_s = array("d", itertools.islice(arrival_offsets(process, rate_per_s, duration_s, seed), worker, None, workers))
    # Every worker draws for every arrival and keeps its own: the draw of arrival i depends on i and the seed alone.
    draw = random.Random(f"{seed}/tasks").random  # noqa: S311  # repeatable, not secret
    draw_group = random.Random(f"{seed}/control").random  # noqa: S311
    bounds = list(itertools.accumulate(weights))
    total, last = bounds[-1], len(bounds) - 1
    choices = array("H")
    for index in range(len(due_s) * workers):
        value, is_control = draw(), control_share > 0 and draw_group() < control_share
        if index % workers == worker:
            choice = min(bisect.bisect_right(bounds, value * total), last)
            choices.append(choice + len(bounds) if is_control else choice)
    return Schedule(due_s=due_s, choices=choices)


def arrival_offsets(process: ArrivalProcess, rate_per_s: float, duration_s: float, seed: int) -> Iterator[float]:
    """Seconds after the start at which arrivals are due: ascending, from 0 (uniform), below *duration_s*.

    Uniform: the i-th is due at i / rate. Poisson: gaps are exponential with mean 1 / rate.
    """
    assert rate_per_s > 0
    assert duration_s >= 0
    if process is ArrivalProcess.UNIFORM:
        for index in itertools.count():
            due = index / rate_per_s  # not a running sum, which would drift
            if due >= duration_s:
                return
            yield due
    else:
        gap = random.Random(f"{seed}/arrivals").expovariate  # noqa: S311  # repeatable, not secret
        due = gap(rate_per_s)
        while due < duration_s:
            yield due
            due += gap(rate_per_s)


def share_of(total: int, worker: int, workers: int) -> int:
    """How many of *total* users worker number *worker* drives; the shares of all workers add up to *total*."""
    return total // workers + (worker < total % workers)
