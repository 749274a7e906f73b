"""The process that a rehearsal kills: it plays one fault up to a step and is gone, or begins an undo.

`rehearsal_troupe` forks it. It goes through the same `activity.inject` and `activity.undo_outstanding` as a run. To die
exactly between two of their steps it hands them the fault inside `_DiesIn`, a fault like any other: no code of a run
knows that there are rehearsals.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from stormproof.faults import activity, catalogue
from stormproof.faults.activity import patience_of
from stormproof.faults.ledger import Ledger
from stormproof.faults.protocol import Fault, Look

# Where this process dies by its own hand; `undo` it lives through, unless it is killed from outside.
INTENT, ACTED, FELT, UNDO = "intent", "acted", "felt", "undo"
REACHED = "reached"  # and the step: its last word


@dataclass(frozen=True, slots=True, kw_only=True)
class _DiesIn:
    """*fault*, but the process ends by SIGKILL at its act: before it, or right after."""

    fault: Fault
    step: str

    @property
    def gap_s(self) -> float:
        return self.fault.gap_s

    @property
    def felt_within_s(self) -> float:
        return patience_of(self.fault)

    @property
    def what(self) -> str:
        return self.fault.what

    @property
    def effect(self) -> Mapping[str, Any]:
        return self.fault.effect

    def identify(self) -> None:
        self.fault.identify()

    def prior(self) -> dict[str, Any]:
        return self.fault.prior()

    def act(self) -> None:
        if self.step == INTENT:
            _die(self.step)
        self.fault.act()
        if self.step == ACTED:
            _die(self.step)

    def look(self) -> Look:
        return self.fault.look()

    def revert(self, prior: Mapping[str, Any]) -> None:
        self.fault.revert(prior)


def _die(step: str) -> NoReturn:
    os.write(1, f"{REACHED} {step}\n".encode())  # so that a hang that ends in a SIGKILL is not taken for this
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL cannot be survived")


def _inject(step: str, order: Mapping[str, Any]) -> int:
    for part in order["before"]:  # of a fault that is made of others: what is in force when this one begins
        found = catalogue.module(part["kind"]).inject(
            fault_id=part["fault_id"], noop=False, target=part["target"], configuration=part["configuration"]
        )
        if not found["felt"]:
            sys.stderr.write(f"{part['fault_id']} was not felt: {found['reason']}\n")
            return 1
    fault = catalogue.bind(order["kind"], order["target"], order["configuration"])
    found = activity.inject(
        cast("Fault", _DiesIn(fault=fault, step=step)),  # its `gap_s` is its fault's, not its class's
        fault_id=order["fault_id"],
        kind=order["kind"],
        noop=False,
        target=order["target"],
        configuration=order["configuration"],
    )
    if not found["felt"]:
        sys.stderr.write(f"{order['fault_id']} was not felt: {found['reason']}\n")
        return 1
    _die(FELT)


def _undo(order: Mapping[str, Any]) -> int:
    ledger = Ledger(Path(order["configuration"]["ledger_path"]))
    results = activity.undo_outstanding(
        ledger, events_path=Path(order["configuration"]["events_path"]), who="rehearsal"
    )
    failed = [result for result in results if not result["undone"]]
    for result in failed:
        sys.stderr.write(f"{result['fault_id']}: {result['reason']}\n")
    return 1 if failed else 0


def play(step: str, order: Mapping[str, Any]) -> int:
    """Play *order* up to *step*, an exit code; never returns from a step that it dies in."""
    return _undo(order) if step == UNDO else _inject(step, order)
