"""A fault in an account of AWS, taken through all that it must stand; what was called, changed, brought back, as data.

The account is moto's, over HTTP, with a recorder in front of it; from a chosen call on nothing gets through.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from stormproof.faults import activity, catalogue
from stormproof.faults.api_call import CallsAws
from stormproof.faults.ledger import Entry, Ledger
from stormproof.model.plan import ResolvedFault
from stormproof.plan.iam_policy import action_of
from stormproof.run.rehearsal import Step
from stormproof.spec.environment_file import load_environment
from stormproof.staging.environment import discover
from support.emulated_aws import Cut, Estate, Recorder, environment_file

GOLDEN = Path(__file__).parents[1] / "golden/aws"
# The service in a signature → IAM's prefix, where they differ.
_IAM = {"monitoring": "cloudwatch"}

IN_ACT = "in act"  # between two calls of an act: no step of a rehearsal, which kills before it and after it

State = Callable[[], Mapping[str, Any]]


def resolve(
    estate: Estate, folder: Path, url: str, kind: str, arguments: Mapping[str, Any], **changes: Any
) -> ResolvedFault:
    """The fault, bound to what *estate* has by an environment file with *changes*; the API is called at *url*."""
    cloud = load_environment(environment_file(estate, folder, url=url, **changes).parent, "staging").cloud
    assert cloud is not None
    checked = catalogue.module(kind).Arguments.model_validate(dict(arguments)).model_dump(exclude_unset=True)
    assert set(checked) == set(arguments)
    return catalogue.resolve(kind, arguments, discover("staging", cloud), fault_id=f"1-{kind}")


def inject(fault: ResolvedFault, folder: Path, *, noop: bool = False) -> dict[str, Any]:
    """As the player does it, with ledger and events in *folder*. Its name is the run's, by which clients are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    where = {"ledger_path": str(folder / "ledger.jsonl"), "events_path": str(folder / "events.jsonl")}
    configuration = {**fault.configuration, **where}
    bound = catalogue.bind(fault.kind, json.loads(json.dumps(dict(fault.target))), configuration)
    return activity.inject(
        bound, fault_id=fault.fault_id, kind=fault.kind, noop=noop, target=fault.target, configuration=configuration
    )


def undo(folder: Path) -> list[dict[str, Any]]:
    """As anybody does it who has the ledger."""
    return activity.undo_outstanding(Ledger(folder / "ledger.jsonl"), events_path=None, who="test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One fault in one account."""

    fault: ResolvedFault
    wire: Recorder
    state: State
    folder: Path
    spare: tuple[str, ...] = ()  # actions that another prior state would have needed
    also: tuple[str, ...] = ()  # what is called as somebody else, who has a policy of their own

    def run(self) -> list[dict[str, Any]]:
        """Whole; cut off before and after each change; its undo cut off at each, and forgotten. Nothing may be left.

        A row each: which fault, at which `Step` of a rehearsal, what was changed by then, what brought it back.
        """
        before = dict(self.state())
        self.wire.calls.clear()
        felt = inject(self.fault, self.folder / "whole/run")
        assert felt["felt"] is True, felt
        changes, broken = list(self.wire.changes), dict(self.state())
        assert broken != before, "it changed nothing that `state` reads"
        undone = undo(self.folder / "whole/run")
        assert [row["undone"] for row in undone] == [True], undone
        back = list(self.wire.changes)[len(changes) :]
        assert undo(self.folder / "whole/run") == []
        self._check_calls()
        cuts = [(at, first) for at in range(1, len(changes) + 1) for first in (True, False)]
        whole = {"whole": changes, "changed": _changed(before, broken), "undone_by": back, "left": self._left(before)}
        rows = [
            {**headed(self.fault, Step.FELT), **whole},
            *(self._cut_off(before, changes, at, first) for at, first in cuts),
            *(self._undo_cut_off(before, changes, back, at) for at in range(1, len(back) + 1)),
            self._undo_forgotten(before),
        ]
        assert all(row["left"] == [] for row in rows), rows
        return rows

    def _undo_forgotten(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Put right by somebody who did not live to write that down; the next undoer finds nothing to change."""
        folder = self.folder / "forgotten/run"
        inject(self.fault, folder)
        (entry,) = Ledger(folder / "ledger.jsonl").outstanding()
        catalogue.bind(entry.kind, entry.target, entry.configuration).revert(entry.prior)
        asked = len(self.wire.changes)
        undone = [row["undone"] for row in undo(folder)]
        by = self.wire.changes[asked:]
        assert by == [], "an undo of what is whole already changes nothing"
        return {**headed(self.fault, Step.UNDONE), "undone": undone, "undone_by": by, "left": self._left(before)}

    def _cut_off(self, before: Mapping[str, Any], changes: list[str], at: int, first: bool) -> dict[str, Any]:
        folder = self.folder / f"{at}-{first}/run"
        self.wire.calls.clear()
        self.wire.cut = Cut(at=at, before=first)
        with pytest.raises(Exception, match="ExpiredToken"):
            inject(self.fault, folder)
        broken = dict(self.state())
        self.wire.cut = None
        asked = len(self.wire.changes)
        undone = [row["undone"] for row in undo(folder)]
        ends = {(1, True): Step.INTENT, (len(changes), False): Step.ACTED}
        return {
            **headed(self.fault, ends.get((at, first), IN_ACT)),
            "cut_off": f"{'before' if first else 'after'} {changes[at - 1]}",
            "changed": _changed(before, broken),
            "undone_by": self.wire.changes[asked:],
            "undone": undone,
            "left": self._left(before),
        }

    def _undo_cut_off(self, before: Mapping[str, Any], changes: list[str], back: list[str], at: int) -> dict[str, Any]:
        folder = self.folder / f"undo-{at}/run"
        self.wire.calls.clear()
        inject(self.fault, folder)
        self.wire.cut = Cut(at=len(changes) + at, before=True)
        first = [row["undone"] for row in undo(folder)]
        self.wire.cut = None
        asked = len(self.wire.changes)
        again = [row["undone"] for row in undo(folder)]
        return {
            **headed(self.fault, Step.UNDOING),
            "undo_cut_off": f"before {back[at - 1]}",
            "undone": [*first, *again],
            "undone_by": self.wire.changes[asked:],
            "left": self._left(before),
        }

    def _check_calls(self) -> None:
        """What was called is what the fault says that it calls, and so what a policy would allow."""
        bound = catalogue.bind(self.fault.kind, self.fault.target, self.fault.configuration)
        assert isinstance(bound, CallsAws)
        allowed = {action_of(call) for call in bound.api_calls} | {"sts:AssumeRole", *self.also}
        called = {f"{_IAM.get(one.service, one.service)}:{one.operation}" for one in self.wire.calls}
        assert called <= allowed, called - allowed
        changing = {action_of(call) for call in bound.api_calls if call.purpose != "read"} - set(self.spare)
        assert changing <= called, f"asked for and not called: {changing - called}"

    def _left(self, before: Mapping[str, Any]) -> list[str]:
        return _changed(before, self.state())


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def headed(fault: ResolvedFault | Entry, step: str) -> dict[str, str]:
    """Whose row it is: its kind, the class that does it here, and the step at which it was cut off."""
    bound = catalogue.bind(fault.kind, fault.target, fault.configuration)
    return {"fault": fault.kind, "class": type(bound).__name__, "step": str(step)}


def compare(name: str, rows: list[dict[str, Any]]) -> None:
    """Hold *rows* against the golden file of that name."""
    path = GOLDEN / f"{name}-rehearsal.json"
    if os.environ.get("STORMPROOF_UPDATE_GOLDEN"):
        path.write_text(json.dumps(rows, indent=2) + "\n")
    assert rows == json.loads(path.read_text())


def schedules(estate: Estate) -> list[dict[str, Any]]:
    """Every schedule of EventBridge Scheduler that is there."""
    client = estate.client("scheduler")
    return [client.get_schedule(Name=row["Name"]) for row in client.list_schedules()["Schedules"]]


def fire(estate: Estate) -> None:
    """Make the calls that Scheduler would, in the order of their times."""
    for schedule in sorted(schedules(estate), key=lambda one: str(one["ScheduleExpression"])):
        service, operation = schedule["Target"]["Arn"].split(":")[-2:]
        method = xform_name(operation[0].upper() + operation[1:])
        client = estate.client({"elasticloadbalancingv2": "elbv2"}.get(service, service))
        getattr(client, method)(**json.loads(schedule["Target"]["Input"]))
