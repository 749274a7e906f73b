"""The effect of instances that are slow among their peers: late answers of theirs, or work that has moved away.

How customers meet a starved instance depends on the balancer. One that gives each target its turn goes on asking it: a
share of its zone's answers comes late. One that prefers the least busy target asks it hardly any more: so few answers
come late that they drown in those of a busy machine, but the instance's share of the calls to the dependencies falls.
Either proves that the workload met the fault, and neither happens to a fleet of equals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.analysis.proportion import clopper_pearson
from stormproof.model.hypothesis import Phase
from stormproof.verdict.effect_zone import zone_slowed
from stormproof.verdict.sighting import SETTLE_S, Evidence, Sighting, count_calls, in_force

if TYPE_CHECKING:
    from stormproof.model.verdict import Confirmation

# A balancer's choice is no even lottery, and a load's mix moves: a share that fell by less than a fifth proves nothing.
REMAINING_SHARE = 0.8


def instances_starved(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """The zone's answers came late (`zone_slowed`), or the effect's `clients` did less of the work than in steady."""
    late = zone_slowed(effect, confirmation, evidence)
    if late.seen:
        return late
    moved = _work_moved(effect, confirmation, evidence)
    return Sighting(seen=moved.seen, reason=f"{moved.reason}; {late.reason}")


def _work_moved(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """Whether the share of the clients in the calls to their dependencies fell well below what it was in steady.

    Counted are calls, not attempts: a client too slow for its own time-outs makes more attempts, not more calls.
    Compared are the Clopper-Pearson intervals (95 %) of both shares: all of the later must lie below four fifths of all
    of the earlier.
    """
    clients = [str(client) for client in effect.get("clients", ())]
    if not clients or evidence.arrivals is None:
        return Sighting(seen=False, reason="the effect names no client" if not clients else "no arrivals were recorded")
    start_s, end_s = in_force(confirmation, evidence)
    if end_s <= start_s:
        return Sighting(seen=False, reason=f"the fault lasted less than {SETTLE_S:g} s after it was felt")
    calls = evidence.arrivals[~evidence.arrivals["canary"].astype(bool) & (evidence.arrivals["attempt"] <= 1)]
    theirs = np.isin(calls["client"].astype(str).to_numpy(), clients)
    asked = np.isin(calls["dependency"].astype(str).to_numpy(), calls["dependency"][theirs].astype(str).unique())
    at = calls["t_start_s"].to_numpy(dtype=np.float64)
    steady_start, steady_end = evidence.windows.get(Phase.STEADY.value, (0.0, 0.0))
    before, during = ((at >= low) & (at < high) & asked for low, high in ((steady_start, steady_end), (start_s, end_s)))
    n_before, n_during = count_calls(calls, before), count_calls(calls, during)
    of_before, of_during = count_calls(calls, before & theirs), count_calls(calls, during & theirs)
    names = ", ".join(clients)
    if of_before == 0:
        return Sighting(seen=False, reason=f"{names} called no dependency in the steady phase")
    if n_during == 0:
        return Sighting(seen=False, reason="nobody called a dependency while the fault was in force")
    _, high = clopper_pearson(of_during, n_during)
    low, _ = clopper_pearson(of_before, n_before)
    return Sighting(
        seen=high < REMAINING_SHARE * low,
        reason=f"{of_during} of {n_during} calls to its dependencies came from {names} in the fault, "
        f"{of_before} of {n_before} in steady",
    )
