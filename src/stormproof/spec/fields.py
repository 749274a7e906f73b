"""The keys of the files, as pydantic models: what may stand where, and in which unit.

A key that nothing enforces yet is not here, so it is an error and never a decoration.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from stormproof.spec.quantity import Duration, PositiveDuration, Rate, Share

MAX_FAULTS = 8
MAX_HYPOTHESES = 50
MAX_STEPS = 12
FAULT_MIN_S = 5.0  # before, the workload can hardly have shown the fault, nor got over it
# How pydantic's errors call the two ways to say one thing; no key of a file has brackets.
OF_ONE, OF_SEVERAL = "(one value)", "(a mapping)"

_Line = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=400, pattern=r"^[^\n\r]*\S[^\n\r]*$")]
_Text = Annotated[str, StringConstraints(strict=True, max_length=4000)]
_Word = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")]
_Whole = Annotated[int, Field(strict=True)]
_Account = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{12}$")]
_Clock = Annotated[str, StringConstraints(strict=True, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
_Step = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Header = Annotated[str, StringConstraints(strict=True, pattern=r"^x-[a-z0-9][a-z0-9-]{0,60}$")]
_Zone = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9_+/-]{1,64}$")]


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


class FaultSpanFields(_Section):
    """A fault phase that ends when there is nothing left to learn from it."""

    at_most: PositiveDuration = Field(description="The longest that the fault is in force.")
    at_least: PositiveDuration = Field(
        default=FAULT_MIN_S,
        description="The shortest: long enough to hold what comes and goes, such as bursts of errors.",
    )
    until: Literal["decided"] = Field(
        description="The fault ends once every claim that depends on it is decided: see until-decided below."
    )


def _how_said(value: object) -> str:
    return OF_SEVERAL if isinstance(value, dict | FaultSpanFields) else OF_ONE


# Said by one duration, or by a mapping; told apart by looks, so that an error is about the one that was meant.
FaultSpan = Annotated[
    Annotated[PositiveDuration, Tag(OF_ONE)] | Annotated[FaultSpanFields, Tag(OF_SEVERAL)], Discriminator(_how_said)
]


class TimelineFields(_Section):
    """How long each phase is meant to last."""

    steady: PositiveDuration = Field(description="Before the fault: what is normal.")
    fault: FaultSpan | None = Field(
        default=None,
        description="From when the fault is felt until it is taken back; not with `steps`.",
    )
    recovery: PositiveDuration = Field(description="After the fault.")


class StepFields(_Section):
    """One step of several: its faults are felt, in force together for a while, and undone before the next begins."""

    name: _Step = Field(description="What claims call it: `during <name>`. Lower case, digits and hyphens; no phase.")
    duration: PositiveDuration = Field(description="From when all its faults are felt until they are taken back.")
    faults: list[dict[str, Any]] = Field(
        min_length=1, max_length=MAX_FAULTS, description="What breaks in it, in this order; undone in the reverse one."
    )


class ControlFields(_Section):
    """Whom the fault is not to reach: what claims `x control` compare with."""

    zone: _Word | None = Field(
        default=None, description="The requests that this zone answers: what `x control` in a claim compares with."
    )
    header: Header | None = Field(
        default=None, description="Instead: the requests that this header marks, as the environment routes it."
    )
    share: Share | None = Field(
        default=None, ge=0.01, le=0.5, description="With `header`: of the arrivals, how many are marked."
    )


class LimitsFields(_Section):
    """What a run may not exceed."""

    duration: PositiveDuration = Field(default=600.0, description="The whole run; the clock ends it.")
    targets: Annotated[_Whole, Field(ge=1, le=1000)] = Field(default=2, description="Things touched by all faults.")
    share: Share = Field(
        default=0.34, gt=0, description="Of the environment's instances, how many all faults together may touch."
    )
    faults_at_once: Annotated[_Whole, Field(ge=1, le=MAX_FAULTS)] = Field(
        default=1, description="Faults in force together; a spec with several has to say so."
    )


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
    faults: list[dict[str, Any]] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_FAULTS,
        description="What breaks, in this order; undone in the reverse one. Either this or steps.",
    )
    steps: list[StepFields] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_STEPS,
        description="Several faults one after the other, instead of `faults` and `timeline.fault`.",
    )
    hypotheses: list[_Line] = Field(
        min_length=1,
        max_length=MAX_HYPOTHESES,
        description="Claims that could be wrong: docs/reference/hypotheses.md.",
    )
    stop_when: list[_Line] = Field(
        default=[],
        max_length=MAX_HYPOTHESES,
        description="Ends the run early: docs/reference/hypotheses.md#stop-conditions.",
    )
    control: ControlFields | None = Field(default=None, description="A group that the fault is not to reach.")
    limits: LimitsFields = Field(default_factory=LimitsFields)


_LATER = "not in this version"
_ENVIRONMENT = "it belongs to the environment's file, where no spec can change it: docs/guides/safety.md"
# Keys that do not stand in a spec, and why: so that the error does not take them for slips.
ELSEWHERE = {
    **dict.fromkeys(("probes", "notify", "schedule", "approvals"), _LATER),
    **dict.fromkeys(("guardrails", "account", "region", "role", "roles", "kill_switch", "confirm"), _ENVIRONMENT),
}


class LabFields(_Section):
    """How the lab is to be brought up."""

    variant: Literal["hardened", "naive"] = Field(default="hardened", description="The workload's design.")


class ChangeWindowFields(_Section):
    """When something may be broken."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        min_length=1, max_length=7, description="On which days it begins."
    )
    from_: _Clock = Field(alias="from", description="Its begin by the wall clock, `09:00`.")
    to: _Clock = Field(description="Its end; not after `from` means on the following day. `00:00` is midnight.")
    zone: _Zone = Field(description="The IANA time zone of that clock, `Europe/Berlin` or `UTC`.")


class GuardrailsFields(_Section):
    """What this environment allows, whatever a spec says."""

    faults: list[_Word] | None = Field(default=None, max_length=100, description="The only kinds of fault allowed.")
    allow_no_undo: list[_Word] = Field(
        default=[],
        max_length=20,
        description="Kinds of fault that are allowed though nothing brings back what they break: `instance-terminate`.",
    )
    accounts: list[_Account] | None = Field(default=None, description="The only AWS accounts allowed, 12 digits each.")
    regions: list[_Word] | None = Field(default=None, max_length=50, description="The only AWS regions allowed.")
    tags: dict[_Line, _Line] = Field(
        default={}, max_length=20, description="Tags that every instance and network resource touched must carry."
    )
    change_windows: list[ChangeWindowFields] | None = Field(
        default=None, max_length=20, description="A run must begin and be able to end inside them."
    )
    kill_switch: _Line | None = Field(
        default=None,
        description="A file whose presence stops, or a URL that stops unless it answers 404. Unreachable stops.",
    )
    confirm: Literal["required"] | None = Field(
        default=None, description="`required`: a person types the phrase `<environment> <slug>`, or gives --confirm."
    )
    max_duration: PositiveDuration | None = Field(default=None, description="The most that limits.duration may be.")
    max_targets: Annotated[_Whole, Field(ge=1, le=1000)] | None = Field(
        default=None, description="The most things that all faults together may touch."
    )


class LoadWorkersFields(_Section):
    """Where load workers of other machines are awaited; then none is started here."""

    listen: _Line = Field(
        description="A port of 127.0.0.1, or the address of this machine and a port: `7571`, `10.0.0.5:7571`."
    )
    token_file: _Line = Field(description="A file that proves a worker, relative to this one; 32 characters or more.")
    join_within: PositiveDuration = Field(default=60.0, description="A worker not there by then is missing.")


class EnvironmentFields(_Section):
    """One file of `experiments/environments/`."""

    schema_version: Literal[1] = Field(default=1, description="The version of this format.")
    name: _Word = Field(description="The environment's name; its file is called the same.")
    kind: _Word = Field(description="`lab`; for `aws` there is a table of its own.")
    lab: LabFields = Field(default_factory=LabFields)
    load_workers: LoadWorkersFields | None = Field(default=None, description="Load from other machines.")
    guardrails: GuardrailsFields = Field(default_factory=GuardrailsFields)
