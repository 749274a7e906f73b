"""The dead man's switch: set before the act, enough by itself to bring the zone back, and gone with the undo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormproof.errors import FaultError
from stormproof.faults import activity, catalogue
from stormproof.faults.ledger import Ledger
from stormproof.model.plan import ResolvedFault
from stormproof.spec.environment_file import load_environment
from stormproof.staging.environment import discover
from support.aws_fault import fire, inject, schedules
from support.emulated_aws import ACCOUNT, Call, Estate, Recorder, environment_file, recorder, state_of

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

SWITCH = {
    "dead_man": {"role": f"arn:aws:iam::{ACCOUNT}:role/stormproof-scheduler", "after": "1h"},
    "az_loss": {"parts": ["scaling", "network", "instances"]},
}


@pytest.fixture
def wire(estate: Estate) -> Iterator[Recorder]:
    """A recorder in front of the shared estate: what these tests do to it, they bring back."""
    with recorder(estate.url) as running:
        yield running


def _fault(estate: Estate, folder: Path, url: str) -> ResolvedFault:
    cloud = load_environment(environment_file(estate, folder, url=url, **SWITCH).parent, "staging").cloud
    assert cloud is not None
    return catalogue.resolve("az-loss", {"zone": "a"}, discover("staging", cloud), fault_id="1-az-loss")


def test_it_is_set_before_the_act_and_is_enough(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """Fired in the order of their times the schedules bring all back but the ACL that nobody uses; the undo ends it."""
    before = state_of(estate)
    assert inject(_fault(estate, tmp_path / "env", wire.url), tmp_path / "run")["felt"]
    writes = wire.changes
    first = writes.index("SuspendProcesses")
    assert writes[:first] == ["CreateSchedule"] * 2, "instances and groups: known before the act"
    assert writes.count("CreateSchedule") > 2, "the network's: known after it"
    assert {one["ActionAfterCompletion"] for one in schedules(estate)} == {"DELETE"}

    fire(estate)
    after = state_of(estate)

    assert {key: after[key] for key in after if key != "acls"} == {key: before[key] for key in before if key != "acls"}
    undone = activity.undo_outstanding(Ledger(tmp_path / "run/ledger.jsonl"), events_path=None, who="test")
    assert [row["undone"] for row in undone] == [True]
    assert state_of(estate) == before
    assert schedules(estate) == []


def test_without_its_switch_nothing_is_broken(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """It was asked for, and cannot be set: no act."""
    before = state_of(estate)
    fault = _fault(estate, tmp_path / "env", wire.url)

    def refuse(call: Call) -> tuple[int, str] | None:
        return (403, "AccessDeniedException") if call.operation == "CreateSchedule" else None

    wire.refuse = refuse
    with pytest.raises(FaultError, match="the dead man's switch could not be set"):
        inject(fault, tmp_path / "run")

    assert [one for one in wire.changes if one != "CreateSchedule"] == []
    assert state_of(estate) == before
    failed = json.loads((tmp_path / "run/events.jsonl").read_text().splitlines()[-1])
    assert failed["reason"].startswith("nothing was broken: ")
    assert activity.undo_outstanding(Ledger(tmp_path / "run/ledger.jsonl"), events_path=None, who="test")[0]["undone"]
