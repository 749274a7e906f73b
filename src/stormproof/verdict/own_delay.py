"""How much of a latency may be the load generator's own, and refutations that it alone could have made.

A worker that is at ease adds nothing. One whose event loop is held up, or whose CPU is nearly used up, makes answers
wait for itself, and what it adds looks like the workload's. It only ever adds: what held, held in spite of it. So only
a latency that was refuted *upwards* is doubted, and only where it would not be without what the worker may have added
(docs/adr/0070; the figures are those of bench/load_validity.py).

Of a load on a schedule that is told row by row (`analysis.own_lag`), and the claim is judged again without it. In a
closed model nothing is sent late, so it is estimated for the whole window from the loop's ticks and its CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.model.hypothesis import Claim, Hypothesis, Metric, Op, Phase
from stormproof.model.verdict import Check, Finding, Outcome
from stormproof.verdict.decision import satisfies

if TYPE_CHECKING:
    from stormproof.analysis.own_lag import OwnLag
    from stormproof.verdict.timeline import Timeline

OWN = "latency not the generator's own"
# Measured waits over those of one queue with one server: an answer waits to be sent and to be read, on a processor that
# others use as well.
QUEUES = 2.5
TICK_MS = 100.0  # from one tick of a worker's watch to the next (`load.loop_watch`)


def own_delay_ms(worker: Mapping[str, Any], window: tuple[float, float], share: float | None) -> float | None:
    """By how much the worker may have raised the latency quantile *share* (0 … 1) of the requests of *window*, in ms.

    Without *share*, their mean. None where it did not look at itself, or for no whole second.

    Stalls: a request that falls due in a stall of m waits for its rest, so of a second with a longest stall of m the
    share (m - x) / 1 s waits for longer than x; x is where that is ``1 - share`` of all seconds. Busyness: the wait of
    the queue M/D/1, ``P(wait > t) = ρ exp(-2 (1 - ρ) t / c)`` (its heavy-traffic form: Kingman, Mathematical
    Proceedings of the Cambridge Philosophical Society 1961), ρ the share of a core and c the CPU time an arrival,
    times `QUEUES`. The means are those of the same: m² / 2 a second, and the wait that a share of ρ / e exceeds.
    """
    first, last = math.ceil(window[0]), math.floor(window[1])
    ticks = np.array(worker.get("loop_per_second") or [], dtype=np.float64).reshape(-1, 5)
    sent = np.array([row[:3] for row in worker.get("per_second") or []], dtype=np.float64).reshape(-1, 3)
    ticks, sent = (rows[(rows[:, 0] >= first) & (rows[:, 0] + 1 <= last)] for rows in (ticks, sent))
    if not len(ticks) or not sent[:, 2].sum():
        return None
    busy = float(ticks[:, 4].sum()) / 1000 / (last - first)
    # A stall is up to one tick longer than the lag that it gives the first tick in it.
    stalls_ms = ticks[:, 3] + np.minimum(ticks[:, 3], TICK_MS)
    per_s = float(sent[:, 2].sum()) / (last - first)
    if share is None:
        return float((stalls_ms**2).mean()) / 2000 + _queued_ms(busy, per_s, busy / math.e)
    return _stalled_ms(stalls_ms, 1 - share) + _queued_ms(busy, per_s, 1 - share)


def _stalled_ms(longest_ms: np.ndarray[Any, np.dtype[np.float64]], tail: float) -> float:
    """x with ``mean(max(0, m - x)) / 1 s = tail``, by bisection; 0 where all stalls together are less."""
    low, high = 0.0, float(longest_ms.max())
    if float(longest_ms.mean()) / 1000 <= tail:
        return 0.0
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if float(np.maximum(longest_ms - middle, 0).mean()) / 1000 > tail else (low, middle)
    return high


def _queued_ms(busy: float, per_s: float, tail: float) -> float:
    """The wait that a share *tail* of *per_s* arrivals exceeds, at a loop that is *busy* (of one core)."""
    if busy <= tail:
        return 0.0
    if busy >= 1:
        return math.inf
    return QUEUES * (1000 * busy / per_s) * math.log(busy / tail) / (2 * (1 - busy))


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What the workers may have added to each row, and all claims judged again without it; asked only in doubt."""

    lag: Callable[[], OwnLag]
    again: Callable[[OwnLag], Sequence[Finding]]


def doubted(
    timeline: Timeline, hypotheses: Sequence[Claim], findings: Sequence[Finding], own: Own
) -> tuple[tuple[Finding, ...], tuple[Check, ...]]:
    """*findings* without the refutations that the workers alone could have made; where there are any, the check of it.

    It fails where nothing else is refuted: then nobody knows. *own* is asked only where a latency was refuted.
    """
    if (timeline.load_started or {}).get("model") == "closed":
        told = _doubted_by_ticks(timeline, hypotheses, findings)
    else:
        told = _doubted_by_rows(timeline, hypotheses, findings, own)
    lost = [
        f"{after.claim}, without the {delay_ms:.3g} ms that a worker may have added"
        for before, (after, delay_ms) in zip(findings, told, strict=True)
        if before is not after
    ]
    if not lost:
        return tuple(findings), ()
    ok = any(one.outcome is Outcome.REFUTED for one, _ in told)
    return tuple(one for one, _ in told), (Check(name=OWN, ok=ok, reason=f"not refuted: {'; '.join(lost)}"),)


def _doubted_by_rows(
    timeline: Timeline, hypotheses: Sequence[Claim], findings: Sequence[Finding], own: Own
) -> list[tuple[Finding, float]]:
    """Each finding, taken back if it is not refuted without what the workers may have added; and that, in ms.

    Relative to steady, steady is left as it is: what was added may be less than may have been, and the ratio more.
    """
    told = [(finding, 0.0) for finding in findings]
    refuted = [
        (number, claim)
        for number, (one, finding) in enumerate(zip(hypotheses, findings, strict=True))
        if finding.outcome is Outcome.REFUTED and (claim := _about_latency(one)) is not None
    ]
    lag = own.lag() if refuted else None
    windows = {**timeline.windows, **timeline.steps}
    for of_steady in (False, True):
        near = [
            number
            for number, claim in refuted
            if claim.relative_to_steady is of_steady and claim.window in windows and lag is not None
            # No row loses more than this, so neither does a quantile or a mean.
            if _satisfied_without(claim, findings[number], lag.most_ms(windows[claim.window][0]))
        ]
        if not near or lag is None:
            continue
        judged = own.again(replace(lag, spared=timeline.windows.get(Phase.STEADY.value) if of_steady else None))
        for number in near:
            before, after = findings[number], judged[number]
            if after.outcome is not Outcome.REFUTED and before.estimate is not None:
                unit_ms = (before.steady or 1.0) if of_steady else 1.0
                delay_ms = (before.estimate - (after.estimate or 0.0)) * unit_ms
                told[number] = _taken_back(before, delay_ms), delay_ms
    return told


def _doubted_by_ticks(
    timeline: Timeline, hypotheses: Sequence[Claim], findings: Sequence[Finding]
) -> list[tuple[Finding, float]]:
    """The same of a closed model: by what the worst worker may have added to the claim's number."""
    workers = list((timeline.load_stopped or {}).get("workers") or [])
    told = [(finding, 0.0) for finding in findings]
    windows = {**timeline.windows, **timeline.steps}
    for number, (one, finding) in enumerate(zip(hypotheses, findings, strict=True)):
        claim = _about_latency(one)
        window = windows.get(claim.window) if claim is not None else None
        if claim is None or window is None or finding.outcome is not Outcome.REFUTED:
            continue
        known = [own_delay_ms(worker, window, claim.quantile) for worker in workers]
        delay_ms = max((one for one in known if one is not None), default=0.0)
        if _satisfied_without(claim, finding, delay_ms):
            told[number] = _taken_back(finding, delay_ms), delay_ms
    return told


def _satisfied_without(claim: Hypothesis, finding: Finding, delay_ms: float) -> bool:
    """Whether the low end of the interval would satisfy the bound with *delay_ms* less."""
    unit_ms = finding.steady if claim.relative_to_steady else 1.0
    if finding.low is None or not unit_ms:
        return False
    return satisfies(finding.low - delay_ms / unit_ms, claim.op, claim.bound)


def _about_latency(claim: Claim) -> Hypothesis | None:
    """*claim* where it is that a latency is no higher than something; of a control, both groups wait for one worker."""
    if not isinstance(claim, Hypothesis) or claim.metric not in {Metric.LATENCY_QUANTILE, Metric.LATENCY_MEAN}:
        return None
    return None if claim.op not in {Op.LE, Op.LT} or claim.is_beside_control else claim


def _taken_back(finding: Finding, delay_ms: float) -> Finding:
    why = f"of it {delay_ms:.3g} ms may be the load worker's own, whose event loop was held up or had little CPU left"
    return replace(finding, outcome=Outcome.INCONCLUSIVE, reason=f"Not tested ({OWN}: {why}). {finding.reason}")
