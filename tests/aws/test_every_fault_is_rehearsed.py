"""Every fault that an environment in AWS can admit was cut off at each step, and that was written down as data.

Which faults there are is asked of the catalogue; what was rehearsed, of what the golden files say, not of their names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from stormproof.faults import catalogue
from stormproof.faults.composite import KIND as COMPOSITE
from stormproof.model.environment import Environment
from stormproof.run.rehearsal import Step
from support.aws_fault import GOLDEN
from support.planning import make_aws_environment

NEEDS: dict[bool, set[str]] = {
    True: {str(step) for step in Step},
    False: {str(Step.INTENT), str(Step.ACTED), str(Step.FELT)},  # whose undo changes nothing: it only waits
}


def _environments() -> Iterator[Environment]:
    """Where AWS is called by us, and where FIS does what it can."""
    environment = make_aws_environment()
    assert environment.cloud is not None
    yield environment
    yield replace(environment, cloud=replace(environment.cloud, az_loss_by="fis"))


def _admitted() -> list[tuple[str, str]]:
    """Kind and class of each fault that can be planned in AWS, in each of its modes and ways."""
    found = set()
    for kind in catalogue.of_aws():
        one = catalogue.module(kind)
        for environment in _environments():
            for example in (one.EXAMPLE, *getattr(one, "MODE_EXAMPLES", {}).values()):
                fault = catalogue.resolve(kind, example, environment, fault_id=f"1-{kind}")
                found.add((kind, type(catalogue.bind(kind, fault.target, fault.configuration)).__name__))
    return sorted(found)


def _rows() -> dict[str, list[dict[str, Any]]]:
    """What was written down of each rehearsal, by its file and, where one file has several, by the fault."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted([*GOLDEN.glob("*-rehearsal.json"), *GOLDEN.glob("*-rehearsed.json")]):
        for row in json.loads(path.read_text()):
            found.setdefault(f"{path.stem} {row.get('fault_id', '')}".strip(), []).append(row)
    return found


def _steps_of(kind: str, name: str) -> list[set[str]]:
    """The steps at which each rehearsal of the fault cut it off; those of a fault made of others by its parts."""
    if kind == COMPOSITE:
        return [{row["step"] for row in rows} for key, rows in _rows().items() if f"-{COMPOSITE}." in key]
    own = ([row for row in rows if (row.get("fault"), row.get("class")) == (kind, name)] for rows in _rows().values())
    return [{row["step"] for row in rows} for rows in own if rows]


@pytest.mark.parametrize(("kind", "name"), _admitted())
def test_each_fault_was_cut_off_at_each_step(kind: str, name: str) -> None:
    """In one rehearsal at least; a composite in each of its parts."""
    needed, rehearsed = NEEDS[catalogue.has_undo(kind)], _steps_of(kind, name)

    assert any(steps >= needed for steps in rehearsed), f"{kind} ({name}): {rehearsed or 'no rehearsal'}"
    if kind == COMPOSITE:
        assert len(rehearsed) >= 2
        assert all(steps >= needed for steps in rehearsed)


@pytest.mark.parametrize("rehearsal", _rows())
def test_each_rehearsal_says_what_was_done_and_that_it_was_undone(rehearsal: str) -> None:
    """What was called, what that changed, what brought it back: after the act and when felt; and nothing is left."""
    rows = _rows()[rehearsal]
    for row in rows:
        assert row.get("left", row.get("differences", [])) == [], row
        assert row.get("passed", True), row
    for row in (one for one in rows if one.get("step") in (Step.ACTED, Step.FELT) and "after" not in one):
        assert row["changed"], row
        assert "undone_by" in row, row  # by nobody where it ends by itself: a database that was rebooted
        assert row.get("broken_by") or row.get("whole") or row.get("cut_off"), row
