"""Is there a retry budget, is there a circuit breaker? Both show as retries, or calls, that stop while failures go on.

A budget: calls that fail are retried, then no longer, or only now and then, though failures go on. One that all
clients share ends for all at once; one of each process ends for each at its own time, which only shows client by
client. A breaker: after some failures the calls themselves stop, but for a lone one at regular intervals. "Not seen"
is None, and becomes False only when the client has failed often enough that a usual budget (100 retries) or breaker
(30 failures in a row) would have shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stormprobes.retries.attempts import retried_outcomes
from stormprobes.retries.confidence import ceiling
from stormprobes.retries.waits import measure

if TYPE_CHECKING:
    import pandas as pd

    from stormprobes.retries.calls import Calls

__all__ = ["Seen", "read_breaker", "read_budget"]

Bools = npt.NDArray[np.bool_]

BEFORE_SHARE_MIN = 0.6
AFTER_SHARE_MAX = 0.3
CALLS_BEFORE_MIN = 4
CALLS_AFTER_MIN = 10
LOG_RATIO_MIN = 8.0
OWN_AFTER_MIN = 4  # calls of one client without a retry: fewer may be those that the end of the record cut off
USUAL_BUDGET_RETRIES = 100
USUAL_BREAKER_FAILURES = 30
PROBES_MIN = 3
SILENCE_MIN_S = 0.2
SILENCE_RATIO = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """*there*: True, False (would have shown), None (cannot be told). *since_s*: when retries stopped; *every_s*: a
    breaker's interval between probes."""

    there: bool | None
    confidence: float
    since_s: float | None = None
    every_s: float | None = None


NOT_SEEN = Seen(there=None, confidence=0.0)


def read_budget(calls: Calls) -> Seen:
    """A change from "retried" to "not retried" among calls whose first try failed, in the order in which they came."""
    table = calls.table
    retried = {outcome for outcome, yes in retried_outcomes(calls).items() if yes}
    first = calls.rows.drop_duplicates("call")
    concerned = table[first["outcome"].isin(retried).to_numpy() & first["failed"].to_numpy()]
    concerned = concerned.sort_values("start_s", kind="stable")
    again = (concerned["tries"] > 1).to_numpy()
    if len(again) >= CALLS_BEFORE_MIN + CALLS_AFTER_MIN and 0 < again.mean() < 1:
        at, gain = _change(again)
        before, after = again[:at], again[at:]
        clear = len(before) >= CALLS_BEFORE_MIN and len(after) >= CALLS_AFTER_MIN and gain > LOG_RATIO_MIN
        clear = clear and _same_clients(concerned["client"].to_numpy(), at)
        if clear and before.mean() >= BEFORE_SHARE_MIN and after.mean() <= AFTER_SHARE_MAX:
            since_s = float(concerned["start_s"].iloc[at])
            return Seen(there=True, confidence=ceiling(len(after)) * calls.trust, since_s=since_s)
        own = _own_budgets(calls, concerned)
        if own.there:
            return own
    return _no_budget(calls, concerned, again)


def _same_clients(client: npt.NDArray[np.object_], at: int) -> bool:
    """Whether most calls on both sides of *at* are of clients that are on both: others came and went, and did not
    change.
    """
    before, after = client[:at], client[at:]
    both = np.intersect1d(before.astype(str), after.astype(str))
    return all(float(np.isin(side.astype(str), both).mean()) > 0.5 for side in (before, after))


def _own_budgets(calls: Calls, concerned: pd.DataFrame) -> Seen:
    """A change in each client's calls, at a time of its own; None where that does not explain them better.

    What each client's change gains must pay for having been chosen among so many places. *since_s* is when the first
    of them had none left.
    """
    waits = measure(calls)
    if not len(waits):
        return NOT_SEEN
    reach_s = float(np.quantile(waits.wait_s[waits.nth == waits.nth.min()], 0.95))
    told = concerned[(concerned["tries"] > 1) | (concerned["end_s"] < calls.rows["t_end_s"].max() - reach_s)]
    gain, changed, clients = 0.0, 0, 0
    before: list[Bools] = []
    after: list[Bools] = []
    since_s = []
    for _, own in told.groupby("client", sort=False):
        again = (own["tries"] > 1).to_numpy()
        clients += 1
        if len(again) < 1 + OWN_AFTER_MIN:
            continue
        at, gains = _change(again) if 0 < again.mean() < 1 else (0, 0.0)
        gain += max(gains, 0.0) - float(np.log(len(again)))
        if gains > 0 and len(again) - at >= OWN_AFTER_MIN:
            changed += 1
            before.append(again[:at])
            after.append(again[at:])
            since_s.append(float(own["start_s"].iloc[at]))
    if 2 * changed <= clients or gain <= LOG_RATIO_MIN:
        return NOT_SEEN
    had, had_none = np.concatenate(before), np.concatenate(after)
    clear = len(had) >= CALLS_BEFORE_MIN and len(had_none) >= CALLS_AFTER_MIN
    if not clear or had.mean() < BEFORE_SHARE_MIN or had_none.mean() > AFTER_SHARE_MAX:
        return NOT_SEEN
    return Seen(there=True, confidence=ceiling(len(had_none)) * calls.trust, since_s=min(since_s))


def _no_budget(calls: Calls, concerned: pd.DataFrame, again: Bools) -> Seen:
    """Every failure was retried, and each client retried more often than usual budgets allow."""
    if not len(again) or again.mean() < 0.98:
        return NOT_SEEN
    retries = (concerned["tries"] - 1).groupby(concerned["client"]).sum()
    healthy = float((~calls.rows["failed"]).mean())
    if float(retries.median()) < USUAL_BUDGET_RETRIES or healthy > 0.3:  # successes refill a budget
        return NOT_SEEN
    return Seen(there=False, confidence=ceiling(int(retries.median())) * calls.trust * 0.95)


def _change(again: Bools) -> tuple[int, float]:
    """Where the share of True changes most, and the log likelihood ratio of that change."""
    n = len(again)
    total = int(again.sum())
    done = np.cumsum(again.astype(np.int64))[:-1]
    size = np.arange(1, n)
    gain = _bernoulli(done, size) + _bernoulli(total - done, n - size)
    gain -= _bernoulli(np.array([total]), np.array([n]))[0]
    falls = done / size > (total - done) / (n - size)
    gain = np.where(falls, gain, -np.inf)
    at = int(np.argmax(gain))
    return at + 1, float(gain[at])


def _bernoulli(successes: npt.NDArray[np.int64], trials: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Largest log likelihood of *successes* in *trials*."""
    share = successes / trials
    inner = np.clip(share, 1e-12, 1 - 1e-12)
    return np.asarray(successes * np.log(inner) + (trials - successes) * np.log1p(-inner))


def read_breaker(calls: Calls) -> Seen:
    """Silences with a lone failing call each, at regular intervals, after failures in quick succession."""
    if calls.method not in {"op", "attempt"}:
        return NOT_SEEN  # without call ids a lone arrival may be a retry
    found, longest = [], 0
    for _, table in calls.table.groupby("client", sort=False):
        starts, tries = table["start_s"].to_numpy(), table["tries"].to_numpy()
        failed = table["last_failed"].to_numpy()
        probes = _lone_probes(starts, tries, failed)
        if probes is not None:
            found.append(probes)
        longest = max(longest, _longest_run(failed))
    clients = int(calls.table["client"].nunique())
    if len(found) >= 0.5 * clients:
        every = np.concatenate([np.diff(probes) for probes in found])
        return Seen(there=True, confidence=ceiling(len(every)) * calls.trust, every_s=float(np.median(every)))
    if longest >= USUAL_BREAKER_FAILURES and not found:
        return Seen(there=False, confidence=ceiling(longest) * calls.trust * 0.95)
    return NOT_SEEN


def _lone_probes(
    starts: npt.NDArray[np.float64], tries: npt.NDArray[np.int64], failed: Bools
) -> npt.NDArray[np.float64] | None:
    if len(starts) < PROBES_MIN + 3:
        return None
    gaps = np.diff(starts)
    quick = float(np.median(gaps[: max(2, int(np.argmax(gaps > SILENCE_MIN_S)))]))
    silence = max(SILENCE_MIN_S, SILENCE_RATIO * quick)
    lone = np.append(gaps, np.inf) > silence
    lone[1:] &= gaps > silence
    lone[0] = False
    lone &= (tries == 1) & failed
    at = np.flatnonzero(lone)
    if len(at) < PROBES_MIN or at[0] < 2 or not failed[: at[0]].any():
        return None
    spacing = np.diff(starts[at])
    regular = float(np.std(spacing)) < 0.15 * float(np.mean(spacing))
    return starts[at] if regular else None


def _longest_run(failed: Bools) -> int:
    """Failed calls in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], failed.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
