"""Whether the workload itself shows the effect that a fault declared, in samples and arrivals.

The canary of a fault proves that the target is broken; this proves that the workload under load met it. A fault aimed
at something that nobody calls passes the first and fails the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.model.hypothesis import Phase

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.model.verdict import Confirmation

SETTLE_S = 1.0  # after the fault was felt: requests already on their way may still be answered
DELAY_SHARE = 0.8  # an arrival this close to the injected delay has met it
DELAY_INJECTED, RATE_LIMITED = "DI", "RL"  # Envoy's response flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the workload left behind."""

    samples: pd.DataFrame
    arrivals: pd.DataFrame | None
    windows: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Whether the effect was seen, and the numbers that say so."""

    seen: bool
    reason: str


def effect_seen(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """Look for *effect* between the moment the fault was felt and its undo."""
    kind = effect.get("kind")
    if not effect:
        return Sighting(seen=True, reason="the fault declares no effect on the workload")
    look = _LOOK.get(str(kind))
    if look is None:
        return Sighting(seen=False, reason=f"this version does not know the effect {kind!r}")
    if confirmation.felt_at is None:
        return Sighting(seen=False, reason="the fault was not felt")
    return look(effect, confirmation, evidence)


def _zone_silent(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """The zone answered in steady and nothing while the fault was in force.

    Between undo and the sighting that it is gone the zone comes back by and by, so only answers given before the undo
    count against the silence.
    """
    samples, zone = evidence.samples, str(effect.get("zone"))
    scheduled_at = samples["scheduled_at"].to_numpy(dtype=np.float64, na_value=np.nan)
    answered_at = scheduled_at + samples["latency_ms"].to_numpy(dtype=np.float64, na_value=np.nan) / 1000
    of_zone = (samples["zone"] == zone).to_numpy(dtype=bool, na_value=False)
    steady_start, steady_end = evidence.windows.get(Phase.STEADY.value, (0.0, 0.0))
    before = int(np.count_nonzero(of_zone & (scheduled_at >= steady_start) & (scheduled_at < steady_end)))
    if before == 0:
        return Sighting(seen=False, reason=f"zone {zone} answered nothing in the steady phase either")
    start_s, end_s = _in_force(confirmation, evidence)
    if end_s <= start_s:
        return Sighting(seen=False, reason=f"the fault lasted less than {SETTLE_S:g} s after it was felt")
    during = int(np.count_nonzero(of_zone & (scheduled_at >= start_s) & (answered_at < end_s)))
    total = int(np.count_nonzero((scheduled_at >= start_s) & (scheduled_at < end_s)))
    if total == 0:
        return Sighting(seen=False, reason="there was no load while the fault was in force")
    return Sighting(
        seen=during == 0, reason=f"zone {zone} answered {before} requests in steady, {during} of {total} in the fault"
    )


def _arrivals_delayed(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """At least one call of the workload met the delay: it took that long, or carries the proxy's mark."""
    arrivals = _arrivals(effect, confirmation, evidence)
    name, delay_ms = effect.get("dependency"), float(effect.get("delay_ms", 0.0))
    if arrivals is None or arrivals.empty:
        return Sighting(seen=False, reason=f"nobody called {name} while the fault was in force")
    slow = (arrivals["duration_ms"] >= DELAY_SHARE * delay_ms).to_numpy(dtype=bool)
    met = int(np.count_nonzero(slow | _flagged(arrivals, DELAY_INJECTED)))
    reason = f"{met} of {len(arrivals)} calls of {name} met the delay of {delay_ms:g} ms"
    return Sighting(seen=met > 0, reason=reason)


def _arrivals_rejected(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """At least one call of the workload was turned away by the proxy's rate limit."""
    arrivals = _arrivals(effect, confirmation, evidence)
    name = effect.get("dependency")
    if arrivals is None or arrivals.empty:
        return Sighting(seen=False, reason=f"nobody called {name} while the fault was in force")
    met = int(np.count_nonzero(_flagged(arrivals, RATE_LIMITED)))
    return Sighting(seen=met > 0, reason=f"{met} of {len(arrivals)} calls of {name} were turned away")


_LOOK: Mapping[str, Callable[[Mapping[str, Any], Confirmation, Evidence], Sighting]] = {
    "zone-silent": _zone_silent,
    "arrivals-delayed": _arrivals_delayed,
    "arrivals-rejected": _arrivals_rejected,
}


def _in_force(confirmation: Confirmation, evidence: Evidence) -> tuple[float, float]:
    """From when the fault had settled to its undo, within the fault window; Unix s."""
    _, window_end = evidence.windows.get(Phase.FAULT.value, (0.0, 0.0))
    undone_s = confirmation.undone_at if confirmation.undone_at is not None else window_end
    return (confirmation.felt_at or 0.0) + SETTLE_S, min(window_end, undone_s)


def _arrivals(effect: Mapping[str, Any], _: Confirmation, evidence: Evidence) -> pd.DataFrame | None:
    """The workload's own calls of the dependency in the fault window; our canaries are not the workload."""
    window = evidence.windows.get(Phase.FAULT.value)
    if evidence.arrivals is None or window is None:
        return None
    arrivals = evidence.arrivals
    at = arrivals["t_start_s"]
    own = arrivals["canary"].astype(bool) | (arrivals["dependency"] != effect.get("dependency"))
    return arrivals[~own & (at >= window[0]) & (at < window[1])]


def _flagged(arrivals: pd.DataFrame, flag: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which arrivals carry *flag* among their comma-separated flags."""
    pattern = rf"(?:^|[^A-Z]){re.escape(flag)}(?:$|[^A-Z])"
    return arrivals["flags"].astype(str).str.contains(pattern, regex=True).to_numpy(dtype=bool)
