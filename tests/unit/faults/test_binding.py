"""What every fault gets from `binding`: the functions that Chaos Toolkit calls, and what a plan says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chaoslib.exceptions import InvalidActivity
from chaoslib.provider.python import run_python_activity, validate_python_activity

from stormproof.faults import catalogue, ledger
from stormproof.faults.binding import activities, resolved
from support import file_fault

KIND = "file"
# The arguments that compiled experiments give, those of earlier versions too; `configuration` is chaoslib's to give.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "inject": {"fault_id": "1", "noop": False, "target": {}},
    "confirm": {"target": {}},
    "undo": {"fault_id": "1"},
}


def activity(module: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    provider = {"type": "python", "module": module, "func": name, "arguments": arguments}
    return {"type": "action", "name": name, "provider": provider}


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("kind", catalogue.KINDS)
def test_chaos_toolkit_finds_the_activities_of_every_fault(kind: str, name: str) -> None:
    """By module and function name, with the arguments that a compiled experiment gives, and no others."""
    module = catalogue.KINDS[kind]
    validate_python_activity(activity(module, name, ARGUMENTS[name]))
    with pytest.raises(InvalidActivity, match="stranger"):
        validate_python_activity(activity(module, name, {**ARGUMENTS[name], "stranger": 1}))

    function = getattr(catalogue.module(kind), name)
    assert (function.__module__, function.__name__) == (module, name)
    assert function.__doc__.startswith("Chaos Toolkit ")
    assert name in catalogue.module(kind).__all__


def test_the_activities_inject_confirm_and_undo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Played by chaoslib, they break the world, see it so, and put it right from the ledger."""
    for name, function in activities(KIND, file_fault.bind)._asdict().items():
        monkeypatch.setattr(file_fault, name, function, raising=False)
    monkeypatch.setitem(catalogue.KINDS, KIND, file_fault.__name__)
    world = tmp_path / "world"
    world.write_text(file_fault.WHOLE)
    configuration = {"ledger_path": str(tmp_path / "ledger"), "events_path": str(tmp_path / "events")}
    target = {"path": str(world)}

    def play(name: str, **arguments: Any) -> Any:
        return run_python_activity(activity(file_fault.__name__, name, arguments), configuration, {})

    assert play("inject", fault_id="1-file", noop=False, target=target)["felt"] is True
    assert world.read_text() == file_fault.BROKEN
    (entry,) = ledger.Ledger(tmp_path / "ledger").outstanding()
    assert (entry.kind, entry.fault_id, entry.target) == (KIND, "1-file", target)
    assert play("confirm", target=target)["felt"] is True
    assert play("undo", fault_id="1-file") == {"undone": ["1-file"]}
    assert world.read_text() == file_fault.WHOLE


def test_a_plan_says_what_the_fault_says_of_itself() -> None:
    """Its own words and effect, the module that has its `bind`, and nothing that JSON would change."""
    fault = resolved(
        file_fault.bind,
        fault_id="1-file",
        kind=KIND,
        target={"path": "/world"},
        configuration={},
        targets=["/world"],
        undo="write it again",
    )

    assert (fault.what, fault.effect) == ("write broken into /world", {"kind": "zone-silent", "zone": "a"})
    assert (fault.module, fault.targets, fault.undo) == (file_fault.__name__, ("/world",), "write it again")
    assert json.loads(json.dumps(dict(fault.target))) == fault.target
