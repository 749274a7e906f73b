"""One run as a child process, and what a run directory says it came to."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from stormproof.errors import InputError, StormproofError
from stormproof.faults.ledger import Ledger
from stormproof.model.verdict import EXIT_CODE, Outcome, Verdict
from stormproof.record import events
from stormproof.record.layout import RunDirectory
from stormproof.record.redact import redact
from stormproof.run.children import Child
from stormproof.suite.entry import Entry
from stormproof.suite.state import ERROR, INTERRUPTED, Attempt
from stormproof.verdict.document import read_verdict

# The run's id, chosen beforehand. A variable and no option: the run records its command so that it can be repeated.
RUN_ID = "STORMPROOF_RUN_ID"
CHILD = ("-c", "from stormproof.cli.entry import main; main()")
UNDO_WITHIN_S = 180.0  # from a polite end to the verdict: what the watchdog would need, and the analysis
WATCHDOG_WITHIN_S = 90.0  # from the death of a run to its undo
REASON_MAX = 600


@dataclass(slots=True, kw_only=True)
class Going:
    """A run that is going on."""

    entry: Entry
    attempt: Attempt
    child: Child
    begun_mono_s: float = field(default_factory=time.monotonic)
    ended_politely: str = ""  # why it was asked to end

    def end(self, why: str) -> None:
        """Ask it to end, once: it undoes, judges and records before it goes."""
        if not self.ended_politely and self.child.running:
            self.ended_politely = why
            self.child.process.send_signal(signal.SIGTERM)


def start(
    entry: Entry, attempt: Attempt, *, environment: str, reports: Path, logs: Path, lease: int, program: Sequence[str]
) -> Going:
    """Start `stormproof run` for *entry*; it is asked to end (SIGTERM) should this process die."""
    logs.mkdir(exist_ok=True)
    arguments = ["run", entry.spec, "--env", environment, "--out", str(reports), "--json", "--quiet"]
    for one in entry.settings:
        arguments += ["--set", one]
    child = Child.spawn(
        attempt.run_id,
        [*program, *arguments],
        log=logs / f"{attempt.run_id}.log",
        output=logs / f"{attempt.run_id}.json",
        environment={**os.environ, RUN_ID: attempt.run_id},
        orphan_signal=signal.SIGTERM,
        inherit=(lease,),
    )
    return Going(entry=entry, attempt=attempt, child=child)


def settle(attempt: Attempt, *, code: int | None, log: Path, was_told_to_end: bool = False) -> None:
    """Put into *attempt* what it came to: by its directory, and by its exit *code* where that is known."""
    run = RunDirectory(Path(attempt.run_dir))
    attempt.exit_code = code
    verdict = _verdict(run)
    if left := _left(run):
        attempt.outcome, attempt.reasons = ERROR, [f"NOT UNDONE: {left}"]
        attempt.exit_code = StormproofError.exit_code
    elif code is not None and code not in EXIT_CODE.values():
        told = _told(log) or f"it ended with code {code}"
        before_anything = was_told_to_end and verdict is None
        attempt.outcome, attempt.reasons = (INTERRUPTED if before_anything else ERROR), [told]
    elif verdict is None:  # without a code the suite was dead by then
        attempt.outcome = INTERRUPTED if code is None else ERROR
        attempt.reasons = ["it was cut off before its verdict"]
    elif code is None and verdict.outcome is Outcome.ABORTED and _by_signal(run):
        attempt.outcome, attempt.reasons = INTERRUPTED, ["the suite was killed, which ended the run"]
    else:
        attempt.outcome, attempt.reasons = str(verdict.outcome), [_short(one) for one in verdict.reasons[:5]]
    if verdict is not None:
        attempt.target_seconds = round(measured_damage(verdict, _plan(run)), 3)


def await_undo(attempt: Attempt, *, within_s: float = WATCHDOG_WITHIN_S) -> None:
    """Wait until nothing of *attempt* is to be undone any more: its run may be dead, and its watchdog at work."""
    run = RunDirectory(Path(attempt.run_dir))
    deadline = time.monotonic() + within_s
    while _left(run) and time.monotonic() < deadline:
        time.sleep(0.2)


def measured_damage(verdict: Verdict, plan: Mapping[str, Any]) -> float:
    """Target-seconds that a run did: each fault's targets, from the instant before the act until it was seen gone."""
    targets = {str(one.get("fault_id")): len(one.get("targets") or ()) for one in _atoms(plan)}
    whole = max((end for _, end in verdict.windows.values()), default=0.0)
    total = 0.0
    for one in verdict.confirmations:
        if one.injected_at is not None:
            until = next((at for at in (one.gone_at, one.undone_at, whole) if at is not None), one.injected_at)
            total += targets.get(one.fault_id, 1) * max(0.0, until - one.injected_at)
    return total


def _atoms(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    ours: list[Mapping[str, Any]] = [one for one in plan.get("extensions") or () if one.get("name") == "stormproof"]
    faults = [fault for one in ours for fault in one.get("faults") or ()]
    return [atom for fault in faults for atom in (fault.get("parts") or [fault])]


def _verdict(run: RunDirectory) -> Verdict | None:
    """The verdict of a run that was sealed: before that, its reports may be missing."""
    if not run.sums.exists():
        return None
    try:
        return read_verdict(run.verdict)
    except InputError:
        return None


def _by_signal(run: RunDirectory) -> bool:
    """Whether somebody ended it; a stop condition or a limit that did is an outcome."""
    aborts = [row for row in events.read_events(run.events) if row.get("event") == events.ABORT]
    return bool(aborts) and aborts[0].get("by") == "person"


def _left(run: RunDirectory) -> str:
    if not run.ledger.exists():
        return ""
    return ", ".join(entry.fault_id for entry in Ledger(run.ledger).outstanding())


def _plan(run: RunDirectory) -> Mapping[str, Any]:
    try:
        found = orjson.loads(run.plan.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _told(log: Path) -> str:
    """The error that the run printed; else its last line."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return _short((errors or [line for line in lines if line.strip()][-1:] or [""])[0])


def _short(text: str) -> str:
    line = re.sub(r"\s+", " ", str(redact(text))).strip()
    return line if len(line) <= REASON_MAX else f"{line[: REASON_MAX - 1]}…"
