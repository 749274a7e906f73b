"""Several faults, one after the other, in force together: how things really go wrong.

Each step is a fault of its own in everything that counts: an entry in the ledger, a confirmation, an undo, its lines in
the events, a place in the limits. What this module adds is the order and the offsets. A step begins no sooner than its
`at` after the composite began, and not before the step before it was felt; one that is not felt ends the composite,
because what would follow is no longer the scenario. The undo goes backwards. A composite cannot contain another.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stormproof.errors import FaultError, InputError
from stormproof.faults import activity, catalogue
from stormproof.faults.api_call import ApiCall, CallsAws
from stormproof.faults.binding import activities
from stormproof.faults.hold import hold
from stormproof.faults.protocol import Fault, Look, Seen
from stormproof.model.environment import Environment
from stormproof.model.experiment import COMPOSITE
from stormproof.model.plan import ResolvedFault
from stormproof.spec.quantity import Duration

__all__ = ["confirm", "inject", "undo"]

KIND = COMPOSITE
SUMMARY = "Several faults, in order and with offsets, in force together."
CONFIRMED_BY = "every step by its own confirmation; felt only when all are"
UNDONE_BY = "every step by its own undo, last broken first"
ENVIRONMENTS = ("local", "aws")
EXAMPLE: dict[str, Any] = {
    "steps": [
        {"at": "0s", "az-loss": {"zone": "a"}},
        {"at": "1s", "dependency-timeout": {"dependency": "recommendations", "delay": "3s"}},
    ]
}

STEPS_MIN, STEPS_MAX = 2, 8
AT_S_MAX = 600.0


class Step(BaseModel):
    """One fault of the composite, written as in `faults:`, and when it begins."""

    model_config = ConfigDict(extra="allow", frozen=True)  # the other key is the fault's kind: checked by the loader

    at: Duration = Field(
        default=0.0,
        description="not sooner than this after the composite began; no less than the step before",
        le=AT_S_MAX,
    )

    @property
    def kind(self) -> str:
        """What it breaks."""
        return next(iter(self.model_extra or {}), "")

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Of its fault."""
        found: Mapping[str, Any] = (self.model_extra or {}).get(self.kind) or {}
        return found


class Arguments(BaseModel):
    """What the spec says of a `composite`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: list[Step] = Field(
        description="two to eight faults, each written as under `faults:` and with `at`, the earliest it may begin",
        min_length=STEPS_MIN,
        max_length=STEPS_MAX,
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind each step; `InputError` for what a step's own fault does not take, and for steps out of order."""
    _check(arguments.steps, where=where)
    parts = tuple(
        _resolve_step(step, environment, fault_id=_id(fault_id, number, step.kind), where=where)
        for number, step in enumerate(arguments.steps, start=1)
    )
    return composed(fault_id, parts)


def composed(fault_id: str, parts: Sequence[ResolvedFault]) -> ResolvedFault:
    """*parts* as one; each has its id and its `at_s` already."""
    target = {"parts": [{"kind": part.kind, "at_s": part.at_s, "target": dict(part.target)} for part in parts]}
    return ResolvedFault(
        fault_id=fault_id,
        kind=KIND,
        module=__name__,
        target=target,
        configuration=_merged(parts),
        targets=tuple(sorted({name for part in parts for name in part.targets})),
        what=_told((part.at_s, part.what) for part in parts),
        undo="; then ".join(part.undo for part in reversed(parts)),
        effect={},
        parts=tuple(parts),
    )


def _check(steps: Sequence[Step], *, where: str) -> None:
    for number, step in enumerate(steps):
        if len(step.model_extra or {}) != 1 or step.kind == KIND or step.kind not in catalogue.KINDS:
            got = ", ".join(step.model_extra or {}) or "none"
            expected = f"one known fault that is no {KIND}"
            raise InputError(where=where, what=f"faults: {KIND}.steps.{number}", expected=expected, got=got)
    offsets = [step.at for step in steps]
    if offsets != sorted(offsets):
        got = ", ".join(f"{at:g} s" for at in offsets)
        raise InputError(where=where, what=f"faults: {KIND}.steps", expected="steps in the order of `at`", got=got)


def _resolve_step(step: Step, environment: Environment, *, fault_id: str, where: str) -> ResolvedFault:
    try:
        resolved = catalogue.resolve(step.kind, step.arguments, environment, fault_id=fault_id, where=where)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"faults: {KIND}: {step.kind}.{'.'.join(map(str, first['loc']))}"
        raise InputError(where=where, what=what, expected=first["msg"], got=repr(first["input"])[:80]) from error
    return dataclasses.replace(resolved, at_s=step.at)


def _told(steps: Iterable[tuple[float, str]]) -> str:
    return "; then ".join(f"after {at_s:g} s {what}" if at_s else what for at_s, what in steps)


def _merged(parts: Sequence[ResolvedFault]) -> dict[str, Any]:
    """One configuration for all; two that need different values for a key cannot be one fault."""
    merged: dict[str, Any] = {}
    for part in parts:
        for key, value in part.configuration.items():
            if merged.setdefault(key, value) != value:
                raise FaultError(f"{part.fault_id}: needs {key} = {value!r}, another step needs {merged[key]!r}")
    return merged


def _id(fault_id: str, number: int, kind: str) -> str:
    return activity.part_id(fault_id, f"{number}-{kind}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """Its parts, bound: what is planned, looked at and compared as one. It is injected part by part, see `inject`."""

    parts: list[dict[str, Any]]
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.05

    @property
    def what(self) -> str:
        """In words."""
        return _told((part["at_s"], fault.what) for part, fault in zip(self.parts, self._faults(), strict=True))

    @property
    def look_writes(self) -> str:
        """What the looks of the parts do beside reading."""
        return "; ".join(filter(None, (getattr(fault, "look_writes", "") for fault in self._faults())))

    @property
    def effect(self) -> dict[str, Any]:
        """None of its own: each part has one."""
        return {}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """Each part's own."""
        return tuple(call for fault in self._faults() if isinstance(fault, CallsAws) for call in fault.api_calls)

    def identify(self) -> None:
        """Each part's own."""
        for fault in self._faults():
            fault.identify()

    def prior(self) -> dict[str, Any]:
        """Each part's own, by position."""
        return {str(number): fault.prior() for number, fault in enumerate(self._faults(), start=1)}

    def act(self) -> None:
        """Refused: without an entry in the ledger for each part nothing may be broken."""
        raise FaultError(f"{KIND}: is injected part by part; nothing was broken", hint="stormproof run")

    def look(self) -> Look:
        """Each part's own; broken or whole only when all are."""
        looks = [fault.look() for fault in self._faults()]
        seen = {look.seen for look in looks}
        evidence = {str(number): dict(look.evidence) for number, look in enumerate(looks, start=1)}
        return Look(seen=seen.pop() if len(seen) == 1 else Seen.PARTIAL, evidence=evidence)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Each part's own, last first."""
        for number, fault in reversed(list(enumerate(self._faults(), start=1))):
            fault.revert(prior[str(number)])

    def _faults(self) -> Iterator[Fault]:
        for part in self.parts:
            yield catalogue.bind(part["kind"], part["target"], self.configuration)


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> Composite:
    """The fault from the data in a plan."""
    return Composite(configuration=configuration, **target)


def inject(fault_id: str, noop: bool, target: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit action: inject each part at its time, see it felt, go on to the next."""
    begun = time.monotonic()
    found: dict[str, Any] = {}
    for number, part in enumerate(target["parts"], start=1):
        name = _id(fault_id, number, part["kind"])
        hold(name, begun + float(part["at_s"]) - time.monotonic())
        found[name] = catalogue.module(part["kind"]).inject(
            fault_id=name, noop=noop, target=part["target"], configuration=configuration
        )
        if not found[name]["felt"]:
            return {"felt": False, "reason": f"{name}: {found[name]['reason']}", "parts": found}
    return {"felt": True, "parts": found}


_, confirm, undo = activities(KIND, bind)
