"""What kind of health check it is: shallow or deep, open or closed when all fail, there or gone under overload."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormprobes._health_timing import changes
from stormprobes._history import Fault, History

if TYPE_CHECKING:
    import pandas as pd

REQUESTS_MIN = 5  # that were sent while every target was called unhealthy
OPEN_SHARE_MIN = 0.5
SHED_STATUSES = (429, 503)  # how a server says that it has too much to do
# The balancer's words for a check that ran into its time-out: Envoy's flag, elbv2's reason.
TIMED_OUT = ("active_hc_timeout", "Target.Timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One word of a reading, or None and why."""

    value: str | bool | None
    reason: str = ""


def flips(history: History) -> int:
    """How often the balancer changed its mind, all targets together."""
    return sum(len(changes(history, target)) for target in history.targets)


def flaps(history: History) -> int:
    """Those changes that no fault explains.

    A fault explains one ejection while it is in force, and one return after its end, of each target that it breaks;
    of every target where it breaks none of them but something behind them all.
    """
    return sum(_unexplained(history, target) for target in history.targets)


def _unexplained(history: History, target: str) -> int:
    able = [
        fault
        for fault in history.faults
        if (fault.silences or fault.dependency) and (not fault.targets or target in fault.targets)
    ]
    out: list[Fault] = []  # faults that have ejected it and not yet explained its return
    spent: set[str] = set()
    count = 0
    views = history.views(target)
    was_out = bool(views) and not views[0][1].healthy  # for a reason before the record: one return is due
    for opinion, view in changes(history, target):
        at_s = opinion.until_s
        if view.healthy:
            why = next((fault for fault in out if fault.end_low_s is not None and at_s >= fault.end_low_s), None)
            if why is not None:
                out.remove(why)
            elif was_out:
                was_out = False
                continue
        else:
            why = next((fault for fault in able if fault.fault_id not in spent and _in_force(fault, at_s)), None)
            if why is not None:
                spent.add(why.fault_id)
                out.append(why)
        count += why is None
    return count


def _in_force(fault: Fault, at_s: float) -> bool:
    return at_s >= fault.onset_low_s and (fault.end_high_s is None or at_s <= fault.end_high_s)


def when_all_fail(history: History) -> Answer:
    """``open`` when targets go on being asked while the balancer calls all of them unhealthy, ``closed`` when none is.

    Only requests sent between two looks that both show all unhealthy count: an answer that names a target says open,
    one that fails without a name says closed.
    """
    stretches = _all_unhealthy(history)
    if not stretches:
        return Answer(value=None, reason="the balancer never called all of its targets unhealthy at once")
    if history.requests is None or history.requests.empty:
        return Answer(value=None, reason="all targets were called unhealthy, and no requests were recorded")
    sent_at = history.requests["sent_at"].to_numpy(dtype=np.float64)
    inside = np.zeros(len(sent_at), dtype=bool)
    for start_s, end_s in stretches:
        inside |= (sent_at >= start_s) & (sent_at <= end_s)
    requests = history.requests[inside]
    served = int((requests["served_by"] != "").sum())
    refused = int(((requests["served_by"] == "") & ~requests["ok"].astype(bool)).sum())
    if served + refused < REQUESTS_MIN:
        reason = f"only {served + refused} requests while all targets were called unhealthy, {REQUESTS_MIN} are needed"
        return Answer(value=None, reason=reason)
    if served >= OPEN_SHARE_MIN * (served + refused):
        return Answer(value="open")
    if served == 0:
        return Answer(value="closed")
    return Answer(value=None, reason=f"{served} requests reached a target and {refused} none while all were unhealthy")


def _all_unhealthy(history: History) -> list[tuple[float, float]]:
    """Stretches from the end of the first to the begin of the last of at least two looks, all of them all unhealthy."""
    stretches: list[tuple[float, float]] = []
    first: float | None = None
    last = 0.0
    for opinion in history.opinions:
        if opinion.targets and not any(view.healthy for view in opinion.targets.values()):
            if first is None:
                first, last = opinion.until_s, opinion.at_s
            else:
                last = opinion.at_s
        else:
            if first is not None and last > first:
                stretches.append((first, last))
            first = None
    if first is not None and last > first:
        stretches.append((first, last))
    return stretches


def depth_in(history: History, fault: Fault) -> Answer:
    """``deep`` when the check noticed a broken dependency, ``shallow`` when it had time to and did not.

    A check that timed out noticed slowness, which an overloaded target shows as well: no answer then.
    """
    if not fault.dependency:
        return Answer(value=None, reason=f"{fault.fault_id} breaks no dependency")
    end_s = fault.end_low_s if fault.end_low_s is not None else _last_look(history)
    concerned = fault.targets or history.targets
    flags = [
        view.flags
        for target in concerned
        for opinion, view in changes(history, target)
        if not view.healthy and fault.onset_low_s <= opinion.until_s and opinion.at_s <= end_s
    ]
    if flags:
        if all(any(flag in TIMED_OUT for flag in one) for one in flags):
            return Answer(value=None, reason=f"in {fault.fault_id} checks timed out, as those of a busy target do too")
        return Answer(value="deep")
    unhealthy = [target for target in concerned if _unhealthy_throughout(history, target, fault.onset_low_s, end_s)]
    if len(unhealthy) == len(concerned):
        return Answer(value=None, reason=f"every target was called unhealthy before {fault.fault_id}")
    if history.settings is None:
        return Answer(value=None, reason="how often the balancer checks is not known, so nor whether it had the time")
    had_s, needs_s = end_s - fault.onset_high_s, history.settings.eject_s[1]
    if had_s < needs_s:
        reason = f"{fault.fault_id} lasted {had_s:.1f} s; a check that notices may need {needs_s:.1f} s"
        return Answer(value=None, reason=reason)
    return Answer(value="shallow")


def merged_depth(answers: Sequence[Answer]) -> Answer:
    """One depth for the whole record; a check that was changed meanwhile has none."""
    found = {answer.value for answer in answers if answer.value is not None}
    if len(found) == 1:
        return Answer(value=found.pop())
    if found:
        return Answer(value=None, reason="shallow towards one fault and deep towards another: see the faults")
    reason = answers[0].reason if answers else "no fault of this record breaks a dependency"
    return Answer(value=None, reason=reason)


def all_down_with_dependency(history: History) -> Answer:
    """Whether *every* target was called unhealthy at once while a dependency that all share was broken."""
    shared = [fault for fault in history.faults if fault.dependency and not fault.targets]
    if not shared:
        return Answer(value=None, reason="no fault of this record breaks a dependency that all targets share")
    if any(
        start_s <= (fault.end_high_s if fault.end_high_s is not None else math.inf) and end_s >= fault.onset_low_s
        for fault in shared
        for start_s, end_s in _all_unhealthy(history)
    ):
        return Answer(value=True)
    if all(depth_in(history, fault).value is None for fault in shared):
        return Answer(value=None, reason=depth_in(history, shared[0]).reason)
    return Answer(value=False)


def answers_under_overload(history: History) -> Answer:
    """Whether targets went on being called healthy while they had too much to do.

    A target has too much to do in a second in which half of its answers took longer than the check's time-out or were
    shed (429, 503): a check that queues with the customers would have failed. It must last for as long as an ejection
    may take; targets that a fault breaks do not count, nor seconds in which one breaks what they all share.
    """
    if history.settings is None:
        return Answer(value=None, reason="the check's time-out is not known")
    if history.requests is None or history.requests.empty:
        return Answer(value=None, reason="no requests were recorded")
    needs_s = math.ceil(history.settings.eject_s[1]) + 1
    stayed = False
    for group, members in history.groups.items():
        if len(members) != 1 or any(members[0] in fault.targets for fault in history.faults):
            continue
        for start, end in _runs(_busy_seconds(history, history.requests, group)):
            if end - start < needs_s:
                continue
            views = [view for opinion, view in history.views(members[0]) if start <= opinion.at_s <= end + 1]
            if any(not view.healthy for view in views):
                return Answer(value=False)
            stayed = stayed or bool(views)
    if stayed:
        return Answer(value=True)
    return Answer(value=None, reason=f"no target was overloaded for {needs_s} s by itself")


def _busy_seconds(history: History, requests: pd.DataFrame, group: str) -> list[int]:
    assert history.settings is not None
    theirs = requests[(requests["served_by"] == group).to_numpy(dtype=bool)]
    took_s = (theirs["done_at"] - theirs["sent_at"]).to_numpy(dtype=np.float64)
    busy = (took_s > history.settings.timeout_s) | theirs["status"].isin(SHED_STATUSES).to_numpy(dtype=bool)
    seconds = np.floor(theirs["sent_at"].to_numpy(dtype=np.float64)).astype(np.int64)
    found = []
    for second in np.unique(seconds):
        of_second = busy[seconds == second]
        shared = any(
            not fault.targets
            and fault.onset_low_s <= second + 1
            and (fault.end_high_s is None or second <= fault.end_high_s)
            for fault in history.faults
        )
        if not shared and of_second.mean() >= 0.5:
            found.append(int(second))
    return found


def _runs(seconds: Sequence[int]) -> list[tuple[int, int]]:
    """Consecutive seconds as half-open stretches."""
    runs: list[tuple[int, int]] = []
    for second in seconds:
        if runs and runs[-1][1] == second:
            runs[-1] = (runs[-1][0], second + 1)
        else:
            runs.append((second, second + 1))
    return runs


def _unhealthy_throughout(history: History, target: str, start_s: float, end_s: float) -> bool:
    views = [view for opinion, view in history.views(target) if start_s <= opinion.at_s <= end_s]
    return bool(views) and not any(view.healthy for view in views)


def _last_look(history: History) -> float:
    return history.opinions[-1].at_s if history.opinions else 0.0
