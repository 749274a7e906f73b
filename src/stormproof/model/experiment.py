"""What an experiment says: load, timeline, faults, hypotheses, stop conditions, limits."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stormproof.model.control import HeaderControl
from stormproof.model.hypothesis import Claim, ClaimStopCondition, StopWhen

# The one kind that is made of others, and how its arguments name them: {steps: [{at: 3s, az-loss: {zone: a}}, …]}.
COMPOSITE, STEPS, AT = "composite", "steps", "at"


class ArrivalProcess(enum.StrEnum):
    """How the instants of an open model are drawn."""

    UNIFORM = "uniform"  # one every 1/rate seconds
    POISSON = "poisson"  # exponential gaps, seeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Who drives the workload, how hard; exactly one of *arrivals_per_s* and *users* is set."""

    locustfile: str  # absolute path
    arrivals_per_s: float | None = None  # open model: a schedule
    users: int | None = None  # closed model: each waits for its answer
    process: ArrivalProcess = ArrivalProcess.UNIFORM
    workers: int = 1
    timeout_s: float = 10.0  # a request without an answer by then has failed
    delivered_share_min: float = 0.95  # sent / offered below which the run is invalid
    warmup_s: float = 2.0  # load before the steady window opens


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """How long each phase is meant to last, in seconds."""

    steady_s: float
    fault_s: float
    recovery_s: float
    until_decided: bool = False  # the fault ends, after `fault_s` at the latest, once nothing is left to decide

    fault_min_s: float = 0.0  # before which it does not end that way

    @property
    def total_s(self) -> float:
        """The sum of the phases, in seconds."""
        return self.steady_s + self.fault_s + self.recovery_s


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRequest:
    """One fault that the spec asks for; *arguments* are validated by the fault's own schema."""

    kind: str  # as the spec names it: "az-loss"
    arguments: Mapping[str, Any]
    where: str = ""  # file:line, for messages

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that will be in force: of a fault made of others theirs, in their order, else its own."""
        if self.kind != COMPOSITE:
            return (self.kind,)
        return tuple(kind for step in self.arguments.get(STEPS, ()) for kind in step if kind != AT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of several steps: its *faults* are felt, in force for *duration_s*, and undone before the next begins."""

    name: str
    duration_s: float
    faults: tuple[FaultRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may not exceed; a spec without limits gets these."""

    duration_s: float = 600.0
    targets: int = 2
    share: float = 0.34  # of the environment's instances, 0 … 1: one zone of three
    faults_at_once: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One spec file, read and checked."""

    slug: str
    title: str
    why: str
    load: Load
    timeline: Timeline
    faults: tuple[FaultRequest, ...]  # with steps: those of all steps, in their order
    hypotheses: tuple[Claim, ...]
    stop_when: tuple[StopWhen, ...] = ()
    limits: Limits = field(default_factory=Limits)
    reliability: tuple[str, ...] = ()  # Well-Architected choice ids
    tags: tuple[str, ...] = ()
    path: str = ""  # the file it came from
    control_zone: str | None = None  # the group that the fault is not to reach: who that zone answers …
    control_header: HeaderControl | None = None  # … or whom a header sends past the fault; at most one of both
    steps: tuple[Step, ...] = ()  # what the fault phase consists of; () where all faults are in force throughout
    schema_version: int = 1

    @property
    def may_end_early(self) -> bool:
        """Whether what is measured may end the fault, or the run: its claims then need intervals valid at any time."""
        return self.timeline.until_decided or any(isinstance(one, ClaimStopCondition) for one in self.stop_when)

    @property
    def fault_ids(self) -> tuple[str, ...]:
        """How plan, ledger and events call each of `faults`: its position and kind."""
        return tuple(f"{number}-{fault.kind}" for number, fault in enumerate(self.faults, start=1))

    @property
    def step_fault_ids(self) -> dict[str, tuple[str, ...]]:
        """Step → the ids of its faults, in their order."""
        left = iter(self.fault_ids)
        return {step.name: tuple(next(left) for _ in step.faults) for step in self.steps}
