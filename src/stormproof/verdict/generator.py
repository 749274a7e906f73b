"""Whether the load generator itself was fit to measure: its CPU, its event loop, what a closed model could not send.

What it cannot do in time it adds to the latency of the workload, and what it never sent nobody waited for. The first
may refute a claim that is true, the second hold one that is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.model.hypothesis import Claim, Hypothesis, Metric, Phase
from stormproof.model.load_listener import CLOCK_ERROR_S_MAX
from stormproof.model.verdict import Check, Finding, Outcome

if TYPE_CHECKING:
    from stormproof.verdict.timeline import Timeline

KEPT_UP = "load generator kept up"
PACE = "closed model kept its pace"
CLOCKS = "load workers' clocks agreed"
# Of one core, over a phase. A queue with one server that is busy 90 % of the time makes ten of a wait of one; it is the
# bound at which Locust warns, too. The process's own CPU time: a neighbour on the machine cannot raise it.
CPU_SHARE_MAX = 0.9
# Ticks more than 100 ms late: the same share that may be sent late, so a machine busy enough for one is so for both.
LOOP_LATE_SHARE_MAX = 0.05
WHOLE_SECONDS_MIN = 3  # a shorter phase says too little: a second has ten ticks
# Requests a second, of what steady had. Half: then what was not sent is as much as what was.
PACE_MIN = 0.5
_HIDDEN_BY_WAITING = frozenset(
    {Metric.AVAILABILITY, Metric.ERROR_RATE, Metric.LATENCY_QUANTILE, Metric.LATENCY_MEAN, Metric.REQUESTS_FAILED}
)

Windows = Mapping[str, tuple[float, float]]


def kept_up(timeline: Timeline) -> list[Check]:
    """No worker's CPU at its end, and no event loop late, in any phase. Due where the workers looked at themselves."""
    workers = list((timeline.load_stopped or {}).get("workers") or [])
    strains = {phase: strain(workers, window) for phase, window in timeline.windows.items()}
    known = {phase: one for phase, one in strains.items() if one is not None}
    if not known:
        return []
    ok = all(cpu <= CPU_SHARE_MAX and late <= LOOP_LATE_SHARE_MAX for cpu, late in known.values())
    text = ", ".join(f"{cpu:.0%} and {late:.1%} in {phase}" for phase, (cpu, late) in known.items())
    reason = (
        f"busiest worker's CPU (of one core), and its event loop's ticks more than 100 ms late: {text}; "
        f"at most {CPU_SHARE_MAX:.0%} and {LOOP_LATE_SHARE_MAX:.0%} are allowed"
    )
    return [Check(name=KEPT_UP, ok=ok, reason=reason)]


def clocks_agreed(timeline: Timeline) -> list[Check]:
    """The instants of every worker's rows were known well enough. Due where a worker was on another machine."""
    workers = (timeline.load_stopped or {}).get("workers") or []
    errors_ms = [(one.get("clock_error_ms"), one.get("host")) for one in workers]
    known = [(float(error_ms), str(host)) for error_ms, host in errors_ms if error_ms is not None]
    if not known:
        return []
    error_ms, host = max(known)
    most_ms = CLOCK_ERROR_S_MAX * 1000
    reason = (
        f"the rows of {len(known)} worker(s) of other machines may be off by {error_ms:.1f} ms (that of {host}); "
        f"at most {most_ms:.0f} ms are allowed"
    )
    return [Check(name=CLOCKS, ok=error_ms <= most_ms, reason=reason)]


def strain(workers: Sequence[Mapping[str, Any]], window: tuple[float, float]) -> tuple[float, float] | None:
    """The largest share of CPU, and of late ticks, that any worker had in the whole seconds of *window*.

    None where they are fewer than `WHOLE_SECONDS_MIN`, or nobody looked.
    """
    first, last = float(np.ceil(window[0])), float(np.floor(window[1]))
    found = []
    for worker in workers:
        rows = np.array(worker.get("loop_per_second") or [], dtype=np.float64).reshape(-1, 5)
        inside = rows[(rows[:, 0] >= first) & (rows[:, 0] + 1 <= last)]
        if last - first >= WHOLE_SECONDS_MIN and inside[:, 1].sum() > 0:
            cpu_share = inside[:, 4].sum() / 1000 / (last - first)
            found.append((float(cpu_share), float(inside[:, 2].sum() / inside[:, 1].sum())))
    return (max(cpu for cpu, _ in found), max(late for _, late in found)) if found else None


def paces(workers: Sequence[Mapping[str, Any]], windows: Windows) -> dict[str, float]:
    """Requests a second in each phase over those in steady, from its whole seconds; nothing without a steady phase."""
    rows = np.array([row[:3] for one in workers for row in one.get("per_second") or []], dtype=np.float64)
    rows = rows.reshape(-1, 3)
    rates: dict[str, float] = {}
    for phase, (start_s, end_s) in windows.items():
        first, last = float(np.ceil(start_s)), float(np.floor(end_s))
        if last > first:
            inside = (rows[:, 0] >= first) & (rows[:, 0] + 1 <= last)
            rates[phase] = float(rows[inside, 2].sum() / (last - first))
    steady = rates.pop(Phase.STEADY.value, 0.0)
    return {phase: rate / steady for phase, rate in rates.items()} if steady else {}


def back_pressure(
    timeline: Timeline, hypotheses: Sequence[Claim], findings: Sequence[Finding]
) -> tuple[tuple[Finding, ...], tuple[Check, ...]]:
    """*findings* without those that held because the users of a closed model were kept waiting, and the check of it.

    Only what held is taken back: a request that was not sent can hide a failure, and can make none. So the check fails
    where something was taken back and nothing is refuted.
    """
    if (timeline.load_started or {}).get("model") != "closed" or timeline.load_stopped is None:
        return tuple(findings), ()
    pace = paces(list(timeline.load_stopped.get("workers") or []), timeline.windows)
    if not pace:
        return tuple(findings), ()
    told = tuple(_taken_back(claim, one, pace) for claim, one in zip(hypotheses, findings, strict=True))
    hid_something = any(before is not after for before, after in zip(findings, told, strict=True))
    refuted = any(one.outcome is Outcome.REFUTED for one in told)
    text = ", ".join(f"{share:.0%} in {phase}" for phase, share in pace.items())
    reason = f"requests a second, of those in steady: {text}"
    if min(pace.values()) < PACE_MIN:
        reason += f"; below {PACE_MIN:.0%} the users' waiting hides what it did, and a claim that held is not proved"
    return told, (Check(name=PACE, ok=not hid_something or refuted, reason=reason),)


def _taken_back(claim: Claim, finding: Finding, pace: Mapping[str, float]) -> Finding:
    if not isinstance(claim, Hypothesis) or finding.outcome is not Outcome.HELD:
        return finding
    share = pace.get((claim.phase or Phase.FAULT).value, 1.0)
    if claim.metric not in _HIDDEN_BY_WAITING or share >= PACE_MIN:
        return finding
    why = f"the users were kept waiting, and sent {share:.0%} of the requests a second that they sent in steady"
    return replace(finding, outcome=Outcome.INCONCLUSIVE, reason=f"Not tested ({PACE}: {why}). {finding.reason}")
