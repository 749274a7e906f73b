"""A rehearsal: each fault is injected, cut off at every step, undone by another process, and compared.

The claim is that whoever dies when, the ledger is enough: the environment after is the environment before.
"""

from __future__ import annotations

import enum
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stormproof.faults import call_log
from stormproof.faults.ledger import Ledger
from stormproof.model.plan import ResolvedFault
from stormproof.record import events
from stormproof.record.atomic import read_lines
from stormproof.record.difference import differences
from stormproof.record.layout import RunDirectory
from stormproof.run import rehearsal_player as player
from stormproof.run.follow import Follower
from stormproof.run.rehearsal_troupe import Player, Troupe

REACHED_WITHIN_S = 40.0  # a process starts, injects, and sees it felt
UNDONE_WITHIN_S = 60.0
EQUAL_WITHIN_S = 30.0  # after the undo: health checks, restarts
_LOOK_EVERY_S = 0.2
_TICK_S = 0.001


class Step(enum.StrEnum):
    """Where the playing process is killed, in the order of a run."""

    INTENT = "after intent"  # the undo is on disk, nothing is broken yet
    ACTED = "after act"  # it is broken, and nobody has written that down
    FELT = "after felt"
    UNDOING = "in undo"  # the undo has begun
    UNDONE = "after undo"  # it has been put right, and nobody has written that down


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What became of one fault, cut off at one step."""

    fault_id: str
    kind: str
    step: Step
    killed: bool  # the step was reached, and the process killed there
    undone: bool  # by another process, from the ledger; and once more, without harm
    equal: bool
    differences: Sequence[str] = ()
    whole_after_s: float | None = None  # from the start of the undoing process to equality
    reason: str = ""
    changed: Sequence[str] = ()  # what was not as before when it was cut off; where calls are written down
    broken_by: Sequence[str] = ()  # the calls that change something, until then
    undone_by: Sequence[str] = ()  # and after

    @property
    def passed(self) -> bool:
        """Whether the claim held here."""
        return self.killed and self.undone and self.equal


@dataclass(slots=True, kw_only=True)
class Rehearsal:
    """Plays *faults* in an environment; the ledger and the events of all steps are in *run*."""

    snapshot: Callable[[], dict[str, Any]]  # the environment, as data that is equal when nothing was left behind
    faults: Sequence[ResolvedFault]
    run: RunDirectory
    process_environment: Mapping[str, str]
    before_each: Callable[[], None]  # raises when nothing more may be broken: the kill switch
    patience_s: float = 0.0  # beyond the usual, for each step: machines that start
    _before: dict[str, Any] = field(init=False)
    _troupe: Troupe = field(init=False)

    def __post_init__(self) -> None:
        self._before = self.snapshot()
        self._troupe = Troupe(log=self.run.logs / "troupe.log", environment=self.process_environment)

    def play(self) -> Iterator[Rehearsed]:
        """One row a fault and step; ends after the first that did not pass, for the lab is not whole then."""
        try:
            for fault in self.faults:
                for number, atom in enumerate(fault.atoms):
                    for step in Step:
                        self.before_each()
                        row = self._play(atom, step, before=fault.atoms[:number])
                        yield row
                        if not row.passed:
                            return
        finally:
            self._troupe.dismiss()

    def _play(self, fault: ResolvedFault, step: Step, *, before: Sequence[ResolvedFault]) -> Rehearsed:
        """Cut *fault* off at *step*; of a fault that is made of others, with the parts *before* it in force."""
        already = len(self._calls())
        order = {**self._order(fault, step), "before": [self._order(part, step) for part in before]}
        trouble = self._cut_off(order, step)
        broken_by = self._calls()
        changed = differences(self._before, self.snapshot()) if broken_by else []
        begun = time.monotonic()
        undo_trouble = self._undo(order)
        undone_by = self._calls()[len(broken_by) :]
        left = self._differences()
        took_s = time.monotonic() - begun
        again = self._undo(order)
        if not left and not again:
            left = differences(self._before, self.snapshot())
        return Rehearsed(
            fault_id=fault.fault_id,
            kind=fault.kind,
            step=step,
            killed=not trouble,
            undone=not (undo_trouble or again),
            equal=not left,
            differences=left,
            whole_after_s=None if left else took_s,
            reason="; ".join(part for part in (trouble, undo_trouble, again) if part),
            changed=changed,
            broken_by=broken_by[already:],
            undone_by=undone_by,
        )

    def _calls(self) -> list[str]:
        """The calls that change something, in order; none where nobody writes them down."""
        rows = read_lines(self.run.ledger.with_name(call_log.FILE_NAME))
        # What goes to S3 is the ledger's own mirror.
        names = (str(row["operation"]) for row in rows if row.get("error") is None and row["service"] != "s3")
        return [name for name in names if call_log.changes(name)]

    def _order(self, fault: ResolvedFault, step: Step) -> dict[str, Any]:
        return {
            "kind": fault.kind,
            "fault_id": f"{fault.fault_id}.{step.name.lower()}",
            "target": dict(fault.target),
            "configuration": {
                **fault.configuration,
                "ledger_path": str(self.run.ledger),
                "events_path": str(self.run.events),
            },
        }

    def _cut_off(self, order: Mapping[str, Any], step: Step) -> str:
        """Kill a playing process at *step*; why that was not to be, else nothing."""
        by_itself = {Step.INTENT: player.INTENT, Step.ACTED: player.ACTED}.get(step, player.FELT)
        child = self._spawn(by_itself, order)
        code = child.collect(within_s=REACHED_WITHIN_S + self.patience_s)
        if code != -signal.SIGKILL or child.tail(1) != f"{player.REACHED} {by_itself}":
            return f"the step was not reached: {child.tail(1) or f'exit code {code}'}"
        if step not in (Step.UNDOING, Step.UNDONE):
            return ""
        # The undo runs through `catalogue.bind` like every other: killed from outside, at the line that it writes.
        path, name = (self.run.ledger, "undoing") if step is Step.UNDOING else (self.run.events, events.FAULT_UNDONE)
        written = Follower(path)
        written.new_rows()
        undoer = self._spawn(player.UNDO, order)
        give_up_at = time.monotonic() + REACHED_WITHIN_S + self.patience_s
        while undoer.running and time.monotonic() < give_up_at:
            if any(name in (row.get("step"), row.get("event")) for row in written.new_rows()):
                break
            time.sleep(_TICK_S)
        code = undoer.end(signal.SIGKILL, within_s=5)
        return "" if code == -signal.SIGKILL else f"the undo had ended before it could be killed (exit code {code})"

    def _undo(self, order: Mapping[str, Any]) -> str:
        """Undo in a process of its own; what it could not do, else nothing."""
        child = self._spawn(player.UNDO, order)
        code = child.collect(within_s=UNDONE_WITHIN_S + self.patience_s)
        left = [entry.fault_id for entry in Ledger(self.run.ledger).outstanding()]
        if code == 0 and not left:
            return ""
        return f"not undone: {', '.join(left) or 'nothing left'} (exit code {code}; {child.tail(1)})"

    def _differences(self) -> list[str]:
        """What is still not as it was, once it is nothing or the time is up."""
        give_up_at = time.monotonic() + EQUAL_WITHIN_S + self.patience_s
        while True:
            left = differences(self._before, self.snapshot())
            if not left or time.monotonic() > give_up_at:
                return left
            time.sleep(_LOOK_EVERY_S)

    def _spawn(self, step: str, order: Mapping[str, Any]) -> Player:
        return self._troupe.player(step, order, log=self.run.logs / f"{order['fault_id']}.log")
