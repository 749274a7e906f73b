"""Effects that show in the pages that customers got: instances of the workload answered with an error of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.analysis.requests import zoneless
from stormproof.model.hypothesis import Phase
from stormproof.verdict.sighting import Counts, Evidence, Sighting

if TYPE_CHECKING:
    from stormproof.model.verdict import Confirmation


def pages_failed(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """At least one request got the effect's `status` from an instance while the fault lasted, and none before it.

    An answer of an instance names its zone; the balancer's own errors name none, and prove nothing of a build. From the
    onset on, not from when the fault had settled: a workload that mends itself may be whole again by then.
    """
    status = int(effect.get("status", 0))
    seen = evidence.counted(count_pages, effect, confirmation)
    before, of_steady = seen["failed", Phase.STEADY], seen["all", Phase.STEADY]
    during, of_fault = seen["failed", Phase.FAULT], seen["all", Phase.FAULT]
    if before:
        reason = f"instances answered {before} of {of_steady} requests with {status} before the fault already"
        return Sighting(seen=False, reason=reason)
    if of_steady == 0 or of_fault == 0:
        return Sighting(seen=False, reason="there was no load before the fault, or none while it was in force")
    reason = f"instances answered {during} of {of_fault} requests with {status}, none of {of_steady} in steady"
    return Sighting(seen=during > 0, reason=reason)


def count_pages(effect: Mapping[str, Any], _: Confirmation, evidence: Evidence) -> Counts:
    """Requests of steady and of the fault, and those that an instance answered with the effect's status."""
    assert evidence.samples is not None
    samples = evidence.samples
    scheduled_at = np.asarray(samples["scheduled_at"], dtype=np.float64)
    failed = ~zoneless(samples) & np.asarray(samples["status"] == int(effect.get("status", 0)), dtype=bool)
    found: Counts = Counter()
    for phase in (Phase.STEADY, Phase.FAULT):
        start_s, end_s = evidence.windows.get(phase.value, (0.0, 0.0))
        inside = (scheduled_at >= start_s) & (scheduled_at < end_s)
        found["failed", phase] = int(np.count_nonzero(inside & failed))
        found["all", phase] = int(np.count_nonzero(inside))
    return found
