"""Effects that show in what parts of the workload do: they no longer call anybody, or are refused what they ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.model.hypothesis import Phase
from stormproof.verdict.sighting import SETTLE_S, Evidence, Sighting, count_calls, in_force

REFUSED = (401, 403)

if TYPE_CHECKING:
    from stormproof.model.verdict import Confirmation

_REFUSED_FROM = 400  # HTTP status


def client_silent(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """Each of the effect's `clients` called a dependency in the steady phase, and none while the fault was in force."""
    clients = [str(client) for client in effect.get("clients", ())]
    if not clients:
        return Sighting(seen=False, reason="the effect names no client")
    if evidence.arrivals is None:
        return Sighting(seen=False, reason="no arrivals were recorded")
    arrivals = evidence.arrivals[~evidence.arrivals["canary"].astype(bool)]
    at = arrivals["t_start_s"].to_numpy(dtype=np.float64)
    of_client = arrivals["client"].astype(str).to_numpy()
    steady_start, steady_end = evidence.windows.get(Phase.STEADY.value, (0.0, 0.0))
    in_steady = (at >= steady_start) & (at < steady_end)
    quiet = [client for client in clients if not np.any(in_steady & (of_client == client))]
    if quiet:
        return Sighting(seen=False, reason=f"called nobody in the steady phase either: {', '.join(quiet)}")
    start_s, end_s = in_force(confirmation, evidence)
    if end_s <= start_s:
        return Sighting(seen=False, reason=f"the fault lasted less than {SETTLE_S:g} s after it was felt")
    during = (at >= start_s) & (at < end_s)
    total, theirs = count_calls(arrivals, during), count_calls(arrivals, during & np.isin(of_client, clients))
    if total == 0:
        return Sighting(seen=False, reason="nobody called a dependency while the fault was in force")
    reason = f"{theirs} of {total} calls in the fault came from {', '.join(clients)}"
    return Sighting(seen=theirs == 0, reason=reason)


def calls_refused(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """The effect's `client` asked the `dependency` while the fault was in force and was refused each time.

    Refused is an answer with a status of 400 or more. A refusal before the fault, one call granted in it, or no call
    at all: then nothing is proved.
    """
    client, name = str(effect.get("client", "")), str(effect.get("dependency", ""))
    if evidence.arrivals is None:
        return Sighting(seen=False, reason="no arrivals were recorded")
    arrivals = evidence.arrivals[~evidence.arrivals["canary"].astype(bool)]
    theirs = arrivals[(arrivals["client"] == client) & (arrivals["dependency"] == name)]
    at = theirs["t_start_s"].to_numpy(dtype=np.float64)
    refused = theirs["status"].to_numpy(dtype=np.int64) >= _REFUSED_FROM
    steady_start, steady_end = evidence.windows.get(Phase.STEADY.value, (0.0, 0.0))
    if before := count_calls(theirs, refused & (at >= steady_start) & (at < steady_end)):
        return Sighting(
            seen=False, reason=f"{before} calls of {name} by {client} were refused before the fault already"
        )
    start_s, end_s = in_force(confirmation, evidence)
    if end_s <= start_s:
        return Sighting(seen=False, reason=f"the fault lasted less than {SETTLE_S:g} s after it was felt")
    during = (at >= start_s) & (at < end_s)
    total, turned_away = count_calls(theirs, during), count_calls(theirs, during & refused)
    if total == 0:
        return Sighting(seen=False, reason=f"{client} asked nothing of {name} while the fault was in force")
    reason = f"{turned_away} of {total} calls of {name} by {client} were refused in the fault, none before"
    return Sighting(seen=turned_away == total, reason=reason)


def arrivals_refused(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """The dependency refused (401, 403) each call of the effect's `clients` while it was in force, and no other's.

    None of their calls was refused in the steady phase. A call that was under way at the onset is given time to settle.
    """
    clients, name = [str(client) for client in effect.get("clients", ())], effect.get("dependency")
    if not clients or evidence.arrivals is None:
        return Sighting(seen=False, reason="the effect names no client" if not clients else "no arrivals were recorded")
    start_s, end_s = in_force(confirmation, evidence)
    if end_s <= start_s:
        return Sighting(seen=False, reason=f"the fault lasted less than {SETTLE_S:g} s after it was felt")
    own = evidence.arrivals["canary"].astype(bool) | (evidence.arrivals["dependency"] != name)
    arrivals = evidence.arrivals[~own]
    at = arrivals["t_start_s"].to_numpy(dtype=np.float64)
    theirs = np.isin(arrivals["client"].astype(str).to_numpy(), clients)
    refused = np.isin(arrivals["status"].to_numpy(), REFUSED)
    steady_start, steady_end = evidence.windows.get(Phase.STEADY.value, (0.0, 0.0))
    before = count_calls(arrivals, theirs & refused & (at >= steady_start) & (at < steady_end))
    during = (at >= start_s) & (at < end_s)
    called, met = count_calls(arrivals, theirs & during), count_calls(arrivals, theirs & during & refused)
    others = count_calls(arrivals, ~theirs & during & refused)
    reason = (
        f"{met} of {called} calls of {name} by {', '.join(clients)} were refused, and {others} of others; "
        f"{before} in the steady phase"
    )
    return Sighting(seen=called > 0 and met == called and others == 0 and before == 0, reason=reason)


def release_served(effect: Mapping[str, Any], _: Confirmation, __: Evidence) -> Sighting:
    """A release by itself breaks nothing: that every instance says it serves it, past the balancer, is all there is."""
    return Sighting(seen=True, reason=f"release {effect.get('version')} was served; by itself it breaks nothing")
