"""A fault with every name resolved: what exactly will be touched, as data that can be printed and replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedFault:
    """One fault bound to real things; JSON-clean, so that it survives in `plan.json` and in the ledger."""

    fault_id: str  # "1-az-loss": position and kind
    kind: str
    module: str  # dotted name of the Chaos Toolkit activities: inject, confirm, undo
    target: Mapping[
        str, Any
    ]  # what is touched and how: inject(fault_id, noop, target), confirm(target), undo(fault_id)
    configuration: Mapping[str, Any]  # endpoints the activities need: goes into `configuration`
    targets: tuple[str, ...]  # what is touched, as ids
    what: str  # "stop 2 instances in zone a: i-1, i-2"
    undo: str  # "start them again"
    effect: Mapping[str, Any]  # what the workload must show for the fault to count as felt
    parts: tuple[ResolvedFault, ...] = ()  # of a fault made of others: those, each with an id of its own
    at_s: float = 0.0  # of a part: not before this many seconds after the whole began

    @property
    def atoms(self) -> tuple[ResolvedFault, ...]:
        """What is written down, felt and undone one by one: its parts, or itself."""
        return self.parts or (self,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Everything that a run will do, before it does anything."""

    faults: tuple[ResolvedFault, ...]
    noop: bool  # the faults write and confirm, but do not act: the negative control
    seed: int
    experiment: Mapping[str, Any]  # the compiled Chaos Toolkit experiment
