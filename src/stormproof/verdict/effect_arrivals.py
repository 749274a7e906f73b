"""Effects that show at a dependency: calls that came late, were marked by the proxy, or did not come any more."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from stormproof.model.hypothesis import Phase
from stormproof.verdict.sighting import SETTLE_S, Counts, Evidence, Sighting, count_calls, in_force

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from stormproof.model.verdict import Confirmation

DELAYED = "arrivals-delayed"  # the kind of effect
DELAY_SHARE = 0.8  # an arrival this close to the injected delay has met it
DELAY_INJECTED, RATE_LIMITED = "DI", "RL"  # Envoy's response flags


def delay_ms_met(effect: Mapping[str, Any]) -> float:
    """How long a call must have taken to have met the effect's delay, in ms."""
    return DELAY_SHARE * float(effect.get("delay_ms", 0.0))


def arrivals_delayed(effect: Mapping[str, Any], _: Confirmation, evidence: Evidence) -> Sighting:
    """At least one call of the workload met the delay: it took that long, or carries the proxy's mark."""
    arrivals = _arrivals(effect, evidence, Phase.FAULT)
    name, delay_ms = effect.get("dependency"), float(effect.get("delay_ms", 0.0))
    if arrivals is None or arrivals.empty:
        return Sighting(seen=False, reason=f"nobody called {name} while the fault was in force")
    slow = (arrivals["duration_ms"] >= delay_ms_met(effect)).to_numpy(dtype=bool)
    met = count_calls(arrivals, slow | _flagged(arrivals, [DELAY_INJECTED]))
    reason = f"{met} of {count_calls(arrivals)} calls of {name} met the delay of {delay_ms:g} ms"
    return Sighting(seen=met > 0, reason=reason)


def arrivals_rejected(effect: Mapping[str, Any], _: Confirmation, evidence: Evidence) -> Sighting:
    """At least one call of the workload was turned away by the proxy's rate limit."""
    arrivals = _arrivals(effect, evidence, Phase.FAULT)
    name = effect.get("dependency")
    if arrivals is None or arrivals.empty:
        return Sighting(seen=False, reason=f"nobody called {name} while the fault was in force")
    met = count_calls(arrivals, _flagged(arrivals, [RATE_LIMITED]))
    return Sighting(seen=met > 0, reason=f"{met} of {count_calls(arrivals)} calls of {name} were turned away")


def arrivals_flagged(effect: Mapping[str, Any], _: Confirmation, evidence: Evidence) -> Sighting:
    """At least one call of the workload carries one of the effect's `flags`, and none did before the fault.

    A mark that was there in the steady phase is not the fault's, or not only: then nothing is proved.
    """
    name, flags = effect.get("dependency"), [str(flag) for flag in effect.get("flags", ())]
    arrivals, steady = _arrivals(effect, evidence, Phase.FAULT), _arrivals(effect, evidence, Phase.STEADY)
    if arrivals is None or steady is None or arrivals.empty:
        return Sighting(seen=False, reason=f"nobody called {name} while the fault was in force")
    if not flags:
        return Sighting(seen=False, reason="the effect names no flag")
    before = count_calls(steady, _flagged(steady, flags))
    marks = " or ".join(flags)
    if before:
        reason = f"{before} of {count_calls(steady)} calls of {name} were marked {marks} before the fault already"
        return Sighting(seen=False, reason=reason)
    met = count_calls(arrivals, _flagged(arrivals, flags))
    reason = f"{met} of {count_calls(arrivals)} calls of {name} were marked {marks} by the proxy"
    return Sighting(seen=met > 0, reason=reason)


def arrivals_stopped(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """Calls of the workload arrived in steady; while the fault was in force the load went on, and none did."""
    name = effect.get("dependency")
    steady, during = _arrivals(effect, evidence, Phase.STEADY), _arrivals(effect, evidence, Phase.FAULT)
    if steady is None or during is None or steady.empty:
        return Sighting(seen=False, reason=f"nobody called {name} in the steady phase either")
    start_s, end_s = in_force(confirmation, evidence)
    if end_s <= start_s:
        return Sighting(seen=False, reason=f"the fault lasted less than {SETTLE_S:g} s after it was felt")
    if evidence.counted(count_load, effect, confirmation)["load"] == 0:
        return Sighting(seen=False, reason="there was no load while the fault was in force")
    arrived = count_calls(during, (during["t_start_s"] >= start_s) & (during["t_start_s"] < end_s))
    reason = f"{count_calls(steady)} calls of {name} arrived in steady, {arrived} while the fault was in force"
    return Sighting(seen=arrived == 0, reason=reason)


def count_load(_: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Counts:
    """The requests that were due while the fault was in force."""
    assert evidence.samples is not None
    start_s, end_s = in_force(confirmation, evidence)
    scheduled_at = evidence.samples["scheduled_at"]
    return Counter(load=int(((scheduled_at >= start_s) & (scheduled_at < end_s)).sum()))


def _arrivals(effect: Mapping[str, Any], evidence: Evidence, phase: Phase) -> pd.DataFrame | None:
    """The workload's own calls of the dependency in a phase; our canaries are not the workload."""
    window = evidence.windows.get(phase.value)
    if evidence.arrivals is None or window is None:
        return None
    arrivals = evidence.arrivals
    at = arrivals["t_start_s"]
    own = arrivals["canary"].astype(bool) | (arrivals["dependency"] != effect.get("dependency"))
    return arrivals[~own & (at >= window[0]) & (at < window[1])]


def _flagged(arrivals: pd.DataFrame, flags: Iterable[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which arrivals carry one of *flags* among their comma-separated flags."""
    either = "|".join(re.escape(flag) for flag in flags)
    pattern = rf"(?:^|[^A-Z])(?:{either})(?:$|[^A-Z])"
    return arrivals["flags"].astype(str).str.contains(pattern, regex=True).to_numpy(dtype=bool)
