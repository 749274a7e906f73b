"""The report as data, ready for print: what HTML, Markdown and JUnit all say, assembled once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormproof.model.verdict import Check, Finding, Outcome
from stormproof.record import events as names
from stormproof.report import breakdown, story
from stormproof.report.bar import IntervalBar, interval_bar
from stormproof.report.causes import CauseStory, cause_stories
from stormproof.report.charts import Charts, charts
from stormproof.report.delivery import Delivery, delivery
from stormproof.report.effect_window import EffectWindow
from stormproof.report.facts import Facts, instant, number
from stormproof.report.foreign import Activity, activities
from stormproof.report.notation import DASH, clean, count, day, flat, interval, quantity, sign
from stormproof.report.plot import Drawing, draw
from stormproof.report.readings import ReadingTable, reading_tables
from stormproof.report.series import Series

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stormproof.report.sample_tables import SampleTables

FINDINGS_MAX = 100  # rows; verdict.json has all
CHECKS_MAX = 50

# The word, and the mark that says the same to who cannot tell the colours apart.
OUTCOME_MARK: dict[Outcome, str] = {
    Outcome.HELD: "✓",
    Outcome.REFUTED: "✗",
    Outcome.INCONCLUSIVE: "?",
    Outcome.INVALID: "⊘",
    Outcome.ABORTED: "■",
}
OUTCOME_MEANING: dict[Outcome, str] = {
    Outcome.HELD: "Every claim was tested and held.",
    Outcome.REFUTED: "The experiment was sound, and at least one claim is wrong.",
    Outcome.INCONCLUSIVE: "The experiment was sound, but the data decide neither way.",
    Outcome.INVALID: "The run did not test its claims; nothing follows from it about the workload.",
    Outcome.ABORTED: "The run was ended early; what was decided before the end stays decided.",
}
# Files of a run in the order a reader meets them; `docs/reference/run-directory.md` says more.
FILES: tuple[tuple[str, str], ...] = (
    ("verdict.json", "windows, findings, confirmations, checks, verdict"),
    ("run.json", "who, when, the exact command, versions, seed"),
    ("spec.yaml", "what was asked, after --set"),
    ("plan.json", "the compiled Chaos Toolkit experiment"),
    ("environment.json", "the resolved environment, redacted"),
    ("ledger.jsonl", "what had to be undone, written before each fault"),
    ("events.jsonl", "everything that happened, one line each"),
    ("readings.jsonl", "what each probe saw, when"),
    ("journal.json", "Chaos Toolkit's own journal"),
    ("samples", "every request as the load generator saw it, Parquet"),
    ("arrivals", "every request as a dependency saw it, Parquet"),
    ("logs", "what the child processes printed"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """One hypothesis as it is printed."""

    claim: str
    outcome: Outcome
    estimate: str
    interval: str
    bound: str
    n: str
    steady: str  # "" where there is none
    reason: str
    method: str
    bar: IntervalBar | None
    is_word: bool = False  # then `estimate` is the word that was found, and `interval` the probe's confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One run as it is printed. Text in here is foreign: whoever writes it out must escape it."""

    outcome: Outcome
    mark: str
    meaning: str
    reason: str
    other_reasons: tuple[str, ...]
    run_id: str
    slug: str
    title: str
    why: str
    simulated: bool
    started: str
    started_iso: str
    duration_s: float | None
    key_facts: tuple[tuple[str, str], ...]
    findings: tuple[FindingRow, ...]
    findings_left_out: int
    checks: tuple[Check, ...]
    series: Series | None
    drawings: tuple[Drawing, ...]  # wide, narrow
    no_plot: str  # why there is no plot, "" with one
    charts: Charts
    causes: tuple[CauseStory, ...]
    effect_window: EffectWindow | None
    faults: tuple[story.FaultStory, ...]
    delivery: Delivery | None
    phases: tuple[str, ...]
    endpoints: breakdown.Breakdown | None
    zones: breakdown.Breakdown | None
    quantile_floors: tuple[int, int]  # requests below which there is no p50, and no p99
    failures: tuple[breakdown.FailureRow, ...]
    failures_left_out: int
    worst: tuple[breakdown.WorstRow, ...]  # evidence for a refutation whose findings have no cause; none otherwise
    activities: tuple[Activity, ...]
    timeline: tuple[story.TimelineRow, ...]
    timeline_left_out: int
    probe_failures: int
    readings: tuple[ReadingTable, ...]
    environment: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    repeat: str
    files: tuple[tuple[str, str], ...]
    changed: tuple[str, ...] = ()  # what is not as it was sealed: the verdict above may not be the run's

    @property
    def word(self) -> str:
        """The verdict, as a headline."""
        return self.outcome.value.capitalize()


def assemble(facts: Facts) -> Page:
    """Turn *facts* into a page; same facts, same page."""
    verdict, run = facts.verdict, facts.run
    delivered = delivery(facts)
    series = _series(facts, delivered)
    failed, failed_left_out = _failures(facts, series)
    told, untold = story.timeline(facts)
    drawn = charts(facts)
    reasons = [clean(one, limit=600) for one in verdict.reasons] or [OUTCOME_MEANING[verdict.outcome]]
    return Page(
        outcome=verdict.outcome,
        mark=OUTCOME_MARK[verdict.outcome],
        meaning=OUTCOME_MEANING[verdict.outcome],
        reason=reasons[0],
        other_reasons=tuple(reasons[1:20]),
        run_id=clean(verdict.run_id),
        slug=clean(verdict.slug),
        title=clean(verdict.title or verdict.slug or "untitled experiment"),
        why=clean(run.get("why") or "", limit=1200),
        simulated=verdict.simulated,
        changed=tuple(clean(sentence) for sentence in facts.changed[:20]),
        started=_started(facts),
        started_iso=clean(run.get("started_at") or ""),
        duration_s=_duration(facts),
        key_facts=_key_facts(facts),
        findings=tuple(_finding_row(one) for one in verdict.findings[:FINDINGS_MAX]),
        findings_left_out=max(0, len(verdict.findings) - FINDINGS_MAX),
        checks=tuple(
            Check(name=clean(one.name), ok=one.ok, reason=clean(one.reason, limit=600))
            for one in verdict.checks[:CHECKS_MAX]
        ),
        series=series,
        drawings=_drawings(facts, series),
        no_plot="" if series is not None else _no_plot(facts),
        charts=drawn,
        causes=cause_stories(verdict.findings, facts.zero_s),
        effect_window=drawn.effect_window,
        faults=story.fault_stories(facts),
        delivery=delivered,
        phases=tuple(facts.windows),
        endpoints=_cut(facts, breakdown.by_endpoint),
        zones=_cut(facts, breakdown.by_zone),
        quantile_floors=breakdown.quantile_floors() if facts.tables is not None else (0, 0),
        failures=failed,
        failures_left_out=failed_left_out,
        worst=_worst(facts),
        activities=activities(facts) if facts.is_foreign else (),
        timeline=told,
        timeline_left_out=untold,
        probe_failures=facts.probe_failures,
        readings=reading_tables(facts),
        environment=_environment(facts),
        versions=_rows(run.get("versions")),
        repeat=clean(verdict.repeat or run.get("command") or "", limit=2000),
        files=tuple((name, what) for name, what in FILES if (facts.folder.path / name).exists()),
    )


def _finding_row(one: Finding) -> FindingRow:
    if one.bound is None:
        return _word_row(one)
    apart = (one.bound,)
    return FindingRow(
        claim=clean(one.claim),
        outcome=one.outcome,
        estimate=quantity(one.estimate, one.unit, apart_from=apart),
        interval=interval(one.low, one.high, one.unit, bound=one.bound),
        bound=f"{sign(one.op)} {quantity(one.bound, one.unit)}",
        n=count(one.n),
        steady=_steady(one),
        reason=clean(one.reason, limit=600),
        method=clean(one.method),
        bar=interval_bar(one),
    )


def _word_row(one: Finding) -> FindingRow:
    """A claim about a word: what was found and how sure the probe is, where others have an estimate and interval."""
    return FindingRow(
        claim=clean(one.claim),
        outcome=one.outcome,
        estimate=DASH if one.found is None else clean(one.found),
        interval=DASH if one.confidence is None else f"confidence {one.confidence:.2f}",
        bound=clean(f"in {{{', '.join(one.accepted)}}}" if len(one.accepted) > 1 else "".join(one.accepted)),
        n=count(one.n),
        steady="",
        reason=clean(one.reason, limit=600),
        method=clean(one.method),
        bar=None,
        is_word=True,
    )


def _steady(one: Finding) -> str:
    """The same metric in steady. A relative claim's finding has the unit *ratio*; the metric's own is in the claim."""
    if one.unit != "ratio":
        return quantity(one.steady, one.unit) if one.steady is not None else ""
    metrics = (("latency", "ms"), ("throughput", "/s"), ("failed", "count"), ("time to", "s"))
    unit = next((unit for word, unit in metrics if word in one.claim), "share")
    return quantity(one.steady, unit) if one.steady is not None else ""


def _series(facts: Facts, delivered: Delivery | None) -> Series | None:
    return facts.tables.series(delivered.per_second if delivered else ()) if facts.tables is not None else None


def _drawings(facts: Facts, series: Series | None) -> tuple[Drawing, ...]:
    """Two widths of the same plot: letters in a picture shrink with it, and would be too small on a telephone."""
    zero = facts.zero_s
    if series is None or zero is None:
        return ()
    return tuple(
        draw(
            series,
            windows=facts.windows,
            confirmations=facts.verdict.confirmations,
            zero_s=zero,
            width=width,
            panel_height=height,
            ident=ident,
            hover=ident == "wide",
        )
        for ident, width, height in (("wide", 1000, 120), ("narrow", 440, 110))
    )


def _no_plot(facts: Facts) -> str:
    if facts.samples_problem:
        return clean(facts.samples_problem)
    if facts.is_foreign:
        return "This was a plain Chaos Toolkit experiment: it has no load of ours, so there is nothing to plot."
    return "No request was recorded."


def _failures(facts: Facts, series: Series | None) -> tuple[tuple[breakdown.FailureRow, ...], int]:
    if facts.tables is None or series is None:
        return (), 0
    return breakdown.failures(facts.tables, tuple(series.failed_per_s))


def _worst(facts: Facts) -> tuple[breakdown.WorstRow, ...]:
    """What a refutation points at: the smallest evidence that shows it."""
    window, zero = facts.windows.get("fault"), facts.zero_s
    if facts.verdict.outcome is not Outcome.REFUTED or facts.tables is None or window is None or zero is None:
        return ()
    if any(one.cause is not None for one in facts.verdict.findings):
        return ()
    return breakdown.worst(facts.tables, zero_s=zero)


def _cut(
    facts: Facts, make: Callable[[SampleTables, Mapping[str, tuple[float, float]]], breakdown.Breakdown]
) -> breakdown.Breakdown | None:
    if facts.tables is None or not facts.windows:
        return None
    table = make(facts.tables, facts.windows)
    return table if table.groups else None


def _key_facts(facts: Facts) -> tuple[tuple[str, str], ...]:
    """The line under the verdict: what a reader wants to know before any table."""
    rows: list[tuple[str, str]] = []
    if facts.verdict.confirmations:
        rows.append(("Fault", ", ".join(dict.fromkeys(clean(one.kind) for one in facts.verdict.confirmations))))
    started = facts.named(names.LOAD_STARTED)
    if started:
        rate, users = number(started[0].get("offered_per_s")), number(started[0].get("users"))
        if rate:
            rows.append(("Load", f"{quantity(rate, '/s')}, open model"))
        elif users:
            rows.append(("Load", f"{count(users)} users, closed model"))
    if facts.tables is not None:
        rows.append(("Requests", count(facts.tables.rows)))
    rows += [
        (phase.capitalize(), quantity(round(end - start, 1), "s")) for phase, (start, end) in facts.windows.items()
    ]
    if facts.verdict.steps:
        lengths = {
            clean(name): quantity(round(end - start, 1), "s") for name, (start, end) in facts.verdict.steps.items()
        }
        rows.append(("Steps", ", ".join(f"{name} {length}" for name, length in lengths.items())))
    environment = clean(facts.run.get("environment") or "", limit=60)
    variant = clean(facts.run.get("variant") or "", limit=60)
    if environment or variant:
        rows.append(("Environment", " · ".join(word for word in (environment, variant) if word)))
    if started_at := _started(facts):
        rows.append(("Started", started_at))
    return tuple(rows)


def _started(facts: Facts) -> str:
    text = facts.run.get("started_at")
    if isinstance(text, str) and text:
        return clean(text[:16].replace("T", " ") + " UTC" if text.endswith(("Z", "+00:00")) else text, limit=40)
    return day(facts.zero_s) if facts.zero_s is not None else ""


def _duration(facts: Facts) -> float | None:
    instants = [at for row in facts.events if (at := instant(row)) is not None]
    return max(instants) - min(instants) if instants else None


def _environment(facts: Facts) -> tuple[tuple[str, str], ...]:
    wanted = (
        "environment", "simulated", "variant", "workload_version", "topology_digest", "overrides", "reliability",
        "seed", "operator", "host", "started_at", "ended_at", "git",
    )  # fmt: skip
    return _rows({name: facts.run[name] for name in wanted if facts.run.get(name) not in (None, "", {}, [])})


def _rows(value: object) -> tuple[tuple[str, str], ...]:
    return tuple(flat(value)) if isinstance(value, dict) and value else ()
