"""What became of a hypothesis (finding) and of a run (verdict)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 1


class Outcome(enum.StrEnum):
    """The five things a run can come to; findings use the first three."""

    HELD = "held"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    ABORTED = "aborted"


EXIT_CODE: dict[Outcome, int] = {
    Outcome.HELD: 0,
    Outcome.REFUTED: 1,
    Outcome.INCONCLUSIVE: 2,
    Outcome.INVALID: 3,
    Outcome.ABORTED: 4,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseRow:
    """How many bad requests one endpoint, zone and kind of error had, in the claim's window and in steady."""

    endpoint: str
    zone: str  # "": no zone answered
    error: str  # "": it succeeded, but slowly
    bad: int
    n: int  # all requests of the endpoint and zone, whatever became of them
    steady_bad: int
    steady_n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRequest:
    """One request as evidence; *row* counts from 0 in the samples ordered by scheduled_at."""

    row: int
    scheduled_at: float  # Unix s
    endpoint: str
    zone: str
    status: int  # 0: no answer
    latency_ms: float | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Where the requests that refute a claim are: the smallest evidence. None where they are spread."""

    sentence: str
    single: bool  # one endpoint, zone or kind of error has nearly all of them
    endpoint: str | None
    zone: str | None
    error: str | None
    seconds: tuple[float, float] | None  # Unix s: the short stretch that has nearly all of them
    bad: int
    n: int
    steady_bad: int
    steady_n: int
    slow_ms: float | None  # what is slower than this is bad as well; None: only what failed
    breakdown: tuple[CauseRow, ...]  # the largest first
    breakdown_left_out: int
    worst: tuple[BadRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of one hypothesis. Numbers are in `unit`; None where there is none, never NaN."""

    claim: str
    outcome: Outcome  # HELD, REFUTED or INCONCLUSIVE
    estimate: float | None
    low: float | None
    high: float | None  # math.inf is written as null with "not reached" in the reason
    n: int
    reason: str  # one sentence
    unit: str
    op: str
    bound: float | None  # None where the claim is about a word
    method: str  # the named interval method
    steady: float | None = None  # the same metric in the steady phase, where it exists
    # Of a claim about a word, written only there: what was read, how sure the probe is (0 … 1), what would satisfy it.
    found: str | None = None
    confidence: float | None = None
    accepted: tuple[str, ...] = ()
    cause: Cause | None = None  # of a refuted claim about requests, written only there


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What was seen of one fault, from outside."""

    fault_id: str
    kind: str
    felt: bool
    gone: bool | None  # None: never injected, so there is nothing to be gone
    reason: str
    injected_at: float | None = None  # Unix s: the instant before the act
    felt_at: float | None = None
    undone_at: float | None = None  # Unix s: the instant before the undo
    gone_at: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition for the run to have tested its claims: fault felt, load delivered, steady before, …"""

    name: str
    ok: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a run; `verdict.json` is this, field by field."""

    outcome: Outcome
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    confirmations: tuple[Confirmation, ...]
    checks: tuple[Check, ...]
    windows: Mapping[str, tuple[float, float]]  # phase → (start, end), Unix s
    repeat: str  # the command that repeats the run
    run_id: str
    slug: str
    title: str
    simulated: bool
    steps: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # step → (start, end), Unix s
    schema_version: int = SCHEMA_VERSION
