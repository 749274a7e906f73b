"""Hypotheses held against what was measured: one finding each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from stormproof.analysis.estimate import Estimate, no_estimate
from stormproof.analysis.measure import Observations, measure, steady_value
from stormproof.analysis.requests import is_window, requests_in, require_columns
from stormproof.errors import InputError
from stormproof.model.hypothesis import Hypothesis, Metric, Phase, Unit
from stormproof.model.verdict import Finding, Outcome
from stormproof.verdict.decision import decide, what_would_decide

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("claim", "verdict", "estimate", "low", "high", "n", "reason")
NO_SAMPLING = frozenset({Metric.TIME_TO_DETECT, Metric.TIME_TO_RECOVER, Metric.REQUESTS_FAILED})
Measure = Callable[[Hypothesis, Observations], Estimate]


def judge(samples: pd.DataFrame, windows: Mapping[str, tuple[float, float]], hypotheses: Sequence[str]) -> pd.DataFrame:
    """Hold the texts *hypotheses* against *samples*; see `stormproof.judge`."""
    import pandas as pd

    from stormproof.spec.hypothesis import parse_hypothesis

    parsed = [parse_hypothesis(text) for text in hypotheses]
    # Samples of another tool may not know zones or endpoints; a claim that names one needs them.
    named = {"zone": any(one.zone for one in parsed), "endpoint": any(one.endpoint for one in parsed)}
    unknown = {column: "" for column, needed in named.items() if not needed and column not in samples.columns}
    _check_ok(samples)
    findings = judge_findings(Observations(samples=samples.assign(**unknown), windows=windows), parsed)
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


def judge_findings(
    seen: Observations, hypotheses: Sequence[Hypothesis], *, measured_by: Measure = measure
) -> tuple[Finding, ...]:
    """One finding a hypothesis, in their order. Raises `InputError` when *seen.samples* lacks a column."""
    require_columns(seen.samples)
    return tuple(_finding(hypothesis, seen, measured_by) for hypothesis in hypotheses)


def _finding(hypothesis: Hypothesis, seen: Observations, measured_by: Measure) -> Finding:
    try:
        estimate = measured_by(hypothesis, seen)
        outcome = decide(estimate, hypothesis.op, hypothesis.bound)
        steady = steady_value(hypothesis, seen)
        reason = _reason(hypothesis, estimate, outcome, _rate_per_s(hypothesis, seen))
    except Exception as error:  # noqa: BLE001  # a judge that crashes knows nothing: reported, and never held
        outcome, steady = Outcome.INCONCLUSIVE, None
        estimate = no_estimate("", method="none")
        reason = f"The judge crashed, which says nothing about the claim: {type(error).__name__}: {error}."
    return Finding(
        claim=hypothesis.text,
        outcome=outcome,
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


def _plain(value: float | None) -> float | None:
    """*value* as a Python float; None for NaN."""
    return None if value is None or math.isnan(value) else float(value)


def _rate_per_s(hypothesis: Hypothesis, seen: Observations) -> float:
    """Requests a second that the hypothesis is about, in its phase."""
    window = seen.windows.get((hypothesis.phase or Phase.FAULT).value)
    if window is None or not is_window(window):
        return 0.0
    return requests_in(seen.samples, window, endpoint=hypothesis.endpoint, zone=hypothesis.zone).rate_per_s


def _reason(hypothesis: Hypothesis, estimate: Estimate, outcome: Outcome, rate_per_s: float) -> str:
    """One sentence: what was found, against which bound, and what would decide it when nothing did."""
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
    match outcome:
        case Outcome.HELD:
            text = f"{said}: all of it is {bound}"
        case Outcome.REFUTED:
            text = f"{said}: none of it is {bound}"
        case _:
            advice = what_would_decide(hypothesis, estimate, rate_per_s=rate_per_s)
            text = f"{said}: the bound {bound} lies within" + (f"; {advice}" if advice else "")
    return text + (f" ({estimate.note})." if estimate.note else ".")


def quantity(value: float, unit: Unit) -> str:
    """*value* as people write it: ``99.53 %``, ``12.4 ms``, ``1.32x``; "not reached" for infinity."""
    if math.isinf(value):
        return "not reached"
    match unit:
        case Unit.SHARE:
            return f"{_digits(value * 100, 2)} %"
        case Unit.MILLISECONDS:
            return f"{_digits(value, 1)} ms"
        case Unit.SECONDS:
            return f"{_digits(value, 2)} s"
        case Unit.PER_SECOND:
            return f"{_digits(value, 1)}/s"
        case Unit.COUNT:
            return f"{value:.0f}"
        case Unit.RATIO:
            return f"{_digits(value, 3)}x"


def _digits(value: float, places: int) -> str:
    """*value* to *places* decimals, more where that would hide that it is not 0 or not 100."""
    text = f"{value:.{places}f}"
    if value not in {0.0, 100.0} and float(text) in {0.0, 100.0}:
        text = f"{value:.{places + 3}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
