"""A night of stand-in runs: what is started, repeated, left out and written down, and what a kill costs."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from stormproof.errors import FaultError, UnavailableError
from stormproof.faults.ledger import Ledger
from stormproof.record.layout import RunDirectory
from stormproof.suite.after import Recorder
from stormproof.suite.lease import suite_lease
from stormproof.suite.outcome import outcome_of, standing
from stormproof.suite.state import read_state
from support.command import wait_for
from support.suites import begin, check_nothing_lost_or_twice, drive, driving, outcomes, play

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STORMPROOF_STATE_DIR", str(tmp_path / "state"))


def test_what_was_invalid_is_run_once_more_and_said(tmp_path: Path) -> None:
    """Invalid or inconclusive: a second run, which stands; refuted and held: none. The worst gives the code."""
    said: list[str] = []
    titles = {"a": "held", "b": "invalid, held", "c": "inconclusive", "d": "refuted, held"}

    state = play(*begin(tmp_path / "reports", titles), said)

    assert {
        "a": ["held"], "b": ["invalid", "held"], "c": ["inconclusive", "inconclusive"], "d": ["refuted"],
    } == outcomes(state)  # fmt: skip
    assert (1, "refuted") == (outcome_of(state).exit_code, outcome_of(state).word)
    assert any("b, again: it was invalid at first" in line for line in said)
    assert {"refuted": 1, "inconclusive": 1, "held": 2} == outcome_of(state).counts
    assert [20.0, 40.0] == [
        round(sum(one.target_seconds for one in item.attempts), 1) for item in state.items if item.entry.slug in "ab"
    ]


def test_a_budget_of_damage_leaves_out_what_does_not_fit(tmp_path: Path) -> None:
    """A run is not started that would break more than is left; that is inconclusive, and says why."""
    state = play(*begin(tmp_path / "reports", {"a": "held", "b": "held", "c": "held"}, target_seconds=45.0))

    assert ["held", "held", "not run"] == [standing(item) for item in state.items]
    assert "the budget of damage: a run breaks 20 target-seconds, and 5 were left" == state.items[2].left
    assert 2 == outcome_of(state).exit_code


@pytest.mark.parametrize(("workloads", "together"), [(("shop", "search"), True), (("shop", "shop"), False)])
def test_only_what_does_not_meet_overlaps(tmp_path: Path, workloads: tuple[str, str], together: bool) -> None:
    """Two at once: of two workloads the second begins before the first has ended; of one it waits."""
    folder, state = begin(tmp_path / "reports", {"a": "held", "b": "held"}, jobs=2)
    for item, workload in zip(state.items, workloads, strict=True):
        item.entry = dataclasses.replace(item.entry, workload=workload)

    play(folder, state)

    first, second = (item.attempts[0] for item in state.items)
    assert together is (second.started_at < str(first.ended_at))
    assert {"a": ["held"], "b": ["held"]} == outcomes(state)


def test_the_deadline_ends_what_is_going_on(tmp_path: Path) -> None:
    """It was thought to be short, and hangs: asked to end, interrupted, and the suite is aborted."""
    folder, state = begin(tmp_path / "reports", {"a": "hangs", "b": "held"}, deadline_s=time.time() + 4)
    for item in state.items:
        item.entry = dataclasses.replace(item.entry, expected_s=0.0)

    play(folder, state)

    assert ["interrupted"] == [one.outcome for one in state.items[0].attempts]
    assert ("the deadline has come", 4) == (state.stopped, outcome_of(state).exit_code)
    assert "the suite ended before its turn: the deadline has come" == state.items[1].left


def test_a_sick_environment_ends_the_suite(tmp_path: Path) -> None:
    """A run that is refused because something is not there or not whole: nothing more is started, exit code 69."""
    state = play(*begin(tmp_path / "reports", {"a": "sick", "b": "held"}))

    assert {"a": ["error"], "b": []} == outcomes(state)
    assert "the environment is sick: a: a is sick" == state.stopped
    assert 69 == outcome_of(state).exit_code


def test_an_error_of_one_run_is_no_verdict_and_no_end(tmp_path: Path) -> None:
    """Exit 65 of one run: the rest is played, and the suite's code is 65, not that of a verdict."""
    state = play(*begin(tmp_path / "reports", {"a": "error 65", "b": "refuted", "c": "dies"}))

    assert {"a": ["error"], "b": ["refuted"], "c": ["error"]} == outcomes(state)
    assert "error" == outcome_of(state).word
    assert outcome_of(state).exit_code >= 64


def test_a_signal_ends_the_run_politely(tmp_path: Path) -> None:
    """SIGTERM: the run is asked to end and waited for, and nothing more is started; resumed, all is done."""
    folder, state = begin(tmp_path / "reports", {"a": "held", "b": "hangs", "c": "held"})

    def terminate_when_it_hangs() -> None:
        wait_for("b to hang", lambda: list((tmp_path / "reports" / "b").glob("2*/run.json")), within_s=30)
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=terminate_when_it_hangs)
    sender.start()
    play(folder, state)
    sender.join()

    assert {"a": ["held"], "b": [], "c": []} == outcomes(state)
    assert (4, "SIGTERM received") == (outcome_of(state).exit_code, state.stopped)
    assert "aborted" in next((tmp_path / "reports" / "b").glob("2*/verdict.json")).read_text()
    assert {"a": ["held"], "b": ["held"], "c": ["held"]} == outcomes(play(folder, read_state(folder)))


def test_what_is_not_undone_ends_the_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was cut off and left something broken: the resumed suite touches nothing and says what to type."""
    monkeypatch.setattr("stormproof.suite.attempt.WATCHDOG_WITHIN_S", 0.0)
    monkeypatch.setattr("stormproof.suite.night.await_undo", lambda _attempt: None)
    folder, state = begin(tmp_path / "reports", {"a": "dies"})
    play(folder, state)
    run = RunDirectory(Path(state.items[0].attempts[0].run_dir))
    Ledger(run.ledger).intend("1-a", kind="az-loss", target={}, configuration={}, prior={})
    state.items[0].attempts[0].outcome = None

    with pytest.raises(UnavailableError, match="is not undone yet") as caught:
        play(folder, state)

    assert f"stormproof undo {run.path}" in (caught.value.hint or "")


def test_a_recorder_that_fails_is_asked_again(tmp_path: Path) -> None:
    """What could not be recorded is said, keeps the night from being green, and is tried again when resumed."""
    calls: list[str] = []

    def refuse(run: RunDirectory) -> None:
        calls.append(run.path.name)
        if len(calls) == 1:
            raise FaultError("the disk is full")

    folder, state = begin(tmp_path / "reports", {"a": "held"})
    play(folder, state, recorders=[Recorder(name="evidence", record=refuse)])
    first = outcome_of(state)
    play(folder, state, recorders=[Recorder(name="evidence", record=refuse)])

    assert (70, "what became of a run could not be recorded: a: evidence: the disk is full") == (
        first.exit_code,
        first.reason,
    )
    assert 0 == outcome_of(state).exit_code
    assert 2 == len(calls)


def test_two_suites_in_one_environment_do_not_meet(tmp_path: Path) -> None:
    """The second is refused while the first holds the lease; another environment is free."""
    with suite_lease("local", suite_id="first"):
        with (
            pytest.raises(UnavailableError, match="suite first is going on there"),
            suite_lease("local", suite_id="2nd"),
        ):
            pass
        with suite_lease("staging", suite_id="third"):
            pass
    with suite_lease("local", suite_id="fourth"):
        pass


def test_a_kill_under_a_run_interrupts_it(tmp_path: Path) -> None:
    """Its run is told to end and records itself; the resumed suite keeps it, counts it for nothing, runs another."""
    reports = tmp_path / "reports"
    folder, _ = begin(reports, {"a": "hangs", "b": "held"})

    with driving(reports, tmp_path / "state") as suite:
        wait_for("a run to hang", lambda: list(reports.glob("a/2*/run.json")), within_s=60)
        suite.kill()
        suite.wait(timeout=30)
    drive(reports, tmp_path / "state")

    check_nothing_lost_or_twice(folder, reports, {"a": ["held"], "b": ["held"]})
    assert ["interrupted", "held"] == [one.outcome for one in read_state(folder).items[0].attempts]


TITLES = {"a": "invalid, held", "b": "refuted"}


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_a_kill_loses_and_duplicates_nothing(tmp_path: Path, share: float, events: int) -> None:
    """SIGKILL at that share of the suite's events, then resume: each experiment has the runs it would have had."""
    reports = tmp_path / "reports"
    folder, _ = begin(reports, TITLES)

    killed, _ = drive(reports, tmp_path / "state", kill_at=max(1, round(events * share)))
    resumed, _ = drive(reports, tmp_path / "state")

    assert (-9, 0) == (killed, resumed)
    check_nothing_lost_or_twice(folder, reports, {"a": ["invalid", "held"], "b": ["refuted"]})


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many events an undisturbed suite has."""
    root = tmp_path_factory.mktemp("undisturbed")
    begin(root / "reports", TITLES)
    _, seen = drive(root / "reports", root / "state")
    return int(seen)
