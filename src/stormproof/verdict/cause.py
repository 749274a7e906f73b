"""What a refutation points at: the smallest evidence that shows it, and a sentence about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stormproof.analysis.cause import MOST, Bad, Evidence, Named, Question, breakdown, find
from stormproof.analysis.requests import is_window
from stormproof.model.hypothesis import Claim, Hypothesis, Metric, Phase
from stormproof.model.verdict import BadRequest, Cause, CauseRow, Finding, Outcome

if TYPE_CHECKING:
    import pandas as pd

ROWS_MAX = 12  # of the breakdown; the samples have all
_OF_FAILURES = frozenset({Metric.AVAILABILITY, Metric.ERROR_RATE, Metric.REQUESTS_FAILED, Metric.TIME_TO_RECOVER})
_OF_LATENCY = frozenset({Metric.LATENCY_QUANTILE, Metric.LATENCY_MEAN})

Windows = Mapping[str, tuple[float, float]]
Gather = Callable[[Sequence[Question]], Sequence[Evidence]]  # `analysis.cause.gather_rows`, or `gather_parts`


def with_causes(
    findings: Sequence[Finding], claims: Sequence[Claim], windows: Windows, gather: Gather
) -> tuple[Finding, ...]:
    """*findings*, the refuted ones with their cause where the claim is about requests that can be pointed at.

    *gather* is asked once, for all of them together.
    """
    asked = [
        _question(finding, claim, windows)
        if finding.outcome is Outcome.REFUTED and isinstance(claim, Hypothesis)
        else None
        for finding, claim in zip(findings, claims, strict=True)
    ]
    questions = list(dict.fromkeys(one for one in asked if one is not None))
    answers = dict(zip(questions, gather(questions), strict=True))
    return tuple(
        finding if question is None else replace(finding, cause=_cause(answers[question], question.bad))
        for finding, question in zip(findings, asked, strict=True)
    )


def what_is_bad(claim: Hypothesis, finding: Finding) -> Bad | None:
    """Which requests speak against *claim*; None where none do: what was not sent, or not detected, has no row."""
    if claim.metric in _OF_FAILURES:
        return Bad(endpoint=claim.endpoint, zone=claim.zone)
    if claim.metric not in _OF_LATENCY:
        return None
    slow_ms = claim.bound
    if claim.is_relative:  # beside a control, too: what it takes in steady is what the group is used to
        if finding.steady is None:
            return None
        slow_ms = claim.bound * finding.steady
    return Bad(slow_ms=slow_ms, endpoint=claim.endpoint, zone=claim.zone)


def window_of(claim: Hypothesis, windows: Windows) -> tuple[float, float] | None:
    """The stretch that *claim* is about; of the whole run: from the onset to the end of the load."""
    window = windows.get(claim.window)
    if claim.metric is Metric.TIME_TO_RECOVER and window is not None and Phase.RECOVERY.value in windows:
        return window[0], windows[Phase.RECOVERY.value][1]
    return window


def _question(finding: Finding, claim: Hypothesis, windows: Windows) -> Question | None:
    bad, window = what_is_bad(claim, finding), window_of(claim, windows)
    if bad is None or window is None or not is_window(window):
        return None
    steady = windows.get(Phase.STEADY.value) if claim.phase is not Phase.STEADY else None
    return Question(window=window, steady=steady, bad=bad)


def _cause(evidence: Evidence, bad: Bad) -> Cause | None:
    return cause_of(evidence, bad) if int(evidence.cells["bad"].sum()) else None


def cause_of(evidence: Evidence, bad: Bad) -> Cause:
    """The cause that *evidence* shows, which has at least one bad request."""
    named, rows = find(evidence), breakdown(evidence)
    rows = rows[rows["bad"] > 0]
    n, n_bad, steady_n, steady_bad = (int(evidence.cells[one].sum()) for one in ("n", "bad", "steady_n", "steady_bad"))
    return Cause(
        sentence=_sentence(evidence, named, bad),
        single=any(one is not None for one in (named.endpoint, named.zone, named.error)),
        endpoint=named.endpoint,
        zone=named.zone,
        error=named.error,
        seconds=named.seconds,
        bad=n_bad,
        n=n,
        steady_bad=steady_bad,
        steady_n=steady_n,
        slow_ms=bad.slow_ms,
        breakdown=tuple(
            CauseRow(
                endpoint=str(row["endpoint"]),
                zone=str(row["zone"]),
                error=str(row["error"]),
                **{one: int(row[one]) for one in ("bad", "n", "steady_bad", "steady_n")},
            )
            for row in rows.head(ROWS_MAX).to_dict("records")
        ),
        breakdown_left_out=max(0, len(rows) - ROWS_MAX),
        worst=tuple(_bad_request(int(str(row)), values.to_dict()) for row, values in evidence.worst.iterrows()),
    )


def _bad_request(row: int, values: Mapping[Any, Any]) -> BadRequest:
    latency_ms = float(values["latency_ms"])
    return BadRequest(
        row=row,
        scheduled_at=float(values["scheduled_at"]),
        endpoint=str(values["endpoint"]),
        zone=str(values["zone"]),
        status=int(values["status"]),
        latency_ms=round(latency_ms, 3) if math.isfinite(latency_ms) else None,
        error=str(values["error"]),
    )


def _sentence(evidence: Evidence, named: Named, bad: Bad) -> str:
    cells = evidence.cells
    total, n = int(cells["bad"].sum()), int(cells["n"].sum())
    what = "failed" if bad.slow_ms is None else f"failed or took longer than {bad.slow_ms:.4g} ms"
    head = f"{total} of {n} requests {what}"
    parts = []
    if named.endpoint is not None:
        parts.append(_of_part(cells, "endpoint", named.endpoint, named.endpoint_share, f"on endpoint {named.endpoint}"))
    if named.zone is not None:
        if named.is_silent:
            parts.append(f"zone {named.zone} alone had less than half of its steady share of the answers")
        else:
            parts.append(_of_part(cells, "zone", named.zone, named.zone_share, f"answered by zone {named.zone}"))
    if named.error is not None:
        share = cells.loc[cells["error"] == named.error, "bad"].sum() / total
        parts.append(f"{share:.0%} with the error {named.error}")
    if named.seconds is not None:
        start_s, end_s = (at - evidence.start_s for at in named.seconds)
        parts.append(f"{named.seconds_share:.0%} between {start_s:.1f} s and {end_s:.1f} s of the window")
    if named.endpoint is named.zone is named.error is None:
        counts = cells[cells["bad"] > 0]
        kinds = counts.loc[counts["error"] != "", "error"].nunique()
        spread = (
            f"no single cause: they are spread over {_many(counts['endpoint'].nunique(), 'endpoint')}, "
            f"{_many(counts.loc[counts['zone'] != '', 'zone'].nunique(), 'zone')} and {_many(kinds, 'kind')} of error, "
            f"and none has {MOST:.0%} of them and is worse than the rest"
        )
        parts.insert(0, spread)
    return f"{head}: {'; '.join(parts)}."


def _of_part(cells: pd.DataFrame, column: str, value: str, share: float, where: str) -> str:
    traffic = int(cells.loc[cells[column] == value, "n"].sum()) / int(cells["n"].sum())
    whole = "of what steady does not explain" if int(cells["steady_bad"].sum()) else "of them"
    return f"{share:.0%} {whole} {where}, which had {traffic:.0%} of the requests"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"
