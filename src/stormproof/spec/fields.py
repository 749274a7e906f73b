"""The keys of the files, as pydantic models: what may stand where, and in which unit.

A key that nothing enforces yet is not here, so it is an error and never a decoration.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stormproof.spec.quantity import Duration, PositiveDuration, Rate, Share

MAX_FAULTS = 8
MAX_HYPOTHESES = 50

_Line = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=400, pattern=r"^[^\n\r]*\S[^\n\r]*$")]
_Text = Annotated[str, StringConstraints(strict=True, max_length=4000)]
_Word = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")]
_Whole = Annotated[int, Field(strict=True)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoadFields(_Section):
    """Who drives the workload, how hard."""

    locustfile: _Line = Field(description="An ordinary locustfile, relative to the spec.")
    arrivals: Rate | None = Field(default=None, description="Open model: requests start on a schedule, answer or not.")
    users: Annotated[_Whole, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="Closed model: each user waits for its answer. Either this or arrivals."
    )
    process: Literal["uniform", "poisson"] = Field(
        default="uniform",
        description="Open model: equal gaps, or exponential gaps drawn from the run's seed.",
    )
    workers: Annotated[_Whole, Field(ge=1, le=64)] = Field(default=1, description="Load processes.")
    timeout: PositiveDuration = Field(default=10.0, description="A request without an answer by then has failed.")
    delivered: Share = Field(default=0.95, description="Sent over offered, below which the run is invalid.")
    warmup: Duration = Field(default=2.0, description="Load before the steady phase opens; in no phase.")


class TimelineFields(_Section):
    """How long each phase is meant to last."""

    steady: PositiveDuration = Field(description="Before the fault: what is normal.")
    fault: PositiveDuration = Field(description="From when the fault is felt until it is taken back.")
    recovery: PositiveDuration = Field(description="After the fault.")


class LimitsFields(_Section):
    """What a run may not exceed."""

    duration: PositiveDuration = Field(default=600.0, description="The whole run; the clock ends it.")
    targets: Annotated[_Whole, Field(ge=1, le=1000)] = Field(default=2, description="Things touched by all faults.")


class ExperimentFields(_Section):
    """One experiment file."""

    schema_version: Literal[1] = Field(default=1, description="The version of this format.")
    title: _Line = Field(description="The claim in one sentence, as the report's headline.")
    why: _Text = Field(default="", description="Why anybody should care; what happened last time.")
    reliability: list[_Word] = Field(
        default=[],
        max_length=20,
        description="Choice ids of the Well-Architected Reliability pillar it tests.",
    )
    tags: list[_Word] = Field(default=[], max_length=20, description="Words to select experiments by.")
    load: LoadFields
    timeline: TimelineFields
    faults: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MAX_FAULTS,
        description="What breaks, in this order; undone in the reverse one.",
    )
    hypotheses: list[_Line] = Field(
        min_length=1,
        max_length=MAX_HYPOTHESES,
        description="Claims that could be wrong: docs/reference/hypotheses.md.",
    )
    stop_when: list[_Line] = Field(
        default=[],
        max_length=MAX_HYPOTHESES,
        description="Ends the run early: `<metric> <op> <bound> for <duration>`.",
    )
    limits: LimitsFields = Field(default_factory=LimitsFields)


# Keys of the design that a later version enforces; named, so that the error does not take them for slips.
LATER_KEYS = frozenset(
    {"guardrails", "probes", "notify", "schedule", "approvals", "roles", "account", "region", "role"}
)


class LabFields(_Section):
    """How the lab is to be brought up."""

    variant: Literal["hardened", "naive"] = Field(default="hardened", description="The workload's design.")


class EnvironmentFields(_Section):
    """One file of `experiments/environments/`."""

    schema_version: Literal[1] = 1
    name: _Word
    kind: _Word
    lab: LabFields = Field(default_factory=LabFields)
