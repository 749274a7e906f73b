"""Whatever is killed, at whatever moment: within five seconds the lab is whole and nothing is left to undo."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import pty
import random
import shlex
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from stormproof.faults import catalogue
from stormproof.faults.ledger import Ledger
from stormproof.record.events import read_events
from stormproof.run.guard import LEASE_S
from support import inject_child
from support.command import environment as clean_environment
from support.command import stormproof, stormproof_here, wait_for
from support.kill import EXPERIMENTS, LONG_FAULT, KilledRun, kill_at, length_of_a_run, started_run, watch_aftermath
from support.lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.deadline, pytest.mark.timeout(120)]

WHOLE_WITHIN_S = 5.0
UNDO_BEGINS_WITHIN_S = 1.0
ENDED_WITHIN_S = 30.0  # a conductor that lives on drains its load and writes its reports
KILLS_EACH = 10
# Of the ten; each commit plays one of them. The rest are marked slow: `pytest -m slow tests/e2e/test_kill.py`.
IN_CI = (2, 5, 8)
IN_TURN = 1 / 3
SEED = int(os.environ.get("STORMPROOF_KILL_SEED", "20260722"))

# One kill in each tenth of a run, anywhere in it: over all of them uniform, and no tenth is left out.
RANDOM_KILLS = [
    pytest.param(
        name,
        (tenth + random.Random(f"{SEED} {name} {tenth}").random()) / KILLS_EACH,
        id=f"{name}-{tenth}",
        marks=pytest.mark.rota(IN_TURN, by="experiment") if tenth in IN_CI else pytest.mark.slow,
    )
    for name in EXPERIMENTS
    for tenth in range(KILLS_EACH)
]
EXAMPLES = {
    "az-loss": {"zone": "a"},
    "dependency-timeout": {"dependency": "recommendations", "delay": "3s"},
    "throttling": {"dependency": "cart", "rate": "5/s"},
}


@pytest.fixture(scope="module")
def length_s(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a run takes that nobody kills."""
    return length_of_a_run("dependency-timeout", lab, tmp_path_factory.mktemp("whole"))


def assert_nothing_left(run: KilledRun) -> None:
    """The two commands say so themselves."""
    status = stormproof_here("lab", "status", "--json", **run.environment)
    assert status.code == 0, status.out + status.err
    assert status.document["faults"] == []
    undo = stormproof_here("undo", "--list", "--out", run.out, **run.environment)
    assert undo.code == 0, undo.out + undo.err


@pytest.mark.parametrize(("experiment", "share"), RANDOM_KILLS)
def test_conductor_is_killed_at_any_moment(
    lab: RunningLab,
    tmp_path: Path,
    length_s: float,
    record_property: Any,
    experiment: str,
    share: float,
) -> None:
    """SIGKILL anywhere between its first and its last instant; what was broken begins to be undone within a second."""
    record_property("kill", f"seed {SEED}: {experiment} at {share:.3f} of {length_s:.1f} s")
    sys.stderr.write(f"seed {SEED}: {experiment} at {share:.3f} of {length_s:.1f} s\n")
    for attempt in range(3):  # a run that was faster than expected had nobody left to kill
        with started_run(experiment, lab, tmp_path / str(attempt)) as run:
            kill = kill_at(share, length_s, run)
            if kill is None:
                length_s = run.age_s  # the next one is expected to take as long as this one
                continue
            after = watch_aftermath(run, lab, kill, within_s=2 * WHOLE_WITHIN_S)
            record_property("whole_s", after.whole_s)

            assert after.whole_s <= WHOLE_WITHIN_S
            assert after.ended_s <= WHOLE_WITHIN_S
            if kill.outstanding:
                assert after.undo_began_s is not None
                assert after.undo_began_s <= UNDO_BEGINS_WITHIN_S
            assert_nothing_left(run)
            return
    pytest.fail("the run ended each time before it could be killed")


@pytest.mark.rota(IN_TURN, by="who")
@pytest.mark.parametrize(
    ("who", "experiment", "moment"),
    [
        ("player", "az-loss", "fault.injecting"),
        ("player", "dependency-timeout", "fault"),
        ("player", "az-loss", "fault.undoing"),
        ("load", "throttling", "steady"),
        ("load", "az-loss", "fault"),
        ("watchdog", "az-loss", "steady"),
        ("watchdog", "throttling", "fault"),
        ("conductor", "az-loss", "fault.injecting"),
        ("conductor", "az-loss", "fault.undoing"),
    ],
)
def test_each_process_is_killed_in_its_turn(
    lab: RunningLab, tmp_path: Path, who: str, experiment: str, moment: str
) -> None:
    """Player, load child, watchdog, and the conductor in the middle of an inject and of an undo."""
    with started_run(experiment, lab, tmp_path) as run:
        run.wait_until(moment)
        kill = run.kill(who)
        assert kill is not None, f"no {who} to kill at {moment}"
        after = watch_aftermath(run, lab, kill, within_s=ENDED_WITHIN_S)

        assert after.whole_s <= WHOLE_WITHIN_S
        assert_nothing_left(run)
        if who in ("load", "watchdog"):  # without load it would prove nothing, without a watchdog it would be unsafe
            assert next(row["by"] for row in run.events() if row["event"] == "abort") == "failure"
            assert run.process.wait(5) in (3, 4), run.tail()


@pytest.mark.rota(IN_TURN)
@pytest.mark.parametrize("experiment", ["az-loss", "dependency-timeout"])
def test_conductor_and_player_die_in_the_same_instant(lab: RunningLab, tmp_path: Path, experiment: str) -> None:
    """Then the watchdog alone is left, and is enough."""
    with started_run(experiment, lab, tmp_path, *LONG_FAULT) as run:
        run.wait_until("fault")
        player = run.find("player")
        assert player is not None
        kill = run.kill("conductor")
        player.kill()
        assert kill is not None
        after = watch_aftermath(run, lab, kill, within_s=2 * WHOLE_WITHIN_S)

        assert after.by == "watchdog"
        assert after.whole_s <= WHOLE_WITHIN_S
        assert_nothing_left(run)


def test_when_everybody_dies_the_ledger_is_left(lab: RunningLab, tmp_path: Path) -> None:
    """As after a power cut: `undo --list` says what is broken, the next run refuses, `undo` puts it right."""
    with started_run("dependency-timeout", lab, tmp_path, *LONG_FAULT) as run:
        run.wait_until("fault")
        for process in sorted(run.members(), key=lambda one: one.pid != (run.find("watchdog") or one).pid):
            process.kill()
        wait_for("everybody to be dead", lambda: not run.members(), within_s=5)
        assert not lab.status()["whole"]
        assert stormproof("undo", "--list", "--out", run.out, **run.environment).code == 69
        refused = stormproof("run", "experiments/throttling", "--out", tmp_path / "second", **run.environment)
        assert (refused.code, "stormproof undo" in refused.err) == (69, True), refused.err

        undone = stormproof("undo", "--out", run.out, **run.environment)
        assert undone.code == 0, undone.out + undone.err
        assert_nothing_left(run)


def test_a_conductor_that_hangs_loses_its_lease(lab: RunningLab, tmp_path: Path) -> None:
    """SIGSTOP: alive and silent. The watchdog waits for the lease, then undoes, and nobody injects again."""
    with started_run("dependency-timeout", lab, tmp_path, *LONG_FAULT) as run:
        run.wait_until("fault")
        stopped = run.kill("conductor", signal.SIGSTOP)
        assert stopped is not None
        after = watch_aftermath(run, lab, stopped, within_s=LEASE_S + 2 * WHOLE_WITHIN_S)

        assert after.by == "watchdog"
        assert after.undo_began_s is not None
        assert LEASE_S - 1 <= after.undo_began_s <= LEASE_S + UNDO_BEGINS_WITHIN_S
        assert after.whole_s <= LEASE_S + WHOLE_WITHIN_S
        assert_nothing_left(run)


def _own_terminal(descriptor: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


def test_the_terminal_goes_away(lab: RunningLab, tmp_path: Path) -> None:
    """The window is closed under a run that reads from it and writes to it."""
    master, terminal = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    preexec = functools.partial(_own_terminal, terminal)
    with started_run("az-loss", lab, tmp_path, *LONG_FAULT, preexec_fn=preexec, **streams) as run:
        os.close(terminal)
        os.set_blocking(master, False)
        run.wait_until("fault")
        assert b"inject" in os.read(master, 1 << 20)  # it did write to this terminal
        kill = run.kill("conductor", 0)  # nobody is signalled: closing the terminal is all
        os.close(master)
        assert kill is not None
        after = watch_aftermath(run, lab, kill, within_s=ENDED_WITHIN_S)

        assert after.whole_s <= WHOLE_WITHIN_S
        assert_nothing_left(run)


def test_the_process_group_is_killed(lab: RunningLab, tmp_path: Path) -> None:
    """`kill -9` of the conductor's whole process group, as a job control or a supervisor does it."""
    with started_run("throttling", lab, tmp_path, *LONG_FAULT) as run:
        run.wait_until("fault")
        kill = run.kill("conductor", 0)
        os.killpg(run.process.pid, signal.SIGKILL)
        assert kill is not None
        after = watch_aftermath(run, lab, kill, within_s=2 * WHOLE_WITHIN_S)

        assert after.whole_s <= WHOLE_WITHIN_S
        assert after.undo_began_s is not None
        assert after.undo_began_s <= UNDO_BEGINS_WITHIN_S
        assert_nothing_left(run)


def test_the_parent_shell_is_killed(lab: RunningLab, tmp_path: Path) -> None:
    """The shell dies first and the conductor goes on; then it dies too, with nobody above it."""

    def in_a_shell(arguments: list[str]) -> list[str]:
        return ["sh", "-c", f"{shlex.join(arguments)}; true"]

    with started_run("dependency-timeout", lab, tmp_path, *LONG_FAULT, command=in_a_shell) as run:
        run.wait_until("fault")
        conductor = run.find("conductor")
        assert conductor is not None
        assert conductor.ppid() == run.process.pid
        run.process.kill()
        run.process.wait(5)
        assert conductor.is_running()
        kill = run.kill("conductor")
        assert kill is not None
        after = watch_aftermath(run, lab, kill, within_s=2 * WHOLE_WITHIN_S)

        assert after.whole_s <= WHOLE_WITHIN_S
        assert_nothing_left(run)


@pytest.mark.rota(IN_TURN, by="disk")
@pytest.mark.parametrize("kind", EXPERIMENTS)
@pytest.mark.parametrize("disk", ["full", "fills up in the middle of the line"])
def test_no_room_for_the_ledger_no_fault(lab: RunningLab, tmp_path: Path, kind: str, disk: str) -> None:
    """The kernel refuses the ledger's line, wholly (ENOSPC) or from byte 200 on: nothing is broken, and it says so."""
    resolved = catalogue.resolve(kind, EXAMPLES[kind], lab.environment, fault_id=f"1-{kind}")
    ledger = Path("/dev/full") if disk == "full" else tmp_path / "ledger.jsonl"
    configuration = {
        **resolved.configuration,
        "ledger_path": str(ledger),
        "events_path": str(tmp_path / "events.jsonl"),
    }
    arguments = {"fault_id": f"1-{kind}", "noop": False, "target": dict(resolved.target)}
    lab.wait_until_whole()
    done = subprocess.run(
        [sys.executable, inject_child.__file__, kind, json.dumps({**arguments, "configuration": configuration}),
         *([] if disk == "full" else ["200"])],
        capture_output=True, text=True, timeout=60, check=False, env=clean_environment({}),
    )  # fmt: skip

    assert done.returncode == 1, done.stderr
    assert "nothing was broken" in json.loads(done.stdout)["error"]
    told = read_events(tmp_path / "events.jsonl")  # not even tried
    assert {(one["event"], one["reason"][:18]) for one in told} <= {("fault.failed", "nothing was broken")}
    assert len(told) == (disk == "full"), "the kernel's limit is on every file of the process"
    assert lab.status()["whole"]
    if disk != "full":
        assert ledger.stat().st_size == 200  # it was cut, not merely refused
        assert Ledger(ledger).outstanding() == ()


# The watchdog as it is, in a process whose wall clock leaps a day forth and back twice a second.
CLOCK_THAT_LEAPS = """
import sys, time
real = time.time
time.time = lambda: real() + (86400 if int(time.monotonic() * 2) % 2 else -86400)
from stormproof.run import watchdog
sys.argv = ["watchdog", sys.argv[1]]
raise SystemExit(watchdog.main())
"""


def test_the_lease_does_not_follow_the_wall_clock(tmp_path: Path) -> None:
    """While beats come no leap raises an alarm; when they stop, the alarm comes when the lease is over."""
    victim = subprocess.Popen(["sleep", "60"])
    config = tmp_path / "watchdog.json"
    config.write_text(
        json.dumps(
            {
                "ledger": str(tmp_path / "ledger.jsonl"),
                "events": str(tmp_path / "events.jsonl"),
                "conductor": [victim.pid, psutil.Process(victim.pid).create_time()],
                "deadline_s": 60,
                "first_beat_within_s": 30,
            }
        )
    )
    watchdog = subprocess.Popen(
        [sys.executable, "-c", CLOCK_THAT_LEAPS, str(config)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment({}),
    )  # fmt: skip
    assert watchdog.stdin is not None
    assert watchdog.stdout is not None
    try:
        assert watchdog.stdout.readline() == b"alive\n"
        for _ in range(25):
            watchdog.stdin.write(b"beat 1.5\n")
            watchdog.stdin.flush()
            time.sleep(0.1)
        assert watchdog.poll() is None
        assert victim.poll() is None
        silent_from = time.monotonic()
        assert watchdog.wait(20) == 0
        assert 1.0 <= time.monotonic() - silent_from <= 4.0
        assert victim.wait(5) == -signal.SIGKILL
        assert "lease" in (tmp_path / "events.jsonl").read_text()
    finally:
        for process in (watchdog, victim):
            process.kill()
            process.wait(10)
        watchdog.stdin.close()
        watchdog.stdout.close()
