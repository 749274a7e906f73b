"""Whether the workload itself shows the effect that a fault declared, in samples and arrivals.

The canary of a fault proves that the target is broken; this proves that the workload under load met it. A fault aimed
at something that nobody calls passes the first and fails the second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.model.hypothesis import Phase
from stormproof.verdict.effect_arrivals import (
    DELAYED,
    arrivals_delayed,
    arrivals_flagged,
    arrivals_rejected,
    arrivals_stopped,
    count_load,
)
from stormproof.verdict.effect_instances import arrivals_refused, calls_refused, client_silent, release_served
from stormproof.verdict.effect_pages import count_pages, pages_failed
from stormproof.verdict.effect_starved import instances_starved
from stormproof.verdict.effect_zone import count_otherwise, count_slow, zone_otherwise, zone_slowed
from stormproof.verdict.sighting import SETTLE_S, Count, Counts, Evidence, Sighting, in_force

if TYPE_CHECKING:
    from stormproof.model.verdict import Confirmation


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


def count_effect(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Counts:
    """What the look for *effect* needs of the samples; nothing where it looks elsewhere."""
    count = _COUNT.get(str(effect.get("kind")))
    if count is None or confirmation.felt_at is None:
        return Counter()
    return count(effect, confirmation, evidence)


def _zone_silent(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """The zone answered in steady and nothing while the fault was in force.

    Between undo and the sighting that it is gone the zone comes back by and by, so only answers given before the undo
    count against the silence.
    """
    zone = str(effect.get("zone"))
    seen = evidence.counted(_count_silence, effect, confirmation)
    before, during, total = seen["before"], seen["during"], seen["total"]
    if before == 0:
        return Sighting(seen=False, reason=f"zone {zone} answered nothing in the steady phase either")
    start_s, end_s = in_force(confirmation, evidence)
    if end_s <= start_s:
        return Sighting(seen=False, reason=f"the fault lasted less than {SETTLE_S:g} s after it was felt")
    if total == 0:
        return Sighting(seen=False, reason="there was no load while the fault was in force")
    return Sighting(
        seen=during == 0, reason=f"zone {zone} answered {before} requests in steady, {during} of {total} in the fault"
    )


def _count_silence(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Counts:
    """The zone's answers in steady and while the fault was in force, and all that was due then."""
    assert evidence.samples is not None
    samples, zone = evidence.samples, str(effect.get("zone"))
    scheduled_at = samples["scheduled_at"].to_numpy(dtype=np.float64, na_value=np.nan)
    answered_at = scheduled_at + samples["latency_ms"].to_numpy(dtype=np.float64, na_value=np.nan) / 1000
    of_zone = (samples["zone"] == zone).to_numpy(dtype=bool, na_value=False)
    steady_start, steady_end = evidence.windows.get(Phase.STEADY.value, (0.0, 0.0))
    start_s, end_s = in_force(confirmation, evidence)
    return Counter(
        before=int(np.count_nonzero(of_zone & (scheduled_at >= steady_start) & (scheduled_at < steady_end))),
        during=int(np.count_nonzero(of_zone & (scheduled_at >= start_s) & (answered_at < end_s))),
        total=int(np.count_nonzero((scheduled_at >= start_s) & (scheduled_at < end_s))),
    )


_LOOK: Mapping[str, Callable[[Mapping[str, Any], Confirmation, Evidence], Sighting]] = {
    "zone-silent": _zone_silent,
    DELAYED: arrivals_delayed,
    "arrivals-rejected": arrivals_rejected,
    "arrivals-flagged": arrivals_flagged,
    "arrivals-stopped": arrivals_stopped,
    "calls-refused": calls_refused,
    "arrivals-refused": arrivals_refused,
    "release-served": release_served,
    "client-silent": client_silent,
    "pages-failed": pages_failed,
    "zone-slowed": zone_slowed,
    "zone-otherwise": zone_otherwise,
    "instances-starved": instances_starved,
}
# What some of them count in the samples.
_COUNT: Mapping[str, Count] = {
    "zone-silent": _count_silence,
    "arrivals-stopped": count_load,
    "pages-failed": count_pages,
    "zone-slowed": count_slow,
    "zone-otherwise": count_otherwise,
    "instances-starved": count_slow,
}
