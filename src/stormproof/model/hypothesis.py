"""One claim that could be wrong, as data. The text form is parsed in `stormproof.spec`."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Metric(enum.StrEnum):
    """What a hypothesis can be about. The unit of each is in `UNIT_OF`."""

    AVAILABILITY = "availability"
    ERROR_RATE = "error rate"
    LATENCY_QUANTILE = "latency quantile"  # `quantile` says which
    LATENCY_MEAN = "mean latency"
    THROUGHPUT = "throughput"
    REQUESTS_FAILED = "requests failed"
    TRAFFIC_SHARE = "share of traffic"
    TIME_TO_DETECT = "time to detect"
    TIME_TO_RECOVER = "time to recover"


class Unit(enum.StrEnum):
    """The unit that an estimate, its interval and its bound are given in."""

    SHARE = "share"  # 0 … 1
    MILLISECONDS = "ms"
    SECONDS = "s"
    PER_SECOND = "/s"
    COUNT = "count"
    RATIO = "ratio"  # relative to steady, or arrivals per call
    NUMBER = "number"  # of a metric of somebody else's, in its own unit
    WORD = "word"  # no number: one of a few words


UNIT_OF: dict[Metric, Unit] = {
    Metric.AVAILABILITY: Unit.SHARE,
    Metric.ERROR_RATE: Unit.SHARE,
    Metric.LATENCY_QUANTILE: Unit.MILLISECONDS,
    Metric.LATENCY_MEAN: Unit.MILLISECONDS,
    Metric.THROUGHPUT: Unit.PER_SECOND,
    Metric.REQUESTS_FAILED: Unit.COUNT,
    Metric.TRAFFIC_SHARE: Unit.SHARE,
    Metric.TIME_TO_DETECT: Unit.SECONDS,
    Metric.TIME_TO_RECOVER: Unit.SECONDS,
}

# Metrics of the whole run: a phase makes no sense with them.
WHOLE_RUN = frozenset({Metric.TIME_TO_DETECT, Metric.TIME_TO_RECOVER})

# What has an interval that is valid at any time: absolute claims about these, in the fault phase.
AT_ANY_TIME = frozenset({Metric.AVAILABILITY, Metric.ERROR_RATE, Metric.LATENCY_QUANTILE})

# What may be compared with a control group: shares and latencies, and nothing that the zones divide between them.
OF_CONTROL = AT_ANY_TIME | {Metric.LATENCY_MEAN}

# One event, or a full count: they have an error of timing, none of sampling, so chance cannot refute them.
NO_SAMPLING = frozenset({Metric.TIME_TO_DETECT, Metric.TIME_TO_RECOVER, Metric.REQUESTS_FAILED})


class Phase(enum.StrEnum):
    """The three stretches of a run, bounded by when the fault was felt."""

    STEADY = "steady"
    FAULT = "fault"
    RECOVERY = "recovery"


class Op(enum.StrEnum):
    """How an estimate is held against its bound."""

    LE = "<="
    LT = "<"
    GE = ">="
    GT = ">"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One claim. *bound* is in `unit` (shares as 0…1, latency in ms, times in s, relative claims as a ratio)."""

    text: str  # as written
    metric: Metric
    op: Op
    bound: float
    quantile: float | None = None  # 0.99 for p99; only with LATENCY_QUANTILE
    endpoint: str | None = None
    zone: str | None = None
    phase: Phase | None = Phase.FAULT  # None for metrics of the whole run
    step: str | None = None  # of the fault phase, where the claim is about one; `phase` is then FAULT
    relative_to_steady: bool = False
    control_zone: str | None = None  # relative to the same metric of this zone, in the same window
    control_header: str | None = None  # … or of the requests that this header puts into the control group
    where: str = ""  # file:line

    @property
    def window(self) -> str:
        """The name of the stretch that the claim is about: its step, else its phase."""
        return self.step or (self.phase or Phase.FAULT).value

    @property
    def is_relative(self) -> bool:
        """Whether the bound is a ratio: to steady, or to the control group."""
        return self.relative_to_steady or self.is_beside_control

    @property
    def is_beside_control(self) -> bool:
        """Whether it compares with a control group, in the same seconds."""
        return self.control_zone is not None or self.control_header is not None

    @property
    def depends_on_fault(self) -> bool:
        """Whether it would be another claim if the fault lasted longer."""
        return self.phase in {None, Phase.FAULT}

    @property
    def is_sequential(self) -> bool:
        """Whether its interval is one that may be looked at while the fault phase goes on."""
        return self.metric in AT_ANY_TIME and self.phase is Phase.FAULT and not self.is_relative

    @property
    def can_be_decided_early(self) -> bool:
        """Whether the run can know the answer before the fault phase ends."""
        return self.is_sequential or (self.metric in NO_SAMPLING and self.depends_on_fault)

    @property
    def unit(self) -> Unit:
        """The unit of estimate, interval and bound."""
        return Unit.RATIO if self.is_relative else UNIT_OF[self.metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingHypothesis:
    """One claim about what a closing probe read: a number against *bound*, or a word out of *accepted*.

    A closing probe looks once, at the whole record, when the load has ended.
    """

    text: str  # as written
    probe: str  # as `readings.jsonl` names it: "health_check"
    reading: str  # what of its reading: "detect_s"
    op: str  # an `Op` with a bound, "in" with words
    unit: Unit
    bound: float | None = None
    accepted: tuple[str, ...] = ()  # the words that satisfy the claim
    dependency: str | None = None  # whose clients it is about; only of the retry probe
    phase: Phase | None = None  # None: the probe's own choice
    step: str | None = None  # the step of the run that it is about; only of the health check
    where: str = ""  # file:line

    @property
    def depends_on_fault(self) -> bool:
        """Whether it would be another claim if the fault lasted longer: a probe of the whole record reads it all."""
        return self.phase in {None, Phase.FAULT}

    @property
    def can_be_decided_early(self) -> bool:
        """Never: the probe looks once, when the load has ended."""
        return False


Claim = Hypothesis | ReadingHypothesis


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCondition:
    """End the run early when *metric*, as the load sees it live, has been beyond *bound* for *for_s* seconds."""

    text: str
    metric: Metric  # AVAILABILITY, ERROR_RATE or LATENCY_QUANTILE
    op: Op
    bound: float
    for_s: float
    quantile: float | None = None
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeStopCondition:
    """End the run early when a number that *probe* reads has been beyond *bound* for *for_s* seconds."""

    text: str
    probe: str  # as `readings.jsonl` names it: "target_health"
    quantity: str  # what of its reading: "healthy targets"
    op: Op
    bound: float
    for_s: float
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmStopCondition:
    """End the run early when the alarm called *alarm* has been in state ALARM for *for_s* seconds (0: at once)."""

    text: str
    alarm: str
    for_s: float = 0.0
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimStopCondition:
    """End the run early when *claim* is refuted, however often that is looked at."""

    text: str
    claim: Hypothesis
    where: str = ""


StopWhen = StopCondition | ProbeStopCondition | AlarmStopCondition | ClaimStopCondition
