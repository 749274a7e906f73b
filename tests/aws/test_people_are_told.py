"""Who is told of a run in an account, of what, and by whom when its conductor is dead; a topic of moto, over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stormproof.faults.ledger import Ledger
from stormproof.model.environment import Environment
from stormproof.model.guardrails import Guardrails
from stormproof.model.plan import ResolvedFault
from stormproof.record import events
from stormproof.record.layout import RunDirectory
from stormproof.run.notice import Notice
from stormproof.run.people import TIMEOUT_S, People
from stormproof.run.watchdog import Watchdog
from stormproof.spec.environment_file import load_environment
from stormproof.staging.environment import discover
from support.aws_fault import inject
from support.command import environment as clean_environment
from support.emulated_aws import Call, Estate, environment_file, recorder, state_of
from support.hanging_port import hanging_port
from support.mailbox import Mailbox, mailbox
from support.planning import make_experiment

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

TESTS = Path(__file__).parents[1]
RUN_ID = "20260304T120000Z-az-loss-0001"
# A conductor that has broken something, until it is killed.
CONDUCTOR = """
import json, os, pathlib, signal, sys
from stormproof.record.layout import RunDirectory
from stormproof.run.guard import Guard
run = RunDirectory(pathlib.Path(sys.argv[1]))
guard = Guard.start(run, duration_s_max=60, environment=dict(os.environ), people=json.loads(sys.argv[2]))
print("guarded", guard.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def letters(estate: Estate) -> Mailbox:
    """Somebody who is on call."""
    return mailbox(estate.client)


def _environment(estate: Estate, folder: Path, url: str, topic: str) -> Environment:
    path = environment_file(estate, folder, url=url, az_loss={"parts": ["instances"]}, notify={"topic": topic})
    cloud = load_environment(path.parent, "staging").cloud
    assert cloud is not None
    return discover("staging", cloud)


def _run(folder: Path) -> RunDirectory:
    return RunDirectory(folder / "runs/az-loss" / RUN_ID).create()


def _fault(environment: Environment) -> ResolvedFault:
    from stormproof.faults import catalogue

    return catalogue.resolve("az-loss", {"zone": "a"}, environment, fault_id="1-az-loss")


def _people(environment: Environment, run: RunDirectory, title: str = "") -> People:
    from dataclasses import replace

    experiment = make_experiment()
    experiment = replace(experiment, title=title or experiment.title)
    guardrails = Guardrails(kill_switch="https://status.example.com/stop")
    notice = Notice.of(experiment, environment, [_fault(environment)], run, guardrails)
    return People.of(environment, notice, ledger=run.ledger)


def _said(run: RunDirectory) -> list[tuple[str, str]]:
    rows = events.read_events(run.events)
    return [(row["event"], row["message"]) for row in rows if row["event"].startswith("people.")]


def test_people_hear_what_where_how_long_who_and_how_to_stop_it(
    estate: Estate, letters: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the begin, at an abort, at the end; as the role and the session of the run; no secret is in it."""
    monkeypatch.setenv("STORMPROOF_OPERATOR", "the night shift")
    run = _run(tmp_path)
    with recorder(estate.url) as wire:
        people = _people(
            _environment(estate, tmp_path / "env", wire.url, letters.topic), run, "ünser AKIA1234567890ABCDEF"
        )
        people.begins()
        people.settle()
        people.aborted("SIGTERM received")
        people.settle()
        people.ended("aborted", ["SIGTERM received", "1 claim was not decided"], left=["1-az-loss"])
        people.settle()
    begins, aborted, ended = letters.letters()

    assert "stormproof staging: begins: ?nser [redacted]" == begins["Subject"]
    for expected in (
        "BEGINS in staging: account 123456789012, us-east-1 (simulated: an emulator): ünser [redacted]",
        f"will break: stop 2 instances of zone a: {', '.join(estate.instances['a'])}",
        f"zones: a (us-east-1a, {estate.zone_ids['a']})",
        f"targets (2): {', '.join(estate.instances['a'])}",
        "for about 50s, of which the fault at most 20s; ended after 3m whatever happens",
        "started by the night shift on ",
        f"stormproof abort {RUN_ID}; from elsewhere: the kill switch https://status.example.com/stop",
        f"run {RUN_ID}",
    ):
        assert expected in begins["Message"]
    assert "why: SIGTERM received\nwhat was broken is being put back" in aborted["Message"]
    assert "ABORTED in staging" in ended["Message"]
    assert "why: 1 claim was not decided" in ended["Message"]
    assert (
        f"NOT PUT BACK: 1-az-loss. To finish, on {os.uname().nodename}: stormproof undo {run.ledger}"
        in ended["Message"]
    )
    assert _said(run) == [("people.told", word) for word in ("begins", "aborted", "ended")]
    assert [one.operation for one in wire.calls if one.changes] == ["Publish"] * 3


@pytest.mark.parametrize("trouble", ["refused", "away", "hangs"])
def test_who_cannot_be_told_is_written_down_and_waited_for_no_longer_than_said(
    estate: Estate, letters: Mailbox, tmp_path: Path, trouble: str
) -> None:
    """The call returns at once, whatever becomes of it; the run goes on."""
    run = _run(tmp_path)
    with recorder(estate.url) as wire, hanging_port(lambda: True) as hangs:
        people = _people(_environment(estate, tmp_path / "env", wire.url, letters.topic), run)
        if trouble == "refused":
            wire.refuse = lambda call: (403, "AuthorizationError") if call.operation == "Publish" else None
        else:
            nowhere = f"http://{hangs}" if trouble == "hangs" else "http://127.0.0.1:9"
            people.configuration = {**people.configuration, "aws_endpoint_url": nowhere}
        begun = time.monotonic()
        people.begins()
        returned = time.monotonic()
        people.settle(within_s=0.5 if trouble == "hangs" else 10.0)
        settled = time.monotonic()

    [row] = events.read_events(run.events)
    assert ("people.not_told", "begins", letters.topic) == (row["event"], row["message"], row["topic"])
    assert {"refused": "AuthorizationError", "away": "127.0.0.1:9", "hangs": "no answer within 0.5 s"}[trouble] in row[
        "reason"
    ]
    if trouble == "hangs":
        assert returned - begun < TIMEOUT_S  # a client is made, nobody is waited for
        assert settled - returned < TIMEOUT_S
    assert letters.letters() == []


def test_without_a_topic_nobody_is_told(tmp_path: Path) -> None:
    """No thread, no event, nothing for the watchdog."""
    people = People(events=tmp_path / "events.jsonl")
    people.begins()
    people.aborted("why")
    people.ended("held", [], left=[])
    people.settle()

    assert people.document is None
    assert not (tmp_path / "events.jsonl").exists()


def test_the_watchdog_of_a_killed_run_tells_them(estate: Estate, letters: Mailbox, tmp_path: Path) -> None:
    """Killed with SIGKILL while a zone is gone: it is put back first, then people hear of both."""
    before = state_of(estate)
    run = _run(tmp_path)
    environment = _environment(estate, tmp_path / "env", estate.url, letters.topic)
    assert inject(_fault(environment), run.path)["felt"]
    document = json.dumps(_people(environment, run).document)
    with subprocess.Popen(
        [sys.executable, "-c", CONDUCTOR, str(run.path), document],
        stdout=subprocess.PIPE, text=True, env=clean_environment({"STORMPROOF_STATE_DIR": str(tmp_path / "state")}),
    ) as conductor:  # fmt: skip
        assert conductor.stdout is not None
        guarded, watchdog = conductor.stdout.readline().split()
        assert guarded == "guarded"
        there = psutil.Process(int(watchdog))
        conductor.send_signal(signal.SIGKILL)
        there.wait(60)

    assert state_of(estate) == before
    [letter] = letters.letters()
    assert "why: the conductor died; its watchdog saw to the undo" in letter["Message"]
    assert "everything that was broken was put back" in letter["Message"]
    rows = events.read_events(run.events)
    assert [row["who"] for row in rows if row["event"] == "people.told"] == ["watchdog"]
    names = [row["event"] for row in rows]
    assert names.index("fault.gone") < names.index("people.told")


def test_a_watchdog_that_cannot_undo_says_what_is_left_and_how_to_finish(
    estate: Estate, letters: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expired credentials, whatever is tried: people hear which fault, why, and what to type."""
    monkeypatch.setattr("stormproof.run.watchdog.TRIES", 2)
    monkeypatch.setattr("stormproof.run.watchdog.BETWEEN_TRIES_S", 0.0)
    before = state_of(estate)
    run = _run(tmp_path)

    def expired(call: Call) -> tuple[int, str] | None:
        return (403, "ExpiredToken") if call.operation == "StartInstances" else None

    with recorder(estate.url) as wire, subprocess.Popen(["sleep", "60"]) as conductor:
        environment = _environment(estate, tmp_path / "env", wire.url, letters.topic)
        assert inject(_fault(environment), run.path)["felt"]
        wire.refuse = expired
        watchdog = Watchdog(
            ledger=run.ledger, events=run.events, people=_people(environment, run),
            conductor=(conductor.pid, psutil.Process(conductor.pid).create_time()), deadline_mono_s=0.0,
            beat_due_mono_s=0.0,
        )  # fmt: skip
        assert not watchdog.rescue("the conductor died")
        wire.refuse = lambda _: None
        [letter] = letters.letters()
        assert re.search(r"NOT PUT BACK: 1-az-loss \(.*StartInstances: ExpiredToken.*log in again", letter["Message"])
        assert f"stormproof undo {run.ledger}" in letter["Message"]
        assert [one.operation for one in wire.calls].count("StartInstances") == 4  # as the role anew, each
        from stormproof.faults import activity

        assert activity.undo_outstanding(Ledger(run.ledger), events_path=None, who="test")[0]["undone"]
    assert state_of(estate) == before
