"""The claims held against what a run has recorded so far, while its fault lasts: for ending it early.

From disk, by the functions that judge a finished run; only the end is another one. Intervals are those that are valid
at any time, so it does not matter how often this is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormproof.analysis.estimate import ALPHA_SIDE, Estimate
from stormproof.analysis.measure import Observations, measure
from stormproof.analysis.population import observed
from stormproof.model.hypothesis import NO_SAMPLING, Claim, ClaimStopCondition, Hypothesis, Metric, Op, Phase, StopWhen
from stormproof.model.verdict import Outcome
from stormproof.record.readings import read_readings
from stormproof.record.samples import read_samples
from stormproof.verdict.decision import decide
from stormproof.verdict.integrity import read_story
from stormproof.verdict.timeline import read_timeline
from stormproof.verdict.validity import lost_zone
from stormproof.verdict.wording import quantity

if TYPE_CHECKING:
    from stormproof.record.layout import RunDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one claim stands."""

    claim: str
    outcome: Outcome  # HELD, REFUTED or INCONCLUSIVE
    said: str  # the estimate and its interval, in words


def so_far(run: RunDirectory, *, until_s: float) -> Observations:
    """What *run* has recorded of the requests that were due before *until_s* (Unix s), all of which have ended.

    Raises `RunDirectoryError` when a file cannot be read.
    """
    timeline = read_timeline(read_story(run.events)[0], last_scheduled_s=until_s)
    fault = timeline.windows.get(Phase.FAULT.value)
    steady = {name: window for name, window in timeline.windows.items() if name == Phase.STEADY.value}
    lasting = {} if fault is None or fault[0] >= until_s else {Phase.FAULT.value: (fault[0], until_s)}
    return observed(
        read_samples(run),
        {**steady, **lasting},
        readings=read_readings(run.readings),
        lost_zone=lost_zone(timeline),
        onset_slack_s=timeline.onset_slack_s,
    )


def standings(seen: Observations, hypotheses: Sequence[Claim]) -> list[Standing]:
    """Where each of *hypotheses* that depends on the fault stands.

    The claims share the chance of a false decision as finally (docs/adr/0020), and at its strictest: what is decided
    here is decided at the end, if no more happened.
    """
    by_chance = sum(isinstance(one, Hypothesis) and one.metric not in NO_SAMPLING for one in hypotheses)
    tail = ALPHA_SIDE / max(1, by_chance)
    return [_standing(one, seen, tail) for one in hypotheses if one.depends_on_fault]


def stop_reason(seen: Observations, conditions: Sequence[StopWhen]) -> str | None:
    """Why the run is to stop: the first of *conditions* whose claim is refuted; None when none is."""
    claims = [one for one in conditions if isinstance(one, ClaimStopCondition)]
    for one in claims:
        standing = _standing(one.claim, seen, ALPHA_SIDE / len(claims))
        if standing.outcome is Outcome.REFUTED:
            return f"stop condition `{one.text}`: {standing.said}"
    return None


def _standing(claim: Claim, seen: Observations, tail: float) -> Standing:
    if not isinstance(claim, Hypothesis) or not claim.can_be_decided_early:
        return Standing(claim=claim.text, outcome=Outcome.INCONCLUSIVE, said="not known before the phase has ended")
    estimate = measure(claim, seen, tail=tail, at_any_time=True)
    outcome = decide(estimate, claim.op, claim.bound)
    is_count = claim.metric is Metric.REQUESTS_FAILED
    if is_count and (outcome is Outcome.HELD or claim.op in {Op.GE, Op.GT}):
        outcome = Outcome.INCONCLUSIVE  # more may fail while the fault lasts; fewer it cannot become
    return Standing(claim=claim.text, outcome=outcome, said=_said(claim, estimate))


def _said(claim: Hypothesis, estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return estimate.reason
    found = "no value" if estimate.value is None else quantity(estimate.value, claim.unit)
    return f"{found}, {quantity(estimate.low, claim.unit)} to {quantity(estimate.high, claim.unit)}, n = {estimate.n}"
