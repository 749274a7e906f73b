"""Killing a run and watching what becomes of it: its processes, its ledger, and the lab, from outside."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from stormproof.faults.ledger import Ledger
from support.command import ROOT, STORMPROOF, environment, variables, wait_for
from support.lab import RunningLab

# Every process of a run inherits this variable from the conductor: so they are found, ours and nobody else's,
# whatever session, group or parent they have by then.
MARKER = "KILLED_RUN"

EXPERIMENTS = ("az-loss", "dependency-timeout", "throttling")
WHO = {
    "player": "stormproof.run.player",
    "watchdog": "stormproof.run.watchdog",
    "load": "stormproof.load.worker",
}

# A whole run in some eight seconds, half of them under the fault or on the way into and out of it.
SHORT = (
    "timeline.steady=500ms",
    "timeline.fault=1500ms",
    "timeline.recovery=500ms",
    "load.warmup=500ms",
    "load.arrivals=40/s",
    "load.timeout=1s",
)
LONG_FAULT = ("timeline.fault=60s",)  # for what must happen under the fault, not at its end


@dataclass(slots=True, kw_only=True)
class KilledRun:
    """A run that is going on, and who belongs to it."""

    process: subprocess.Popen[bytes]  # the conductor, or what was started to start it
    out: Path
    environment: Mapping[str, str]
    mark: str
    begun_mono_s: float
    log: Path
    _ledger: Path | None = None
    _strangers: set[psutil.Process] = field(default_factory=set)  # compared by pid and creation time

    @property
    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.begun_mono_s

    def members(self) -> list[psutil.Process]:
        """Every process of this run that still lives."""
        self.process.poll()  # a zombie of ours is nobody's process
        return [process for process in psutil.process_iter() if self._is_member(process)]

    def _is_member(self, process: psutil.Process) -> bool:
        if process in self._strangers:
            return False
        try:
            if process.environ().get(MARKER) == self.mark:
                return bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:  # gone in between, or not ours to look at
            return False
        self._strangers.add(process)  # a process of ours has the mark from its first instant on
        return False

    def find(self, who: str) -> psutil.Process | None:
        """The conductor, player, watchdog or load child, while it lives."""
        found = []
        for process in self.members():
            with contextlib.suppress(psutil.Error):
                line = process.cmdline()
                if (WHO[who] in line) if who in WHO else (str(STORMPROOF) in line):
                    found.append((process.create_time(), process))
        # between fork and exec a child has its parent's command line: the parent is the elder
        return min(found, key=lambda one: one[0])[1] if found else None

    def kill(self, who: str, number: int = signal.SIGKILL) -> Kill | None:
        """Send *number* to *who*; None when there is no such process (any more)."""
        victim = self.find(who)
        if victim is None:
            return None
        kill = Kill(outstanding=self.outstanding())
        try:
            victim.send_signal(number)
        except psutil.NoSuchProcess:
            return None
        return kill

    def events(self) -> list[dict[str, Any]]:
        """What happened so far."""
        return [
            json.loads(line)
            for path in self._written("events.jsonl")
            for line in path.read_text().splitlines()
            if line.endswith("}")
        ]

    def _written(self, name: str) -> list[Path]:
        """The run's file of that *name*, if there is one: `out` is made for a trial and taken away before it stays."""
        try:
            return list(self.out.glob(f"*/2*/{name}"))
        except FileNotFoundError:
            return []

    def reached(self, moment: str) -> bool:
        """Whether it has come to *moment*: a phase, or an event."""
        return any(moment in (row["event"], row.get("phase")) for row in self.events())

    def wait_until(self, moment: str, *, within_s: float = 30) -> None:
        """Wait for *moment*; fails when the run ends before it."""

        def there() -> bool:
            assert self.process.poll() is None or self.reached(moment), f"ended before {moment}: {self.tail()}"
            return self.reached(moment)

        wait_for(f"the run to reach {moment}", there, within_s=within_s, every_s=0.003)

    def ledger(self) -> Ledger | None:
        """Its ledger, once there is one."""
        if self._ledger is None:
            self._ledger = next(iter(self._written("ledger.jsonl")), None)
        return Ledger(self._ledger) if self._ledger else None

    def outstanding(self) -> tuple[str, ...]:
        """The faults that its ledger still holds."""
        ledger = self.ledger()
        return tuple(entry.fault_id for entry in ledger.outstanding()) if ledger else ()

    def tail(self) -> str:
        """The end of what the conductor printed."""
        return self.log.read_text(errors="replace")[-1500:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One kill: when, and what was in the ledger then."""

    outstanding: tuple[str, ...]
    wall_s: float = field(default_factory=time.time)
    mono_s: float = field(default_factory=time.monotonic)

    @property
    def age_s(self) -> float:
        """Seconds since."""
        return time.monotonic() - self.mono_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What became of a killed run; seconds from the kill."""

    whole_s: float  # from here on the lab was whole and the ledger empty
    ended_s: float  # the last process of the run was gone
    undo_began_s: float | None  # the first undo; 0 where one was going on already, None where nothing was undone
    by: str | None  # who began it


@contextlib.contextmanager
def started_run(
    experiment: str,
    lab: RunningLab,
    folder: Path,
    *settings: str,
    short: Sequence[str] = SHORT,
    command: Callable[[list[str]], list[str]] = list,
    **popen: Any,
) -> Iterator[KilledRun]:
    """A run of *experiment* in *lab*, in a session of its own; whoever is left of it at the end is killed.

    *command* may wrap the command line (in a shell, say); *popen* goes to `subprocess.Popen`.
    """
    mark, out = uuid.uuid4().hex, folder / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    extra = {**variables(lab.directory, folder), MARKER: mark}
    arguments = [str(STORMPROOF), "run", str(ROOT / "experiments" / experiment), "--json", "--out", str(out)]
    chosen = dict(one.split("=", 1) for one in (*short, *settings))  # the later one wins
    arguments += [argument for name, value in chosen.items() for argument in ("--set", f"{name}={value}")]
    log = folder / "conductor.log"
    with log.open("ab") as file:
        settled: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": file,
            "stderr": subprocess.STDOUT,
            "cwd": ROOT,
            "start_new_session": True,
        }
        process = subprocess.Popen(command(arguments), env=environment(extra), **{**settled, **popen})
    run = KilledRun(process=process, out=out, environment=extra, mark=mark, begun_mono_s=time.monotonic(), log=log)
    try:
        yield run
    finally:
        for left in run.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        process.wait(30)


def watch_aftermath(run: KilledRun, lab: RunningLab, kill: Kill, *, within_s: float) -> Aftermath:
    """Look until nobody of the run is left and the lab is whole with nothing to undo; fails after *within_s*.

    The time of being whole counts from the start of the last unbroken streak: a fault that a survivor injects after
    the kill makes the lab broken again, and the clock runs on.
    """
    whole_s: float | None = None
    ended_s: float | None = None
    while True:
        looked_s = kill.age_s
        members = run.members()
        if not members and ended_s is None:
            ended_s = looked_s
        left, status = run.outstanding(), None
        if not left:
            status = lab.status()
        is_whole = status is not None and bool(status["whole"])
        whole_s = (looked_s if whole_s is None else whole_s) if is_whole else None
        if ended_s is not None and whole_s is not None:
            undo_began_s, by = _first_undo(run, kill)
            return Aftermath(whole_s=whole_s, ended_s=ended_s, undo_began_s=undo_began_s, by=by)
        assert kill.age_s < within_s, (
            f"{within_s:g} s after the kill: to be undone {left or 'nothing'}; "
            f"the lab {status['reason'] if status else 'was not asked'}; "
            f"processes left {[process.cmdline()[1:4] for process in members]}; conductor said: {run.tail()}"
        )
        time.sleep(0.02 if whole_s is None else 0.1)  # once whole only the end is waited for


def _first_undo(run: KilledRun, kill: Kill) -> tuple[float | None, str | None]:
    """Seconds from the kill to the first undo after it, and whose; 0 where one was going on, None where none was."""
    undoing = sorted((float(row["wall_s"]), str(row["who"])) for row in run.events() if row["event"] == "fault.undoing")
    after = [(at - kill.wall_s, who) for at, who in undoing if at >= kill.wall_s]
    before = [(0.0, who) for at, who in undoing if at < kill.wall_s] if kill.outstanding else []
    return next(iter([*before, *after]), (None, None))


def length_of_a_run(experiment: str, lab: RunningLab, folder: Path) -> float:
    """Seconds from the start of the process to its end, left alone."""
    with started_run(experiment, lab, folder) as run:
        code = run.process.wait(90)
        assert code in range(5), run.tail()
        return run.age_s


def kill_at(share: float, length_s: float, run: KilledRun, who: str = "conductor") -> Kill | None:
    """Kill *who* when *share* of a run's length has gone; None when the run, or *who*, was over before."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.process.wait(max(0.0, share * length_s - run.age_s))
        return None
    return run.kill(who)
