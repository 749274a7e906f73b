"""Plays a suite: starts what may be started, waits, writes down what it came to, and never leaves a run behind.

Each experiment is a `stormproof run` of its own, with its own ledger and watchdog; nothing here touches a workload.
"""

from __future__ import annotations

import datetime as dt
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stormproof.errors import UnavailableError
from stormproof.model.verdict import Outcome
from stormproof.record.layout import RunDirectory, new_run_id
from stormproof.run.interrupt import Interrupts
from stormproof.suite.after import Recorder, record_all
from stormproof.suite.attempt import CHILD, UNDO_WITHIN_S, Going, await_undo, settle, start
from stormproof.suite.budget import Budget, Spent, refusal
from stormproof.suite.conflict import next_to_start
from stormproof.suite.state import ERROR, INTERRUPTED, Attempt, Item, SuiteDirectory, SuiteState, write_state

TICK_S = 0.05
REPEATED = (Outcome.INVALID, Outcome.INCONCLUSIVE)
NOT_UNDONE = "NOT UNDONE"


@dataclass(slots=True, kw_only=True)
class Night:
    """One session of the suite in *state*, written to *folder*; its runs go to *reports*, and inherit *lease*."""

    state: SuiteState
    folder: SuiteDirectory
    reports: Path
    lease: int
    recorders: Sequence[Recorder]
    say: Callable[[str], None]
    program: Sequence[str] = CHILD  # what is `stormproof`, for our interpreter
    lease_lost: Callable[[], str | None] = lambda: None  # why the environment may be somebody else's by now
    _going: list[Going] = field(default_factory=list)
    _begun_s: float = field(default_factory=time.monotonic)
    _spent_before_s: float = 0.0
    _ending: str = ""

    def play(self) -> SuiteState:
        """Go on until nothing is left to do, or something ends it; then nothing of ours is running any more."""
        self._spent_before_s = self.state.spent_s
        with Interrupts() as interrupts:
            self._pick_up()
            while True:
                self._collect()
                if reason := self._ended(interrupts):
                    self._end(reason)
                elif not self._ending:
                    self._start()
                if not self._going and (self._ending or not self._waiting()):
                    break
                time.sleep(TICK_S)
            self._close()
        return self.state

    def _pick_up(self) -> None:
        """Of runs that a killed session had begun: what they came to, and what is still to be recorded of them."""
        self.state.stopped = ""
        for item in self.state.items:
            item.left = item.not_repeated = ""
            for attempt in item.attempts:
                if attempt.outcome is None:
                    await_undo(attempt)
                    settle(attempt, code=None, log=self._log(attempt))
                    attempt.ended_at = _now()
                    self.say(f"found    {attempt.run_id}: {attempt.outcome}, {'; '.join(attempt.reasons)}")
                    self._refuse_outstanding(attempt)
                self._record(attempt)
        self._write()

    def _refuse_outstanding(self, attempt: Attempt) -> None:
        if attempt.outcome == ERROR and attempt.reasons and attempt.reasons[0].startswith(NOT_UNDONE):
            attempt.outcome = None  # asked again when it is resumed
            raise UnavailableError(
                f"{attempt.run_dir}: a fault of the run that was going on is not undone yet",
                hint=f"stormproof undo {attempt.run_dir}, then resume",
            )

    def _collect(self) -> None:
        for going in [one for one in self._going if not one.child.running]:
            self._going.remove(going)
            code = going.child.collect(within_s=1)
            attempt = going.attempt
            attempt.duration_s = round(time.monotonic() - going.begun_mono_s, 3)
            attempt.ended_at = _now()
            await_undo(attempt)
            settle(attempt, code=code, log=going.child.log, was_told_to_end=bool(going.ended_politely))
            if going.ended_politely and attempt.outcome in (Outcome.ABORTED, INTERRUPTED):
                attempt.outcome = INTERRUPTED  # no word about the workload: done again when the suite is resumed
                attempt.reasons.insert(0, f"ended by the suite: {going.ended_politely}")
            self._write()
            self._record(attempt)
            self._write()
            self.say(f"{attempt.outcome or '':<13}{going.entry.slug}  {attempt.duration_s:.0f} s{_because(attempt)}")
            if attempt.outcome == ERROR and (code == UnavailableError.exit_code or _is_undone_missing(attempt)):
                self._end(f"the environment is sick: {going.entry.slug}: {attempt.reasons[0]}")

    def _ended(self, interrupts: Interrupts) -> str:
        if self._ending:
            return ""
        if interrupts.reason:
            return interrupts.reason
        if self.state.deadline_s is not None and time.time() >= self.state.deadline_s and self._going:
            return "the deadline has come"
        return (self.lease_lost() if self._going or self._waiting() else None) or ""

    def _end(self, reason: str) -> None:
        """Start nothing more, ask what is going on to end, and wait for its undo."""
        if self._ending:
            return
        self._ending = self.state.stopped = reason
        self.say(f"ending   {reason}")
        for going in self._going:
            going.end(reason)
        deadline = time.monotonic() + UNDO_WITHIN_S
        while any(one.child.running for one in self._going) and time.monotonic() < deadline:
            time.sleep(TICK_S)
        for going in self._going:  # its watchdog outlives it, and undoes
            if going.child.running:
                going.child.end(signal.SIGKILL, within_s=5)

    def _waiting(self) -> list[Item]:
        return [item for item in self.state.items if not item.left and self._wants_a_run(item)]

    def _wants_a_run(self, item: Item) -> bool:
        if any(one.entry.slug == item.entry.slug for one in self._going) or item.not_repeated:
            return False
        counted = item.counted
        if not counted:
            return True
        return self.state.repeat and len(counted) == 1 and counted[0].outcome in REPEATED

    def _start(self) -> None:
        while True:
            waiting = {item.entry.slug: item for item in self._waiting()}
            entry = next_to_start(
                [item.entry for item in waiting.values()], [one.entry for one in self._going], jobs=self.state.jobs
            )
            if entry is None:
                return
            item = waiting[entry.slug]
            why_not = refusal(self._budget(), self._spent(), entry, now_s=time.time())
            if not why_not:
                self._begin(item)
            elif item.counted:
                item.not_repeated = why_not
                self.say(f"not again    {entry.slug}: {why_not}")
            else:
                item.left = why_not
                self.say(f"not run      {entry.slug}: {why_not}")
            if why_not:
                self._write()

    def _begin(self, item: Item) -> None:
        """Write down the run, then start it: a run that nobody wrote down cannot be."""
        entry, run_id = item.entry, new_run_id(item.entry.slug)
        again = f"it was {item.counted[-1].outcome} at first" if item.counted else ""
        if not again and any(one.outcome == INTERRUPTED for one in item.attempts):
            again = "it was cut off"
        run_dir = (self.reports / entry.slug / run_id).resolve()
        attempt = Attempt(run_id=run_id, run_dir=str(run_dir), started_at=_now(), because=again)
        item.attempts.append(attempt)
        self._write()
        done = sum(1 for one in self.state.items if one.last or one.left)
        self.say(
            f"run {done + 1:>3}/{len(self.state.items):<3}  {entry.slug}{f', again: {again}' if again else ''}"
            f"  (about {entry.expected_s:.0f} s)"
        )
        self._going.append(
            start(
                entry,
                attempt,
                environment=self.state.env,
                reports=self.reports,
                logs=self.folder.logs,
                lease=self.lease,
                program=self.program,
            )
        )

    def _close(self) -> None:
        for item in self.state.items:
            if not item.counted and not item.left:
                began = any(one.outcome == INTERRUPTED for one in item.attempts)
                item.left = f"the suite ended {'under it' if began else 'before its turn'}: {self._ending}"
        self._write()

    def _record(self, attempt: Attempt) -> None:
        """Hand a sealed run to every recorder that has not had it."""
        run = RunDirectory(Path(attempt.run_dir))
        missing = [one for one in self.recorders if attempt.recorded.get(one.name) != ""]
        if attempt.outcome is not None and run.sums.exists() and missing:
            attempt.recorded |= record_all(run, missing)
            for who, problem in attempt.recorded.items():
                if problem:
                    self.say(f"NOT RECORDED by {who}: {problem}")

    def _budget(self) -> Budget:
        one = self.state
        return Budget(wall_time_s=one.wall_time_s, target_seconds=one.target_seconds, deadline_s=one.deadline_s)

    def _spent(self) -> Spent:
        ended = sum(attempt.target_seconds for item in self.state.items for attempt in item.attempts)
        return Spent(
            wall_time_s=self._spent_before_s + time.monotonic() - self._begun_s,
            target_seconds=ended + sum(one.entry.target_seconds for one in self._going),
        )

    def _write(self) -> None:
        self.state.spent_s = round(self._spent().wall_time_s, 3)
        write_state(self.folder, self.state)

    def _log(self, attempt: Attempt) -> Path:
        return self.folder.logs / f"{attempt.run_id}.log"


def is_finished(state: SuiteState) -> bool:
    """Whether nothing of *state* is left to be done."""
    return state.ended_at is not None and not state.stopped


def _is_undone_missing(attempt: Attempt) -> bool:
    return any(one.startswith(NOT_UNDONE) for one in attempt.reasons)


def _because(attempt: Attempt) -> str:
    return f"  {attempt.reasons[0]}" if attempt.reasons and attempt.outcome != Outcome.HELD else ""


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
