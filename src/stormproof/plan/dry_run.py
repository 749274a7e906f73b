"""`run --dry-run`: the plan, and what each fault finds where it would act; reads, and changes nothing.

Each fault goes as far as it goes in a run before its first change: the things at the addresses are identified, their
present state (what the undo would bring back) is read, and one look from outside must show them whole.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stormproof.errors import FaultError
from stormproof.faults import catalogue
from stormproof.faults.aws_errors import told
from stormproof.faults.protocol import Seen
from stormproof.plan.describe import describe, describe_text

if TYPE_CHECKING:
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.plan import ResolvedFault

_CELL_MAX = 240  # characters of a value in the text; the JSON has all of it


def dry_run(experiment: Experiment, resolved: tuple[ResolvedFault, ...], environment: Environment) -> dict[str, Any]:
    """`describe`'s document; each fault also with its `target`, `configuration`, `now` (its state) and `seen`.

    Raises `FaultError` when something is not as a run would need it: broken already, not who it should be.
    """
    document = describe(experiment, resolved, environment)
    document["dry_run"] = True
    for row, fault in zip(document["faults"], resolved, strict=True):
        bound = catalogue.bind(fault.kind, fault.target, fault.configuration)
        with told(f"{fault.fault_id}: reading its state"):
            bound.identify()
            now = bound.prior()
        row |= {"target": dict(fault.target), "configuration": dict(fault.configuration), "now": now}
        # An optional word of a fault: a look that does more than read, however harmless, is none for a dry run.
        if writes := getattr(bound, "look_writes", ""):
            row |= {"seen": "not looked at", "evidence": {"because": f"a look {writes}, which is more than reading"}}
            continue
        with told(f"{fault.fault_id}: looking from outside"):
            look = bound.look()
        row |= {"seen": str(look.seen), "evidence": dict(look.evidence)}
        if look.seen is not Seen.WHOLE:
            raise FaultError(
                f"{fault.fault_id}: expected it whole before the fault, seen from outside it is {look.seen}",
                hint="stormproof undo --list",
            )
    return document


def dry_run_text(document: dict[str, Any]) -> str:
    """`dry_run`'s answer for a terminal."""
    lines = [describe_text(document), "", "would change, from the state that is there now:"]
    for fault in document["faults"]:
        lines.append(f"  {fault['fault_id']}: {fault['what']}")
        lines += [f"    on      {_cell(key)} = {_cell(value)}" for key, value in fault["target"].items()]
        lines += [f"    now     {_cell(key)} = {_cell(value)}" for key, value in fault["now"].items()]
        lines.append(f"    outside {fault['seen']}: {_cell(fault['evidence'])}")
    if watched := document.get("watched"):
        lines += ["", "watched by:", *(f"  {name}: {_cell(value)}" for name, value in watched.items())]
    return "\n".join([*lines, "", "dry run: nothing was changed"])


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = " ".join(text.split())
    return line if len(line) <= _CELL_MAX else f"{line[: _CELL_MAX - 1]}…"
