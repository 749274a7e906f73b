"""The forms of the hypothesis language, as data: the parser is driven by this table and the docs print it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from stormproof.model.hypothesis import OF_CONTROL, UNIT_OF, Metric, Unit


class Qualifier(enum.StrEnum):
    """Whether a form takes `of <endpoint>`, `in zone <z>` or `during <phase>`."""

    NO = "no"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One metric of the language: the words that name it, what may follow, what it means."""

    metric: Metric
    words: tuple[str, ...]  # "p*" stands for a percentile: p50, p99.9
    endpoint: Qualifier = Qualifier.OPTIONAL
    zone: Qualifier = Qualifier.OPTIONAL
    phase: Qualifier = Qualifier.OPTIONAL
    relative: bool = True  # may be compared with the steady phase
    needs_part: bool = False  # of an endpoint, in a zone, or both: of everything it says nothing
    stop: bool = False  # may stand in `stop_when`
    meaning: str
    example: str

    @property
    def name(self) -> str:
        """How docs and messages call it."""
        return " ".join(word.replace("p*", "pNN") for word in self.words)


FORMS: tuple[Form, ...] = (
    Form(
        metric=Metric.AVAILABILITY,
        words=("availability",),
        stop=True,
        meaning="share of requests that succeeded; a degraded answer counts as a success",
        example="availability during fault >= 99.5%",
    ),
    Form(
        metric=Metric.ERROR_RATE,
        words=("error", "rate"),
        stop=True,
        meaning="share of requests that failed: an error status, no answer, or none in time",
        example="error rate of /cart during fault <= 1%",
    ),
    Form(
        metric=Metric.LATENCY_QUANTILE,
        words=("p*", "latency"),
        stop=True,
        meaning="the percentile of latency, counted from the scheduled time where load is a schedule",
        example="p99 latency during fault <= 2x steady",
    ),
    Form(
        metric=Metric.LATENCY_MEAN,
        words=("mean", "latency"),
        meaning="the arithmetic mean of latency",
        example="mean latency of /product during fault <= 200ms",
    ),
    Form(
        metric=Metric.THROUGHPUT,
        words=("throughput",),
        meaning="requests that succeeded, per second",
        example="throughput during fault >= 140/s",
    ),
    Form(
        metric=Metric.REQUESTS_FAILED,
        words=("requests", "failed"),
        relative=False,  # a count grows with the length of the window; the phases differ in length
        meaning="how many requests failed",
        example="requests failed during fault <= 10",
    ),
    Form(
        metric=Metric.TRAFFIC_SHARE,
        words=("share", "of", "traffic"),
        needs_part=True,
        meaning="share of the answered requests that the zone answered (of the endpoint's, where both are named), "
        "or that the endpoint had",
        example="share of traffic in zone b during fault <= 60%",
    ),
    Form(
        metric=Metric.TIME_TO_DETECT,
        words=("time", "to", "detect"),
        endpoint=Qualifier.NO,
        zone=Qualifier.NO,
        phase=Qualifier.NO,
        relative=False,
        meaning="from the fault's onset until the balancer calls the lost targets unhealthy",
        example="time to detect <= 3s",
    ),
    Form(
        metric=Metric.TIME_TO_RECOVER,
        words=("time", "to", "recover"),
        zone=Qualifier.NO,
        phase=Qualifier.NO,
        relative=False,
        meaning="from the fault's onset until requests succeed again, for good",
        example="time to recover <= 10s",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeForm:
    """A number in a probe's reading that `stop_when` can hold against a bound."""

    words: tuple[str, ...]
    probe: str  # as `readings.jsonl` names it
    meaning: str
    example: str

    @property
    def name(self) -> str:
        """How docs and messages call it."""
        return " ".join(self.words)


PROBE_FORMS: tuple[ProbeForm, ...] = (
    ProbeForm(
        words=("healthy", "targets"),
        probe="target_health",
        meaning="how many targets the balancer sends traffic to",
        example="healthy targets < 3 for 2s",
    ),
)

ALARM_FORM = 'alarm "<name>" [for <duration>]'
CLAIM_FORM = "<hypothesis> refuted"
CLAIM_EXAMPLE = "availability during fault >= 99% refuted"
ALARM_EXAMPLE = 'alarm "checkout-5xx" for 10s'


UNIT_TEXT: dict[Unit, str] = {
    Unit.SHARE: "a share: 99.5%",
    Unit.MILLISECONDS: "a duration: 500ms, 2s",
    Unit.SECONDS: "a duration: 10s, 1m30s",
    Unit.PER_SECOND: "a rate: 140/s, 90/min",
    Unit.COUNT: "a whole number: 10",
    Unit.RATIO: "a ratio: 2x steady",
}

_STOP_EXAMPLE: dict[Unit, str] = {Unit.SHARE: "< 50%", Unit.MILLISECONDS: "> 2s"}


def hypothesis_table() -> str:
    """The forms as a Markdown table; `docs/reference/hypotheses.md` holds exactly this."""
    rows = [
        "| metric | `of` endpoint | `in zone` | `during` phase | bound | meaning | example |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for form in FORMS:
        phase = "fault, if not said" if form.phase is Qualifier.OPTIONAL else form.phase
        ratio = " or `2x control`" if form.metric in OF_CONTROL else ""
        bound = UNIT_TEXT[UNIT_OF[form.metric]] + (f"; or `2x steady`{ratio}" if form.relative else "")
        cells = (f"`{form.name}`", form.endpoint, form.zone, phase, bound, form.meaning, f"`{form.example}`")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def stop_table() -> str:
    """The forms of `stop_when` as a Markdown table."""
    rows = ["| form | bound | read from | example |", "| --- | --- | --- | --- |"]
    for form in FORMS:
        if form.stop:
            example = f"{form.name.replace('NN', '99')} {_STOP_EXAMPLE[UNIT_OF[form.metric]]} for 5s"
            rows.append(
                f"| `{form.name}` | {UNIT_TEXT[UNIT_OF[form.metric]]} | the load, ten times a second | `{example}` |"
            )
    for probe in PROBE_FORMS:
        bound = UNIT_TEXT[Unit.COUNT]
        rows.append(f"| `{probe.name}`: {probe.meaning} | {bound} | the probe `{probe.probe}` | `{probe.example}` |")
    rows.append(
        f"| `{CLAIM_FORM}`: availability, error rate, pNN latency or requests failed, during fault | the claim's | "
        f"the samples, twice a second | `{CLAIM_EXAMPLE}` |"
    )
    rows.append(f"| `{ALARM_FORM}` | none: it is in state ALARM | CloudWatch, once a second | `{ALARM_EXAMPLE}` |")
    return "\n".join(rows) + "\n"
