"""How much of a latency may be the load generator's own, and refutations that it alone could have made.

A worker that is at ease adds nothing. One whose event loop is held up, or whose CPU is nearly used up, makes answers
wait for itself, and what it adds looks like the workload's. It only ever adds: what held, held in spite of it. So only
a latency that was refuted *upwards* is doubted, and only where it would not be without what the worker may have added
(docs/adr/0070; the figures are those of bench/load_validity.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.model.hypothesis import Claim, Hypothesis, Metric, Op, Phase
from stormproof.model.verdict import Check, Finding, Outcome
from stormproof.verdict.decision import satisfies

if TYPE_CHECKING:
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


def doubted(
    timeline: Timeline, hypotheses: Sequence[Claim], findings: Sequence[Finding]
) -> tuple[tuple[Finding, ...], tuple[Check, ...]]:
    """*findings* without the refutations that the workers alone could have made; where there are any, the check of it.

    It fails where nothing else is refuted: then nobody knows.
    """
    workers = list((timeline.load_stopped or {}).get("workers") or [])
    told, lost = [], []
    for claim, finding in zip(hypotheses, findings, strict=True):
        delay_ms = _of_claim(claim, timeline, workers) if finding.outcome is Outcome.REFUTED else None
        told.append(finding if delay_ms is None else _taken_back(claim, finding, delay_ms))
        if told[-1] is not finding:
            lost.append(f"{finding.claim}, without the {delay_ms:.3g} ms that a worker may have added")
    if not lost:
        return tuple(findings), ()
    ok = any(one.outcome is Outcome.REFUTED for one in told)
    return tuple(told), (Check(name=OWN, ok=ok, reason=f"not refuted: {'; '.join(lost)}"),)


def _of_claim(claim: Claim, timeline: Timeline, workers: Sequence[Mapping[str, Any]]) -> float | None:
    """What the worst worker may have added to the claim's number, in ms; None where it is not about a latency."""
    if not isinstance(claim, Hypothesis) or claim.metric not in {Metric.LATENCY_QUANTILE, Metric.LATENCY_MEAN}:
        return None
    window = timeline.windows.get((claim.phase or Phase.FAULT).value)
    if window is None or claim.op not in {Op.LE, Op.LT} or claim.is_beside_control:
        return None  # both groups of a control wait for the same worker
    known = [one for worker in workers if (one := own_delay_ms(worker, window, claim.quantile)) is not None]
    return max(known) if known else None


def _taken_back(claim: Claim, finding: Finding, delay_ms: float) -> Finding:
    if not isinstance(claim, Hypothesis) or finding.outcome is not Outcome.REFUTED or finding.low is None:
        return finding
    unit_ms = finding.steady if claim.relative_to_steady else 1.0
    if not unit_ms or not satisfies(finding.low - delay_ms / unit_ms, claim.op, claim.bound):
        return finding
    why = f"of it {delay_ms:.3g} ms may be the load worker's own, whose event loop was held up or had little CPU left"
    return replace(finding, outcome=Outcome.INCONCLUSIVE, reason=f"Not tested ({OWN}: {why}). {finding.reason}")
