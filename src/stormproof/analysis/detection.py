"""Time to detect: from the fault's onset until the balancer calls every target of the lost zone unhealthy."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stormproof.analysis.estimate import Estimate, no_estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

METHOD = "first reading that shows it, one detection (n = 1)"
PROBE = "target_health"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One look at the balancer's view of one zone."""

    at_s: float  # Unix s
    healthy: int
    targets: int


def health_of_zone(readings: Iterable[Mapping[str, Any]], zone: str) -> tuple[Health, ...]:
    """What the probe saw of *zone*, in the order of time; failed readings and those without the zone are left out."""
    seen = []
    for row in readings:
        reading = row.get("reading")
        targets = reading.get("targets") if row.get("probe") == PROBE and isinstance(reading, dict) else None
        if not isinstance(targets, dict):
            continue
        of_zone = [target for target in targets.values() if isinstance(target, dict) and target.get("zone") == zone]
        if of_zone and isinstance(row.get("wall_s"), int | float):
            healthy = sum(bool(target.get("healthy")) for target in of_zone)
            seen.append(Health(at_s=float(row["wall_s"]), healthy=healthy, targets=len(of_zone)))
    return tuple(sorted(seen, key=lambda health: health.at_s))


def time_to_detect(health: Sequence[Health], *, onset_s: float, end_s: float, onset_slack_s: float = 0.0) -> Estimate:
    """Seconds from *onset_s* to the first reading before *end_s* with no healthy target in the zone.

    The interval: detection came after the last reading that still showed a healthy target and not after the first
    that shows none; the onset was up to *onset_slack_s* later than *onset_s* (between two canary calls).
    """
    before = [reading for reading in health if reading.at_s < onset_s]
    during = [reading for reading in health if onset_s <= reading.at_s < end_s]
    if not during:
        return no_estimate("no reading of target health during the fault", method=METHOD)
    if before and before[-1].healthy == 0:
        return no_estimate("the targets were unhealthy before the fault", n=1, method=METHOD)
    last_healthy_s = onset_s
    for reading in during:
        if reading.healthy == 0:
            return Estimate(
                value=reading.at_s - onset_s,
                low=max(0.0, last_healthy_s - onset_s - onset_slack_s),
                high=reading.at_s - onset_s,
                n=1,
                method=METHOD,
            )
        last_healthy_s = reading.at_s
    seen_s = last_healthy_s - onset_s
    reason = f"not detected within the {seen_s:.1f} s of readings"
    low_s = max(0.0, seen_s - onset_slack_s)
    return Estimate(value=None, low=low_s, high=math.inf, n=1, method=METHOD, reason=reason)


def longest_gap_s(health: Sequence[Health], *, start_s: float, end_s: float) -> float:
    """The longest stretch of [start_s, end_s] without a reading, in seconds; its whole length when there is none."""
    instants = [start_s, *(reading.at_s for reading in health if start_s <= reading.at_s <= end_s), end_s]
    return max(later - earlier for earlier, later in itertools.pairwise(instants))
