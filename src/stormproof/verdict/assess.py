"""A run directory in, a verdict out: from disk alone, on any machine, years later, with the same answer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson

from stormproof.analysis.cause import gather_parts, gather_rows
from stormproof.analysis.fold import FoldOver, fold_here
from stormproof.analysis.measure import measure
from stormproof.analysis.population import exposed, over_exposed
from stormproof.errors import RunDirectoryError
from stormproof.model.hypothesis import NO_SAMPLING, Claim, Hypothesis, Metric, Phase
from stormproof.model.verdict import Check, Confirmation, Finding, Outcome, Verdict
from stormproof.record.arrivals import arrival_batches
from stormproof.record.layout import RunDirectory
from stormproof.record.readings import read_readings
from stormproof.record.sample_part import SamplePart, fit_in_memory, parts_of
from stormproof.record.samples import read_samples
from stormproof.spec.loader import load_experiment
from stormproof.verdict import control, validity
from stormproof.verdict.calls import COLUMNS, summarise_calls
from stormproof.verdict.cause import Gather, with_causes
from stormproof.verdict.chaos_journal import judge_journal, read_journal
from stormproof.verdict.control import control_checks
from stormproof.verdict.generator import CLOCKS, KEPT_UP, back_pressure
from stormproof.verdict.integrity import UNCHANGED, WHOLE, changed_since_sealed, read_story, whole_check
from stormproof.verdict.judge import judge_findings
from stormproof.verdict.merge import merge
from stormproof.verdict.own_delay import Own, doubted
from stormproof.verdict.reading import CONFIDENCE_MIN
from stormproof.verdict.seeing import Told, from_parts, from_rows, relief_of_parts, relief_of_rows
from stormproof.verdict.timeline import Abort, Timeline, read_timeline
from stormproof.verdict.validity import RunEvidence, checks_of

CHAOS_TOOLKIT = "chaostoolkit"  # run.json's "kind" of a plain Chaos Toolkit experiment
EXPERIMENT = "experiment"
RUN_SCHEMA_VERSION = 1
CLAIMS_HAVE_DATA = "data for every claim"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judgement:
    """What was concluded; the rest of a verdict is who and when."""

    outcome: Outcome
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    confirmations: tuple[Confirmation, ...]
    checks: tuple[Check, ...]
    windows: Mapping[str, tuple[float, float]]
    steps: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def assess(
    run: RunDirectory, *, parts: Sequence[SamplePart] | None = None, fold_over: FoldOver | None = None
) -> Verdict:
    """The verdict of *run*, from its files alone; nothing is written.

    More samples than fit in memory are counted part by part: counts are then as exact, latencies known to a thousandth.
    *parts* are the samples where they are not in the directory, and *fold_over* who counts them where it is not this
    process (`analysis.cluster`); either way they are counted.
    Raises `RunDirectoryError` when it is no run directory or a file cannot be read back, `SpecError` when its
    spec cannot.
    """
    about = read_run_json(run)
    judgement = _of_journal(run) if about.get("kind") == CHAOS_TOOLKIT else _of_experiment(run, parts, fold_over)
    changed = changed_since_sealed(run, elsewhere=parts) if judgement.outcome is Outcome.HELD else ()
    if changed:
        judgement = _not_proved(judgement, changed)
    return Verdict(
        outcome=judgement.outcome,
        reasons=judgement.reasons,
        findings=judgement.findings,
        confirmations=judgement.confirmations,
        checks=judgement.checks,
        windows=judgement.windows,
        steps=judgement.steps,
        repeat=_repeat(about),
        run_id=str(about.get("run_id", "")),
        slug=str(about.get("slug", "")),
        title=str(about.get("title", "")),
        simulated=bool(about.get("simulated", False)),
    )


def _not_proved(held: _Judgement, changed: Sequence[str]) -> _Judgement:
    """A changed record proves no claim. Only what held is taken back: a refutation is a warning even then."""
    check = Check(name=UNCHANGED, ok=False, reason=f"since the run was sealed, {', '.join(changed[:5])}")
    untested = tuple(
        replace(finding, outcome=Outcome.INCONCLUSIVE, reason=f"Not tested ({check.reason}). {finding.reason}")
        for finding in held.findings
    )
    return replace(
        held,
        outcome=Outcome.INVALID,
        reasons=(f"Not tested: {check.name}: {check.reason}.",),
        findings=untested,
        checks=(*held.checks, check),
    )


def read_run_json(run: RunDirectory) -> dict[str, Any]:
    """`run.json` of *run*. Raises `RunDirectoryError`."""
    run.require()
    try:
        about = orjson.loads(run.run_json.read_bytes())
    except orjson.JSONDecodeError as error:
        raise RunDirectoryError(where=str(run.run_json), what="", expected="JSON", got=str(error)) from error
    if not isinstance(about, dict):
        raise RunDirectoryError(where=str(run.run_json), what="", expected="an object", got=type(about).__name__)
    _require_keys(about, where=str(run.run_json))
    return about


def _require_keys(about: Mapping[str, Any], *, where: str) -> None:
    """What a verdict says of its run must be there: without `simulated` a lab's run would pass for a real one."""
    if about.get("schema_version") != RUN_SCHEMA_VERSION:
        got = repr(about.get("schema_version"))
        raise RunDirectoryError(where=where, what="schema_version", expected=str(RUN_SCHEMA_VERSION), got=got)
    if about.get("kind", EXPERIMENT) not in (EXPERIMENT, CHAOS_TOOLKIT):
        expected = f"{EXPERIMENT} or {CHAOS_TOOLKIT}"
        raise RunDirectoryError(where=where, what="kind", expected=expected, got=repr(about.get("kind")))
    for key, kind in (("run_id", str), ("slug", str), ("title", str), ("simulated", bool)):
        if not isinstance(about.get(key), kind):
            got = repr(about.get(key)) if key in about else "none"
            raise RunDirectoryError(where=where, what=key, expected=f"a {kind.__name__}", got=got)


def _of_experiment(run: RunDirectory, parts: Sequence[SamplePart] | None, fold_over: FoldOver | None) -> _Judgement:
    experiment = load_experiment(run.spec, variables={}, check_files=False)
    readings = read_readings(run.readings)
    events, torn = read_story(run.events)
    told = Told(
        events=events,
        steps=experiment.step_fault_ids,
        readings=readings,
        hypotheses=experiment.hypotheses,
        has_control=experiment.control_header is not None,
    )
    gather: Gather
    # Another process may have another working directory.
    there = parts_of(RunDirectory(run.path.resolve()) if fold_over else run) if parts is None else parts
    if parts is None and fold_over is None and fit_in_memory(there):
        samples = read_samples(run)
        timeline, seen, recorded = from_rows(samples, told)
        relief = relief_of_rows(samples, told, timeline)
        gather = partial(gather_rows, exposed(samples))
    else:
        over = fold_over or fold_here
        timeline, seen, recorded = from_parts(there, told, over)
        relief = relief_of_parts(there, told, timeline, over)
        of_claims = over_exposed(over) if told.has_control else over
        gather = partial(gather_parts, there, fold_over=of_claims, rank_over=over)
    whole = whole_check(events, torn, timeline)
    measured_by = partial(measure, at_any_time=experiment.may_end_early)
    judged = tuple(
        _not_at_any_time(claim, finding, timeline) if experiment.may_end_early else finding
        for claim, finding in zip(
            experiment.hypotheses,
            judge_findings(seen, experiment.hypotheses, measured_by=measured_by),
            strict=True,
        )
    )
    # None, not empty, where none were gathered: nobody knows, which is not the same as nobody called.
    gathered = any(run.arrivals.glob("*.parquet"))
    arrivals = summarise_calls(arrival_batches(run, COLUMNS), timeline) if gathered else None
    findings, paced = back_pressure(timeline, experiment.hypotheses, judged)
    findings, own = doubted(
        timeline,
        experiment.hypotheses,
        findings,
        Own(
            lag=relief.own_lag,
            again=lambda lag: judge_findings(relief.less(lag), experiment.hypotheses, measured_by=measured_by),
        ),
    )
    evidence = RunEvidence(
        timeline=timeline,
        recorded=recorded,
        arrivals=arrivals,
        readings=readings,
        hypotheses=experiment.hypotheses,
        faults_expected=bool(experiment.faults),
        kinds_expected=[kind for fault in experiment.faults for kind in fault.kinds],
    )
    controlled = control_checks(timeline, recorded, seen, experiment.hypotheses)
    checks = (
        *checks_of(evidence),
        *controlled,
        *paced,
        *own,
        *([whole] if whole else []),
        *_data_check(findings, timeline),
    )
    judgement = conclude(experiment.hypotheses, findings, checks, timeline)
    caused = with_causes(judgement.findings, experiment.hypotheses, seen.windows, gather)
    return replace(judgement, findings=caused)


def _not_at_any_time(claim: Claim, finding: Finding, timeline: Timeline) -> Finding:
    """*finding* made inconclusive where its interval would be one of a planned length, and the length was not.

    `until: decided` ends a fault only when all claims can be decided at any time; a stop condition ends any.
    """
    ended = timeline.decided or (timeline.abort.reason if timeline.abort and timeline.abort.by == "stop_when" else None)
    is_valid = not isinstance(claim, Hypothesis) or claim.is_sequential or claim.metric in NO_SAMPLING
    if ended is None or is_valid or not claim.depends_on_fault or finding.outcome is Outcome.INCONCLUSIVE:
        return finding
    why = "the run was ended by what it measured, and this claim has no interval that is valid at any time"
    return replace(finding, outcome=Outcome.INCONCLUSIVE, reason=f"Not decided ({why}). {finding.reason}")


def conclude(
    hypotheses: Sequence[Claim], findings: Sequence[Finding], checks: tuple[Check, ...], timeline: Timeline
) -> _Judgement:
    """Merge findings, checks and how the run ended into one outcome, with its reasons in sentences."""
    failed = [check for check in checks if not check.ok]
    told = tuple(_untested(h, f, failed) for h, f in zip(hypotheses, findings, strict=True))
    outcome = merge((f.outcome for f in told), invalid=bool(failed), aborted=timeline.abort is not None)
    return _Judgement(
        outcome=outcome,
        reasons=(*_reasons(outcome, told, failed, timeline.abort), *_ended_fault(timeline)),
        findings=told,
        confirmations=timeline.confirmations,
        checks=checks,
        windows=timeline.windows,
        steps=timeline.steps,
    )


def _untested(hypothesis: Claim, finding: Finding, failed: Sequence[Check]) -> Finding:
    """*finding* made inconclusive where it rests on a check that failed; its numbers stay to be read."""
    causes = [check for check in failed if _rests_on(hypothesis, check.name)]
    if not causes or finding.outcome is Outcome.INCONCLUSIVE:
        return finding
    why = "; ".join(f"{check.name}: {check.reason}" for check in causes)
    return replace(finding, outcome=Outcome.INCONCLUSIVE, reason=f"Not tested ({why}). {finding.reason}")


def _rests_on(hypothesis: Claim, check: str) -> bool:
    """Whether *hypothesis* means nothing when *check* failed."""
    if check in {validity.DELIVERED, validity.RECORDED, validity.OURS, KEPT_UP, CLOCKS, WHOLE}:
        return True
    if check in control.CHECKS:
        return isinstance(hypothesis, Hypothesis) and hypothesis.control_header is not None
    if check == validity.SEEING:
        return isinstance(hypothesis, Hypothesis) and hypothesis.metric is Metric.TIME_TO_DETECT
    if check == validity.SAW:
        return False  # a claim without its reading is inconclusive by itself
    if check in {validity.FELT, validity.SHOWN, validity.GONE, validity.STEADY}:
        # What the steady phase is like does not depend on the fault, nor on its own being good.
        return hypothesis.phase is not Phase.STEADY
    return False


def _data_check(findings: Sequence[Finding], timeline: Timeline) -> tuple[Check, ...]:
    """A claim about what left no data at all was not tested; where an abort may be the cause it is left out."""
    if timeline.abort is not None or not findings:
        return ()
    bare = [one for one in findings if one.n == 0 and one.estimate is None and one.found is None]
    if not bare:
        return (Check(name=CLAIMS_HAVE_DATA, ok=True, reason=f"all {len(findings)} have"),)
    reason = "; ".join(f"{finding.claim}: {finding.reason.rstrip('.')}" for finding in bare)
    return (Check(name=CLAIMS_HAVE_DATA, ok=False, reason=reason),)


def _reasons(
    outcome: Outcome, findings: Sequence[Finding], failed: Sequence[Check], abort: Abort | None
) -> tuple[str, ...]:
    """Why it is *outcome*: sentences, the decisive ones first."""
    ended = [f"The run was ended early ({abort.by.replace('_', ' ')}): {abort.reason.rstrip('.')}."] if abort else []
    match outcome:
        case Outcome.INVALID:
            return (*(f"Not tested: {check.name}: {check.reason.rstrip('.')}." for check in failed), *ended)
        case Outcome.REFUTED:
            return (*_claims(findings, Outcome.REFUTED), *ended)
        case Outcome.ABORTED:
            return (*ended, "No claim was refuted in what was measured before.")
        case Outcome.HELD:
            many = f"All {len(findings)} claims" if len(findings) > 1 else "The claim"
            words = any(one.found is not None for one in findings)
            sure = f", and each word was read with a confidence of {CONFIDENCE_MIN:g} or more" if words else ""
            return (f"{many} held: the whole 95 % interval satisfies the bound{sure}.",)
        case _:
            return _claims(findings, Outcome.INCONCLUSIVE) or ("The spec claims nothing, so nothing could hold.",)


def _ended_fault(timeline: Timeline) -> tuple[str, ...]:
    return () if timeline.decided is None else (f"The fault was ended early: {timeline.decided.rstrip('.')}.",)


def _claims(findings: Sequence[Finding], outcome: Outcome) -> tuple[str, ...]:
    return tuple(f"`{f.claim}` is {outcome}. {f.reason}" for f in findings if f.outcome is outcome)


def _of_journal(run: RunDirectory) -> _Judgement:
    timeline = read_timeline(read_story(run.events)[0])
    judged = judge_journal(read_journal(run.journal))
    checks = judged.checks
    if timeline.abort is not None and timeline.abort.by == "failure":
        checks = (*checks, Check(name=validity.OURS, ok=False, reason=timeline.abort.reason))
    failed = [check for check in checks if not check.ok]
    aborted = judged.interrupted or timeline.abort is not None
    if judged.finding is None:
        findings: tuple[Finding, ...] = ()
    elif failed and judged.finding.outcome is not Outcome.INCONCLUSIVE:
        findings = (replace(judged.finding, outcome=Outcome.INCONCLUSIVE),)
    else:
        findings = (judged.finding,)
    outcome = merge((f.outcome for f in findings), invalid=bool(failed), aborted=aborted)
    abort = timeline.abort
    if abort is None and judged.interrupted:
        abort = Abort(at_s=0.0, by="person", reason="Chaos Toolkit was interrupted")
    return _Judgement(
        outcome=outcome,
        reasons=_reasons(outcome, findings, failed, abort) if findings or failed or abort else (judged.why,),
        findings=findings,
        confirmations=timeline.confirmations,
        checks=checks,
        windows={},
    )


def _repeat(about: Mapping[str, Any]) -> str:
    """The command that repeats the run: what the run says, else the command it was started with."""
    command = about.get("repeat") or about.get("command") or ""
    return shlex.join(str(part) for part in command) if isinstance(command, list) else str(command)
