"""Whether a run tested its claims at all: the conditions without which no finding means anything.

Only what was *observed* to be wrong fails a check. What an abort kept from happening is left out, not failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.analysis.detection import health_of_zone, longest_gap_s
from stormproof.model.hypothesis import Claim, Hypothesis, Metric, Phase, ReadingHypothesis
from stormproof.model.verdict import Check
from stormproof.verdict.effect import effect_seen
from stormproof.verdict.generator import clocks_agreed, kept_up
from stormproof.verdict.integrity import tolerated, unrecorded
from stormproof.verdict.reading import closing_reading
from stormproof.verdict.recorded import LATE_S, Recorded
from stormproof.verdict.sighting import Evidence

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.model.verdict import Confirmation
    from stormproof.verdict.timeline import Timeline

STEADY_OK_SHARE_MIN = 0.99
STEADY_N_MIN = 50  # fewer, and even 5 % failing would often go unseen
READING_GAP_MAX_S = 1.0
DELIVERED_SHARE_MIN = 0.95  # where the load did not say

FELT = "fault felt"
SHOWN = "fault met by the workload"
GONE = "fault undone and seen gone"
DELIVERED = "load delivered"
RECORDED = "every request recorded"
STEADY = "steady before"
SEEING = "probes saw"
SAW = "closing probes saw"
OURS = "nothing of ours failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvidence:
    """Everything that the checks look at."""

    timeline: Timeline
    recorded: Recorded
    arrivals: pd.DataFrame | None
    readings: Sequence[Mapping[str, Any]]
    hypotheses: Sequence[Claim]
    faults_expected: bool = True  # whether the spec asked for a fault
    kinds_expected: Sequence[str] = ()  # the kinds that the spec asked for, one for each fault or part of one


def checks_of(run: RunEvidence) -> tuple[Check, ...]:
    """Every check that was due, in the order in which a reader wants them."""
    return (
        *_faults(run),
        *_load(run),
        *kept_up(run.timeline),
        *clocks_agreed(run.timeline),
        *_recorded(run),
        *_steady(run),
        *_probes(run),
        *_ours(run),
    )


def _faults(run: RunEvidence) -> list[Check]:
    timeline = run.timeline
    if not timeline.fault_was_due:
        if timeline.abort is not None or not run.faults_expected:
            return []
        return [Check(name=FELT, ok=False, reason="no fault was ever injected")]
    checks = _never_injected(run)
    evidence = Evidence(
        samples=None,
        arrivals=run.arrivals,
        windows=timeline.windows,
        acted=timeline.acted,
        counts=run.recorded.effects,
    )
    for confirmation in timeline.confirmations:
        if not confirmation.felt and timeline.abort is not None and confirmation.fault_id not in timeline.denied:
            continue  # the abort came before anyone could see it
        checks.append(Check(name=FELT, ok=confirmation.felt, reason=f"{confirmation.fault_id}: {confirmation.reason}"))
        if confirmation.felt and not _cut_short(confirmation, timeline) and not _unseen(confirmation, run):
            sighting = effect_seen(timeline.effects.get(confirmation.fault_id, {}), confirmation, evidence)
            reason = f"{confirmation.fault_id}: {sighting.reason}"
            checks.append(Check(name=SHOWN, ok=sighting.seen, reason=reason))
        unknown = timeline.abort is not None and confirmation.fault_id not in timeline.not_gone
        if confirmation.gone or (confirmation.gone is False and not unknown):
            reason = f"{confirmation.fault_id}: {confirmation.reason}"
            checks.append(Check(name=GONE, ok=confirmation.gone, reason=reason))
        if timeline.abort is None and confirmation.felt and (untold := _untold(confirmation, timeline)):
            checks.append(Check(name=GONE, ok=False, reason=f"{confirmation.fault_id}: {untold}"))
    return checks


def _never_injected(run: RunEvidence) -> list[Check]:
    """A check for each kind of which the spec asked for more than the record tells of."""
    if run.timeline.abort is not None:
        return []
    missing = Counter(run.kinds_expected)
    missing.subtract(confirmation.kind for confirmation in run.timeline.confirmations)
    return [
        Check(name=FELT, ok=False, reason=f"{kind}: asked for, and never injected")
        for kind, count in missing.items()
        if count > 0
    ]


def _untold(confirmation: Confirmation, timeline: Timeline) -> str:
    """What the record lacks of a fault that was felt and, it says, is gone; "" when it lacks nothing."""
    if confirmation.gone is None:
        return "the record does not say when it was injected"
    if confirmation.gone and Phase.RECOVERY.value not in timeline.windows:
        return "the load ended before it was seen gone, so there was no recovery"
    return ""


def _cut_short(confirmation: Confirmation, timeline: Timeline) -> bool:
    """Whether an abort came so soon after the fault was felt that the workload had no time to show it."""
    if timeline.abort is None or confirmation.felt_at is None:
        return False
    return timeline.abort.at_s < confirmation.felt_at + 2.0


def _unseen(confirmation: Confirmation, run: RunEvidence) -> bool:
    """Whether the effect would show in arrivals that a run cut off (its conductor killed) never gathered."""
    kind = str(run.timeline.effects.get(confirmation.fault_id, {}).get("kind"))
    return run.timeline.abort is not None and run.arrivals is None and kind.startswith(("arrivals-", "client-"))


def _load(run: RunEvidence) -> list[Check]:
    timeline = run.timeline
    started, stopped = timeline.load_started, timeline.load_stopped
    if started is None:
        return [] if timeline.abort else [Check(name=DELIVERED, ok=False, reason="the load never started")]
    if stopped is None:
        return (
            [] if timeline.abort else [Check(name=DELIVERED, ok=False, reason="the load never reported what it sent")]
        )
    workers = list(stopped.get("workers") or [])
    if started.get("model") == "closed":
        quiet = [phase for phase in timeline.windows if run.recorded.requests[phase] == 0]
        reason = f"no requests in {', '.join(quiet)}" if quiet else "closed model: requests in every phase"
        return [Check(name=DELIVERED, ok=not quiet, reason=reason)]
    least = float(started.get("delivered_share_min", DELIVERED_SHARE_MIN))
    shares = _delivered_shares(workers, run.recorded, timeline.windows)
    if not shares:
        return [] if timeline.abort else [Check(name=DELIVERED, ok=False, reason="nothing was offered")]
    text = ", ".join(f"{share:.1%} {phase}" for phase, share in shares.items())
    reason = f"sent within {LATE_S * 1000:.0f} ms of schedule: {text}; at least {least:.0%} is needed"
    return [Check(name=DELIVERED, ok=min(shares.values()) >= least, reason=reason)]


def _delivered_shares(
    workers: Sequence[Mapping[str, Any]], recorded: Recorded, windows: Mapping[str, tuple[float, float]]
) -> dict[str, float]:
    """Requests sent on time over requests offered: overall, and for the whole seconds of each phase."""
    offered = sum(int(worker.get("offered", 0)) for worker in workers)
    if offered == 0:
        return {}
    on_time = sum(float(worker.get("sent", 0)) * (1 - float(worker.get("late_share") or 0.0)) for worker in workers)
    shares = {"overall": on_time / offered}
    per_second = np.array(
        [row[:3] for worker in workers for row in worker.get("per_second", [])], dtype=np.float64
    ).reshape(-1, 3)
    for phase, (start_s, end_s) in windows.items():
        first, last = np.ceil(start_s), np.floor(end_s)
        whole = per_second[(per_second[:, 0] >= first) & (per_second[:, 0] + 1 <= last)]
        if not whole[:, 1].sum():
            continue  # shorter than a whole second: the overall share has it
        shares[f"in {phase}"] = float(max(0.0, whole[:, 2].sum() - recorded.late[phase]) / whole[:, 1].sum())
    return shares


def _recorded(run: RunEvidence) -> list[Check]:
    """Rows on disk against what the workers sent; requests that vanish are often the ones that hung."""
    rows = run.recorded.rows
    if rows == 0:
        return [] if run.timeline.abort else [Check(name=RECORDED, ok=False, reason="there are no samples")]
    if run.timeline.load_stopped is None:
        return []
    workers = list(run.timeline.load_stopped.get("workers") or [])
    completed, sent = (sum(int(worker.get(key, 0)) for worker in workers) for key in ("completed", "sent"))
    # A task may send several requests, so `completed` tasks are the fewest rows, not their number.
    written = [worker.get("rows") for worker in workers]
    expected = completed if None in written else sum(int(count) for count in written if count is not None)
    tolerance = max(2, round(0.01 * completed)) if None in written or run.timeline.abort is not None else 0
    if abs(rows - expected) > tolerance:
        reason = f"{rows} samples on disk, {expected} requests recorded by the workers"
        return [Check(name=RECORDED, ok=False, reason=reason)]
    if impossible := run.recorded.impossible:
        reason = f"{impossible} of {rows} samples have times that cannot be"
        return [Check(name=RECORDED, ok=False, reason=reason)]
    cut_off = run.timeline.abort is not None or run.timeline.denied  # the drain was a short one
    lost = 0 if cut_off else unrecorded(run.recorded.by_second, workers)
    if lost > tolerated(sent):
        return [Check(name=RECORDED, ok=False, reason=f"of {sent} requests sent, {lost} left no sample")]
    return [Check(name=RECORDED, ok=True, reason=f"{rows} samples, {completed} requests completed, {sent} sent")]


def _steady(run: RunEvidence) -> list[Check]:
    window = run.timeline.windows.get(Phase.STEADY.value)
    aborted = run.timeline.abort is not None
    if window is None:
        return [] if aborted else [Check(name=STEADY, ok=False, reason="there was no steady phase")]
    n, n_ok = run.recorded.requests[Phase.STEADY], run.recorded.succeeded[Phase.STEADY]
    if n < STEADY_N_MIN:
        reason = f"only {n} requests in the steady phase, at least {STEADY_N_MIN} are needed to call it steady"
        return [] if aborted else [Check(name=STEADY, ok=False, reason=reason)]
    ok_share = n_ok / n
    reason = f"{n_ok} of {n} requests succeeded ({ok_share:.2%}); {STEADY_OK_SHARE_MIN:.0%} is needed"
    return [Check(name=STEADY, ok=ok_share >= STEADY_OK_SHARE_MIN, reason=reason)]


def _probes(run: RunEvidence) -> list[Check]:
    """Only where a claim needs the probe: readings of the lost zone without a gap in which detection could hide."""
    return [*_watching(run), *_closing(run)]


def _closing(run: RunEvidence) -> list[Check]:
    """Each closing probe that a claim names has left a reading; after an abort none was asked."""
    probes = dict.fromkeys(one.probe for one in run.hypotheses if isinstance(one, ReadingHypothesis))
    checks = []
    for probe in probes:
        seen = closing_reading(run.readings, probe)
        if seen.value is None and run.timeline.abort is not None:
            continue
        reason = f"{probe}: {seen.reason}" if seen.value is None else f"{probe} left its reading"
        checks.append(Check(name=SAW, ok=seen.value is not None, reason=reason))
    return checks


def _watching(run: RunEvidence) -> list[Check]:
    if not any(isinstance(one, Hypothesis) and one.metric is Metric.TIME_TO_DETECT for one in run.hypotheses):
        return []
    window, zone = run.timeline.windows.get(Phase.FAULT.value), lost_zone(run.timeline)
    if window is None or zone is None:
        if run.timeline.abort is not None:
            return []
        return [Check(name=SEEING, ok=False, reason="no fault of this run silences a zone: nothing to detect")]
    gap_s = longest_gap_s(health_of_zone(run.readings, zone), start_s=window[0], end_s=window[1])
    reason = f"the longest gap between readings of zone {zone}'s target health in the fault phase was {gap_s:.2f} s"
    return [Check(name=SEEING, ok=gap_s <= READING_GAP_MAX_S, reason=reason)]


def _ours(run: RunEvidence) -> list[Check]:
    abort = run.timeline.abort
    if abort is None or abort.by != "failure":
        return []
    return [Check(name=OURS, ok=False, reason=abort.reason)]


def lost_zone(timeline: Timeline) -> str | None:
    """The zone that a fault of this run silences."""
    for effect in timeline.effects.values():
        if effect.get("kind") == "zone-silent":
            return str(effect.get("zone"))
    return None
