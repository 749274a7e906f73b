"""Whether a run could have come out the other way: only then is it evidence of anything.

A claim could have failed when the worst that its own measurement could have shown would have refuted it. For a share
that is Clopper–Pearson's upper end with none of *n* good, ``1 - 0.025^(1/n)``, against the bound; for a time, whether
the run watched longer than the bound; for a latency, whether the load waited longer than the bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stormproof.model.hypothesis import Phase
from stormproof.model.verdict import Finding, Outcome, Verdict

TAIL = 0.025  # beyond each end of a 95 % two-sided interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Potency:
    """Why a run counts, or why it does not."""

    counts: bool
    reasons: tuple[str, ...]  # why it does not; () when it does
    felt: tuple[str, ...]  # faults seen from outside
    could_fail: tuple[str, ...]  # claims, decided, that could have been refuted
    could_not_fail: Mapping[str, str]  # claim → why no result could have refuted it
    undecided: tuple[str, ...]  # claims that came to nothing


def potency_of(verdict: Verdict, *, timeout_s: float | None) -> Potency:
    """What *verdict* is worth. *timeout_s* is how long the load waited for an answer; None: it is not known."""
    could_fail, could_not, undecided = [], {}, []
    for finding in verdict.findings:
        if finding.outcome is Outcome.INCONCLUSIVE:
            undecided.append(finding.claim)
        elif reason := why_it_cannot_fail(finding, verdict, timeout_s=timeout_s):
            could_not[finding.claim] = reason
        else:
            could_fail.append(finding.claim)
    felt = tuple(one.fault_id for one in verdict.confirmations if one.felt)
    reasons = [f"{check.name}: {check.reason}" for check in verdict.checks if not check.ok]
    if not verdict.confirmations:
        reasons.append("no fault was injected")
    reasons += [f"{one.fault_id} was not felt: {one.reason}" for one in verdict.confirmations if not one.felt]
    if not verdict.checks:
        reasons.append("nothing was checked")
    if verdict.outcome in (Outcome.INVALID, Outcome.ABORTED):
        reasons.append(f"the run is {verdict.outcome}")
    if not could_fail:
        reasons.append("no claim was decided that could have failed")
    return Potency(
        counts=not reasons,
        reasons=tuple(dict.fromkeys(reasons)),
        felt=felt,
        could_fail=tuple(could_fail),
        could_not_fail=could_not,
        undecided=tuple(undecided),
    )


def why_it_cannot_fail(finding: Finding, verdict: Verdict, *, timeout_s: float | None) -> str:
    """Why nothing that *finding* could have measured would have refuted it; "" when something would."""
    if finding.outcome is Outcome.REFUTED or finding.bound is None:
        return ""  # it did fail; or it is about a word, of which the probe knows others
    is_floor = finding.op.startswith(">")
    if is_floor and finding.bound <= 0:
        return "nothing is below 0"
    if finding.unit == "share":
        return _of_share(finding, is_floor=is_floor)
    if is_floor:
        return ""
    if finding.unit == "s":
        return _of_time(finding, verdict)
    if finding.unit == "ms" and timeout_s is not None and finding.bound >= timeout_s * 1000:
        return f"the load waited {timeout_s:g} s for an answer, no longer than the bound"
    if finding.unit == "count" and finding.bound >= finding.n:
        return f"there were {finding.n} requests, no more than the bound"
    return ""


def _of_share(finding: Finding, *, is_floor: bool) -> str:
    bound = finding.bound or 0.0
    if not is_floor and bound >= 1:
        return "nothing is above 100 %"
    if finding.n < 1:
        return "there were no requests"
    least_bad = 1 - TAIL ** (1 / finding.n)
    worst_is_refuted = least_bad < bound if is_floor else 1 - least_bad > bound
    return "" if worst_is_refuted else f"with {finding.n} requests not even the worst result would have refuted it"


def _of_time(finding: Finding, verdict: Verdict) -> str:
    """A time counts from the onset; what was watched is from there to the end of load, or of the step."""
    stretches = {**verdict.windows, **verdict.steps}
    named = [name for name in verdict.steps if finding.claim.endswith(f"during {name}")]
    wanted = named or ([Phase.FAULT.value, Phase.RECOVERY.value] if "recover" in finding.claim else [Phase.FAULT.value])
    watched_s = sum(stretches[name][1] - stretches[name][0] for name in wanted if name in stretches)
    bound = finding.bound or 0.0
    return "" if watched_s > bound else f"the run watched for {watched_s:.0f} s, no longer than the bound"
