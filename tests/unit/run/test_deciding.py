"""When the conductor looks at the claims, and what it does with the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stormproof.load.live import LiveSli
from stormproof.load.wire import Aggregate
from stormproof.run.deciding import COST_MAX, LOOK_EVERY_S, Decisions
from stormproof.spec.hypothesis import parse_stop_condition
from support.planning import make_experiment
from support.synthetic import START_S, Stretch, SyntheticRun

ONSET_S = START_S + 17.0
CLAIMS = ("availability during fault >= 99%", "time to recover <= 10s")


class Defective(LiveSli):
    """Has a defect."""

    def settled_until_s(self) -> float | None:
        raise RuntimeError("a defect")


def until(condition: Callable[[], bool], *, deadline_s: float = 60.0) -> None:
    """Wait for *condition*."""
    give_up = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < give_up, "not within the deadline"
        time.sleep(0.01)


class Clock:
    """Goes on when it is told to, and by *step_s* whenever it is read."""

    def __init__(self) -> None:
        self.now_s, self.step_s = 100.0, 0.0

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def settled(sli: LiveSli, fault_s: float) -> None:
    """The load says that everything due until *fault_s* after the onset has ended."""
    at = ONSET_S + fault_s
    sli.add(Aggregate(worker=0, from_s=at - 0.1, to_s=at, offered=10, sent=10, ended=10, ok=10, bins={}, settled_s=at))


def decisions(run_path: Path, clock: Clock, *, stop: str = "", min_s: float = 5.0, weak: bool = False) -> Decisions:
    """A run on disk that has come further than the load says is settled."""
    third = Stretch(start_s=17, end_s=37, failed_share=0.33, failed_latency_ms=1.0)
    stretches = (Stretch(start_s=0, end_s=17), third, Stretch(start_s=37, end_s=52)) if weak else None
    experiment = make_experiment(hypotheses=CLAIMS)
    experiment = replace(
        experiment,
        timeline=replace(experiment.timeline, until_decided=True, fault_min_s=min_s),
        stop_when=(parse_stop_condition(stop),) if stop else (),
    )
    run = SyntheticRun(stretches=stretches).write(run_path)
    return Decisions(experiment=experiment, run=run, live=LiveSli(1), clock=clock, fault_began_s=ONSET_S)


@pytest.mark.parametrize("min_s", [5.0, 12.0])
def test_a_fault_may_end_once_all_is_decided_and_it_has_lasted_its_least(tmp_path: Path, min_s: float) -> None:
    """Held after some six seconds at 100/s; asked for at least twelve, not before."""
    clock = Clock()
    one = decisions(tmp_path / "run", clock, min_s=min_s)
    ends = None
    for half in range(1, 30):
        settled(one.live, half / 2)
        one.look()
        if one.decided is not None:
            ends = half / 2
            break

    assert ends is not None
    assert max(min_s, 5.0) <= ends <= max(min_s, 7.0)
    assert [standing.claim for standing in one.decided or []] == list(CLAIMS)
    assert one.stop is None


def test_nothing_is_decided_while_requests_hang(tmp_path: Path) -> None:
    """The record holds twenty seconds of good answers, but an arrival of the first second has not ended."""
    clock = Clock()
    one = decisions(tmp_path / "run", clock)
    settled(one.live, 0.9)
    one.look()

    assert one.decided is None


def test_a_refuted_stop_condition_does_not_wait_for_the_least_time(tmp_path: Path) -> None:
    """A second of failures is enough to stop."""
    clock = Clock()
    one = decisions(tmp_path / "run", clock, stop="availability during fault >= 99% refuted", weak=True)
    settled(one.live, 1.5)
    one.look()

    assert one.stop is not None
    assert one.decided is None


def test_a_look_that_takes_long_is_not_taken_often(tmp_path: Path) -> None:
    """A tenth of the time at most: the load has the same machine."""
    clock = Clock()
    one = decisions(tmp_path / "run", clock)
    settled(one.live, 7.0)
    quick_s = one.look()
    clock.step_s = 2.0  # each look lasts that long

    assert quick_s == LOOK_EVERY_S
    assert one.look() == pytest.approx(2.0 / COST_MAX)


def test_nobody_looks_outside_of_the_fault_phase(tmp_path: Path) -> None:
    """Before the fault is felt, and once it is taken back, nothing can be decided."""
    one = decisions(tmp_path / "run", Clock())
    settled(one.live, 7.0)
    one.fault_began_s = None
    one.look()
    assert one.decided is None

    one.fault_began_s = ONSET_S
    one.look()
    assert one.decided is not None


def test_the_thread_looks_until_it_is_closed(tmp_path: Path) -> None:
    """What the conductor starts comes to the same answer by itself; a defect is told and decides nothing."""
    one = decisions(tmp_path / "run", Clock())
    settled(one.live, 7.0)
    one.start()
    until(lambda: one.decided is not None)
    one.close()
    assert one.failure is None

    broken = decisions(tmp_path / "broken", Clock())
    broken.live = Defective(1)
    broken.start()
    until(lambda: broken.failure == "RuntimeError: a defect")
    assert broken.decided is None
