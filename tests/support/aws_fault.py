"""A fault in an account of AWS, taken through all that it must stand; what was called, changed, brought back, as data.

The account is moto's, over HTTP, with a recorder in front of it; from a chosen call on nothing gets through.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from stormproof.faults import activity, catalogue
from stormproof.faults.api_call import CallsAws
from stormproof.faults.ledger import Ledger
from stormproof.model.plan import ResolvedFault
from stormproof.plan.iam_policy import action_of
from stormproof.spec.environment_file import load_environment
from stormproof.staging.environment import discover
from support.emulated_aws import Cut, Estate, Recorder, environment_file

GOLDEN = Path(__file__).parents[1] / "golden/aws"
# The service in a signature → IAM's prefix, where they differ.
_IAM = {"monitoring": "cloudwatch"}

State = Callable[[], Mapping[str, Any]]
Rows = list[dict[str, Any] | None]  # None: not in turn

IN_TURN = 1 / 3  # of the calls at which it is cut off
# Of those points the ones whose turn it is; set for each test by the conftest, for whoever has no pytest all of them.
in_turn: Callable[[Sequence[Any], float], list[Any]] = lambda points, _share: list(points)  # noqa: E731


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

    def run(self) -> Rows:
        """Whole; cut off before and after each change; its undo cut off at each. A row each, nothing may be left.

        Of the cuts of each sort those are made whose turn it is (`support.rota`).
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
        played, again = cuts(len(changes)), in_turn(range(1, len(back) + 1), IN_TURN)
        rows: Rows = [
            {"whole": changes, "changed": _changed(before, broken), "undone_by": back, "left": self._left(before)},
            *(
                self._cut_off(before, changes, at, first) if (at, first) in played else None
                for at in range(1, len(changes) + 1)
                for first in (True, False)
            ),
            *(self._undo_cut_off(before, changes, back, at) if at in again else None for at in range(1, len(back) + 1)),
        ]
        assert all(row["left"] == [] for row in rows if row is not None), rows
        self._undo_again(before)
        return rows

    def _undo_again(self, before: Mapping[str, Any]) -> None:
        """By a second undoer that read the ledger before the first one was done: harmless."""
        bound = catalogue.bind(self.fault.kind, self.fault.target, self.fault.configuration)
        prior = bound.prior()
        asked = len(self.wire.changes)
        bound.revert(json.loads(json.dumps(prior)))
        assert self.wire.changes[asked:] == []
        assert self._left(before) == []

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
        return {
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


def cuts(changes: int) -> set[tuple[int, bool]]:
    """Of the cuts before (True) and after each of so many changes, from 1, those whose turn it is."""
    return {(at, first) for first in (True, False) for at in in_turn(range(1, changes + 1), IN_TURN)}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def compare(name: str, rows: Rows) -> None:
    """Hold *rows* against the golden file of that name; what was not in turn is not compared, but has its place."""
    path = GOLDEN / f"{name}-rehearsal.json"
    if os.environ.get("STORMPROOF_UPDATE_GOLDEN"):
        assert None not in rows, "a golden file is made of every cut: --every-case"
        path.write_text(json.dumps(rows, indent=2) + "\n")
    golden = json.loads(path.read_text())
    assert any(rows), "of each sort of cut one is made at least"
    assert len(rows) == len(golden)
    assert rows == [want if row is not None else None for row, want in zip(rows, golden, strict=True)]


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
