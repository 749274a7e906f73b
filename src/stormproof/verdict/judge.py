"""Hypotheses held against what was measured: one finding each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stormproof.analysis.estimate import Estimate, no_estimate
from stormproof.analysis.measure import Observations, measure, steady_value
from stormproof.analysis.requests import is_window, require_columns
from stormproof.errors import InputError
from stormproof.model.hypothesis import NO_SAMPLING, Claim, Hypothesis, Metric, ReadingHypothesis
from stormproof.model.verdict import Finding, Outcome
from stormproof.record.sample_part import fit_in_memory, parts_in
from stormproof.verdict.decision import decide, satisfies, what_would_decide
from stormproof.verdict.family import not_sure_enough
from stormproof.verdict.judge_input import check_hypotheses, check_numbers, check_windows
from stormproof.verdict.judge_reading import reading_finding
from stormproof.verdict.wording import quantity

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("claim", "verdict", "estimate", "low", "high", "n", "reason")
Measure = Callable[..., Estimate]  # (hypothesis, observations, *, tail)


def judge(
    samples: pd.DataFrame | Path, windows: Mapping[str, tuple[float, float]], hypotheses: Sequence[str]
) -> pd.DataFrame:
    """Hold the texts *hypotheses* against *samples*; see `stormproof.judge`."""
    import pandas as pd

    from stormproof.spec.hypothesis import parse_hypothesis

    check_hypotheses(hypotheses)
    check_windows(windows)
    parsed = [parse_hypothesis(text) for text in hypotheses]
    of_samples = [one for one in parsed if isinstance(one, Hypothesis)]
    seen = (
        _in_parts(samples, windows, of_samples)
        if isinstance(samples, Path)
        else _in_memory(samples, windows, of_samples)
    )
    findings = judge_findings(seen, parsed)
    rows = [(f.claim, f.outcome.value, f.estimate, f.low, f.high, f.n, f.reason) for f in findings]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"estimate": "float64", "low": "float64", "high": "float64", "n": "int64"})


def _check_ok(samples: pd.DataFrame) -> None:
    """Raise `InputError` for an `ok` that says neither yes nor no: the text "True" would count as a failure."""
    if "ok" not in samples.columns:  # which is told with the other columns
        return
    known = samples["ok"].dropna()
    odd = known[~known.isin([True, False])]
    if len(odd):
        raise InputError(
            where="samples",
            what="ok",
            expected="true or false in every row (or nothing, which counts as failed)",
            got=f"{odd.iloc[0]!r}, a {type(odd.iloc[0]).__name__}, in row {odd.index[0]!r}",
        )


def _in_memory(
    samples: pd.DataFrame, windows: Mapping[str, tuple[float, float]], parsed: Sequence[Hypothesis]
) -> Observations:
    check_numbers(samples)
    # Samples of another tool may not know zones or endpoints; a claim that names one needs them.
    named = {"zone": any(one.zone for one in parsed), "endpoint": any(one.endpoint for one in parsed)}
    unknown = {column: "" for column, needed in named.items() if not needed and column not in samples.columns}
    _check_ok(samples)
    return Observations(samples=samples.assign(**unknown), windows=windows)


def _in_parts(folder: Path, windows: Mapping[str, tuple[float, float]], parsed: Sequence[Hypothesis]) -> Observations:
    """Few rows are read whole, and judged exactly; many are counted, part by part."""
    import pandas as pd
    import pyarrow.parquet as pq

    from stormproof.analysis.stream import observe

    parts = parts_in(folder)
    paths = [Path(part.path) for part in parts]
    if not fit_in_memory(parts):
        return observe(paths, windows, parsed)
    frame = pd.concat([pq.read_table(path, partitioning=None).to_pandas() for path in paths], ignore_index=True)
    return _in_memory(frame, windows, parsed)


def judge_findings(
    seen: Observations, hypotheses: Sequence[Claim], *, measured_by: Measure = measure
) -> tuple[Finding, ...]:
    """One finding a hypothesis, in their order. Raises `InputError` when *seen.samples* lacks a column."""
    require_columns(seen.samples)
    of_samples = iter(_sample_findings(seen, [one for one in hypotheses if isinstance(one, Hypothesis)], measured_by))
    return tuple(
        reading_finding(one, seen.readings) if isinstance(one, ReadingHypothesis) else next(of_samples)
        for one in hypotheses
    )


def _sample_findings(seen: Observations, hypotheses: Sequence[Hypothesis], measured_by: Measure) -> tuple[Finding, ...]:
    """The claims about requests, which share one chance of a false refutation (docs/adr/0020)."""
    judged = [_judged(hypothesis, seen, measured_by) for hypothesis in hypotheses]
    by_chance = [one.hypothesis.metric not in NO_SAMPLING for one in judged]
    refuted = [i for i, one in enumerate(judged) if by_chance[i] and one.outcome is Outcome.REFUTED]

    def is_refuted_at(claim: int, tail: float) -> bool:
        hypothesis = judged[claim].hypothesis
        return decide(measured_by(hypothesis, seen, tail=tail), hypothesis.op, hypothesis.bound) is Outcome.REFUTED

    weak = not_sure_enough(refuted, sum(by_chance), is_refuted_at) if sum(by_chance) > 1 else {}
    return tuple(
        _finding(replace(one, outcome=Outcome.INCONCLUSIVE), seen, Sharing(claims=sum(by_chance), tail=weak[i]))
        if i in weak
        else _finding(one, seen)
        for i, one in enumerate(judged)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """One hypothesis held against its own interval, before the other claims of the spec are looked at."""

    hypothesis: Hypothesis
    estimate: Estimate
    outcome: Outcome
    crash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Why a claim that is refuted when alone is not among *claims*: it would have to be with *tail* on its side."""

    claims: int
    tail: float


def _judged(hypothesis: Hypothesis, seen: Observations, measured_by: Measure) -> _Judged:
    try:
        estimate = measured_by(hypothesis, seen)
        outcome = decide(estimate, hypothesis.op, hypothesis.bound)
    except Exception as error:  # noqa: BLE001  # a judge that crashes knows nothing: reported, and never held
        crash = f"{type(error).__name__}: {error}"
        nothing = no_estimate("", method="none")
        return _Judged(hypothesis=hypothesis, estimate=nothing, outcome=Outcome.INCONCLUSIVE, crash=crash)
    return _Judged(hypothesis=hypothesis, estimate=estimate, outcome=outcome)


def _finding(judged: _Judged, seen: Observations, sharing: Sharing | None = None) -> Finding:
    hypothesis, estimate = judged.hypothesis, judged.estimate
    if judged.crash:
        steady = None
        reason = f"The judge crashed, which says nothing about the claim: {judged.crash}."
    else:
        steady = steady_value(hypothesis, seen)
        reason = _reason(judged, _rate_per_s(hypothesis, seen), sharing) + _not_the_faults(judged, steady)
    return Finding(
        claim=hypothesis.text,
        outcome=judged.outcome,
        estimate=_plain(estimate.value),
        low=_plain(estimate.low),
        high=_plain(estimate.high),
        n=estimate.n,
        reason=reason,
        unit=hypothesis.unit.value,
        op=hypothesis.op.value,
        bound=hypothesis.bound,
        method=estimate.method,
        steady=_plain(steady),
    )


def _not_the_faults(judged: _Judged, steady: float | None) -> str:
    """What is said besides where a refuted bound was broken before anything was; nothing of claims about changes."""
    hypothesis = judged.hypothesis
    if judged.outcome is not Outcome.REFUTED or hypothesis.is_relative or steady is None or math.isnan(steady):
        return ""
    # A share of the traffic is often claimed to be another than in steady.
    if hypothesis.metric is Metric.TRAFFIC_SHARE or satisfies(steady, hypothesis.op, hypothesis.bound):
        return ""
    return f" It was so before the fault, too: {quantity(steady, hypothesis.unit)} in steady."


def _plain(value: float | None) -> float | None:
    """*value* as a Python float; None for NaN."""
    return None if value is None or math.isnan(value) else float(value)


def _rate_per_s(hypothesis: Hypothesis, seen: Observations) -> float:
    """Requests a second that the hypothesis is about, in its phase."""
    window = seen.windows.get(hypothesis.window)
    if window is None or not is_window(window):
        return 0.0
    return seen.requests(window, endpoint=hypothesis.endpoint, zone=hypothesis.zone).rate_per_s


def _reason(judged: _Judged, rate_per_s: float, sharing: Sharing | None) -> str:
    """One sentence: what was found, against which bound, and what would decide it when nothing did."""
    hypothesis, estimate = judged.hypothesis, judged.estimate
    unit = hypothesis.unit
    bound = f"{hypothesis.op} {quantity(hypothesis.bound, unit)}"
    if estimate.low is None or estimate.high is None:
        return f"No estimate: {estimate.reason}."
    found = quantity(estimate.value, unit) if estimate.value is not None else f"No value ({estimate.reason})"
    # A single event or a full count has ends, but no error of sampling that a confidence could be about.
    ends = (quantity(estimate.low, unit), quantity(estimate.high, unit))
    between = "between " + " and ".join(ends)
    interval = between if hypothesis.metric in NO_SAMPLING else "95 % interval " + " to ".join(ends)
    said = f"{found}, {interval}, n = {estimate.n}"
    match judged.outcome:
        case Outcome.HELD:
            text = f"{said}: all of it is {bound}"
        case Outcome.REFUTED:
            text = f"{said}: none of it is {bound}"
        case _ if sharing is not None:
            advice = what_would_decide(hypothesis, estimate, rate_per_s=rate_per_s, tail=sharing.tail)
            text = (
                f"{said}: none of it is {bound}, but one of {sharing.claims} claims is refuted only if that is so of "
                f"its {100 * (1 - 2 * sharing.tail):.4g} % interval too" + (f"; {advice}" if advice else "")
            )
        case _:
            advice = what_would_decide(hypothesis, estimate, rate_per_s=rate_per_s)
            text = f"{said}: the bound {bound} lies within" + (f"; {advice}" if advice else "")
    return text + (f" ({estimate.note})." if estimate.note else ".")
