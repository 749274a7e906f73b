"""How long a balancer takes to notice a broken target, to stop sending to it, and to take it back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stormprobes._history import Fault, History, Opinion, Span, View

if TYPE_CHECKING:
    import pandas as pd

EXPECTED_MIN = 5.0  # requests that a target was due and did not get before it is said to get none


def time_to_detect(history: History, fault: Fault, target: str) -> Span:
    """From the onset of *fault* to the first look at which the balancer calls *target* unhealthy.

    It changed its mind after the last look that still showed healthy and before that look was over; the onset lies
    between two looks of the fault's own canary. Only while the fault is in force.
    """
    views, end_s = history.views(target), _end(fault)
    before = [view for opinion, view in views if opinion.at_s < fault.onset_low_s]
    if before and not before[-1].healthy:
        return Span(value_s=None, reason=f"{target} was called unhealthy before {fault.fault_id}")
    last_healthy_s = fault.onset_low_s
    during = [(opinion, view) for opinion, view in views if fault.onset_low_s <= opinion.at_s < end_s]
    if not during:
        return Span(value_s=None, reason=f"nobody asked the balancer while {fault.fault_id} was in force")
    for opinion, view in during:
        if not view.healthy:
            return Span(
                value_s=opinion.at_s - fault.onset_low_s,
                low_s=max(0.0, last_healthy_s - fault.onset_high_s),
                high_s=opinion.until_s - fault.onset_low_s,
            )
        last_healthy_s = opinion.at_s
    low_s = max(0.0, last_healthy_s - fault.onset_high_s)
    reason = f"{target} was called healthy for all of the {low_s:.1f} s that {fault.fault_id} was watched"
    return Span(value_s=None, low_s=low_s, reason=reason)


def ejected_for(history: History, fault: Fault, target: str) -> tuple[str, ...]:
    """The balancer's words for why it first called *target* unhealthy under *fault*; none when it never did."""
    for opinion, view in history.views(target):
        if fault.onset_low_s <= opinion.at_s < _end(fault) and not view.healthy:
            return view.flags
    return ()


def time_to_readd(history: History, fault: Fault, target: str) -> Span:
    """From the end of *fault* to the first look at which the balancer calls *target* healthy again."""
    if fault.end_low_s is None or fault.end_high_s is None:
        return Span(value_s=None, reason=f"{fault.fault_id} was not taken back")
    views = history.views(target)
    at_end = [view for opinion, view in views if opinion.at_s <= fault.end_low_s]
    if not at_end:
        return Span(value_s=None, reason=f"nobody asked the balancer before {fault.fault_id} ended")
    if at_end[-1].healthy:
        return Span(value_s=None, reason=f"{target} was called healthy when {fault.fault_id} ended")
    last_unhealthy_s = fault.end_low_s
    again = [other for other in history.faults if fault.end_low_s < other.onset_low_s and _concerns(other, target)]
    until_s = min((other.onset_low_s for other in again), default=math.inf)
    for opinion, view in views:
        if not fault.end_low_s < opinion.at_s < until_s:
            continue
        if view.healthy:
            return Span(
                value_s=opinion.at_s - fault.end_low_s,
                low_s=max(0.0, last_unhealthy_s - fault.end_high_s),
                high_s=opinion.until_s - fault.end_low_s,
            )
        last_unhealthy_s = opinion.at_s
    low_s = max(0.0, last_unhealthy_s - fault.end_high_s)
    within = "in the record" if math.isinf(until_s) else "before the next fault"
    return Span(value_s=None, low_s=low_s, reason=f"{target} was not called healthy again {within}")


def time_to_drain(history: History, fault: Fault, target: str) -> Span:
    """From the onset of *fault* to the end of the last request that *target* had a part in.

    Its answers name it. A request that failed without a name may have been its own: the upper end reaches to the last
    of those. A target that got none at the end, though it was due some by its share before, is drained; where the
    record is too thin to tell, there is no value. Where the answers name a group of targets, all of them must be
    broken, and the last request of the group is the upper end of each.
    """
    if history.requests is None or history.requests.empty:
        return Span(value_s=None, reason="no requests were recorded")
    group = history.group_of(target)
    if group is None:
        return Span(value_s=None, reason=f"no answer says that {target} gave it")
    if not set(history.groups[group]) <= set(fault.targets):
        shared = ", ".join(sorted(history.groups[group]))
        return Span(value_s=None, reason=f"the answers do not tell {shared} apart, and not all of them are broken")
    requests = history.requests
    onset_s, end_s = fault.onset_low_s, min(_end(fault), _watched_until(requests))
    if end_s <= onset_s:
        return Span(value_s=None, reason=f"no request was sent while {fault.fault_id} was in force")
    sent_at = requests["sent_at"].to_numpy(dtype=np.float64)
    done_at = requests["done_at"].to_numpy(dtype=np.float64)
    theirs = (requests["served_by"] == group).to_numpy(dtype=bool)
    in_force = (sent_at >= onset_s) & (sent_at < end_s)
    last_s = float(sent_at[in_force & theirs].max(initial=onset_s))
    due_per_s = _rate_before(requests, group, onset_s)
    if due_per_s is None:
        return Span(value_s=None, low_s=last_s - onset_s, reason=f"{group} answered nothing before {fault.fault_id}")
    low_s = max(0.0, last_s - fault.onset_high_s)
    if (end_s - last_s) * due_per_s < EXPECTED_MIN:
        reason = f"{target} still got requests {last_s - onset_s:.1f} s after the onset of {fault.fault_id}, to its end"
        return Span(value_s=None, low_s=low_s, reason=reason)
    over_s = float(done_at[in_force & theirs].max(initial=onset_s))
    nameless = in_force & ~_named(requests) & ~requests["ok"].to_numpy(dtype=bool)
    high_s = max(over_s, float(done_at[nameless].max(initial=onset_s)))
    alone = len(history.groups[group]) == 1
    return Span(
        # Silent from the onset on: its requests, if any, are among the nameless ones.
        value_s=(over_s if over_s > onset_s else high_s) - onset_s,
        low_s=low_s if alone else 0.0,
        high_s=high_s - onset_s,
    )


def _concerns(fault: Fault, target: str) -> bool:
    return target in fault.targets or (fault.dependency and not fault.targets)


def _end(fault: Fault) -> float:
    return math.inf if fault.end_low_s is None else fault.end_low_s


def _watched_until(requests: pd.DataFrame) -> float:
    return float(requests["sent_at"].max())


def _named(requests: pd.DataFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return (requests["served_by"] != "").to_numpy(dtype=bool)


def _rate_before(requests: pd.DataFrame, group: str, until_s: float) -> float | None:
    """Requests a second that *group* answered before *until_s*; None where it answered none."""
    sent_at = requests["sent_at"].to_numpy(dtype=np.float64)
    count = int(np.count_nonzero((sent_at < until_s) & (requests["served_by"] == group).to_numpy(dtype=bool)))
    seconds = until_s - float(sent_at.min())
    return count / seconds if count and seconds > 0 else None


def changes(history: History, target: str) -> list[tuple[Opinion, View]]:
    """The looks at which *target* was called something else than at the look before."""
    found, previous = [], None
    for opinion, view in history.views(target):
        if previous is not None and view.healthy is not previous:
            found.append((opinion, view))
        previous = view.healthy
    return found
