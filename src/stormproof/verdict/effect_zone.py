"""Effects that show in the samples of one zone, held against the same zone before and the other zones meanwhile.

A zone that looks ill together with the others is no proof: the machine, or a dependency, was. So a share of the zone's
samples counts only when its interval lies above both: what the zone showed in steady, and what the others show now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stormproof.analysis.proportion import clopper_pearson
from stormproof.analysis.requests import zoneless
from stormproof.model.hypothesis import Phase
from stormproof.verdict.sighting import Counts, Evidence, Sighting, in_force

if TYPE_CHECKING:
    from stormproof.analysis.requests import Bools
    from stormproof.model.verdict import Confirmation

STEADY, DURING, OTHERS = "steady", "during", "others"  # the zone before, the zone meanwhile, the others meanwhile


def zone_slowed(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """More of the zone's answers took `slow_ms` or longer than in steady, and than of the other zones' meanwhile."""
    slow_ms = float(effect.get("slow_ms", 0.0))
    if slow_ms <= 0:
        return Sighting(seen=False, reason="the effect does not say what is slow")
    seen = evidence.counted(count_slow, effect, confirmation)
    hits = {who: seen["hit", who] for who in (STEADY, DURING, OTHERS)}
    return _stands_out(effect, seen, hits, f"took {slow_ms:g} ms or longer")


def zone_otherwise(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """More of the zone's answers have a status that it gave nobody in steady than of the other zones' meanwhile."""
    seen = evidence.counted(count_otherwise, effect, confirmation)
    given = {key[1:] for key, count in seen.items() if key[0] == STEADY and len(key) == 3 and count}
    hits = {STEADY: 0}
    for who in (DURING, OTHERS):
        hits[who] = sum(count for key, count in seen.items() if key[0] == who and key[1:] not in given)
    return _stands_out(effect, seen, hits, "had a status that it did not give in steady")


def _stands_out(effect: Mapping[str, Any], seen: Counts, hits: Mapping[str, int], what: str) -> Sighting:
    """Whether the share of *hits* among the zone's samples lies above its own in steady and the others' meanwhile."""
    zone = effect.get("zone")
    n_before, n_during, n_others = (seen["all", who] for who in (STEADY, DURING, OTHERS))
    if n_before == 0:
        return Sighting(seen=False, reason=f"zone {zone} answered nothing in the steady phase")
    if n_during == 0:
        return Sighting(seen=False, reason=f"zone {zone} answered nothing while the fault was in force")
    if n_others == 0:
        return Sighting(seen=False, reason=f"no other zone answered meanwhile: nothing to hold zone {zone} against")
    before, now, meanwhile = (hits[who] for who in (STEADY, DURING, OTHERS))
    low, _ = clopper_pearson(now, n_during)
    highs = [clopper_pearson(before, n_before)[1], clopper_pearson(meanwhile, n_others)[1]]
    return Sighting(
        seen=low > max(highs),
        reason=f"of zone {zone}'s answers {now} of {n_during} {what}; {before} of {n_before} in steady, "
        f"{meanwhile} of {n_others} from the other zones meanwhile",
    )


def count_slow(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Counts:
    """("all" | "hit", who) → answers, and those that took `slow_ms` or longer."""
    assert evidence.samples is not None
    # Not the latency from the schedule: a load that sends late is late to every zone, and to the ill one most.
    took_ms = evidence.samples["service_ms"].to_numpy(dtype=np.float64, na_value=np.nan)
    slow = took_ms >= float(effect.get("slow_ms", 0.0))
    found: Counts = Counter()
    for who, mask in _masks(effect, confirmation, evidence).items():
        found["all", who] = int(np.count_nonzero(mask))
        found["hit", who] = int(np.count_nonzero(mask & slow))
    return found


def count_otherwise(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Counts:
    """("all", who) → answers, and (who, endpoint, status) → how many of them were such."""
    assert evidence.samples is not None
    found: Counts = Counter()
    for who, mask in _masks(effect, confirmation, evidence).items():
        chosen = evidence.samples.loc[mask, ["endpoint", "status"]]
        found["all", who] = len(chosen)
        for given, count in chosen.value_counts().items():
            endpoint, status = cast("tuple[str, int]", given)
            if count:
                found[who, endpoint, int(status)] += int(count)
    return found


def _masks(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> dict[str, Bools]:
    """The answers of the effect's zone in the steady phase, and of it and of the others while the fault was in force.

    In force is from the act on, not from when it was felt: by then a workload that defends itself may ask the zone no
    more.
    """
    assert evidence.samples is not None
    at = evidence.samples["scheduled_at"].to_numpy(dtype=np.float64, na_value=np.nan)
    steady_start, steady_end = evidence.windows.get(Phase.STEADY.value, (0.0, 0.0))
    _, end_s = in_force(confirmation, evidence)
    begin_s = evidence.acted.get(confirmation.fault_id, confirmation.felt_at or 0.0)
    of_zone = (evidence.samples["zone"] == str(effect.get("zone"))).to_numpy(dtype=bool, na_value=False)
    during = (at >= begin_s) & (at < end_s)
    return {
        STEADY: of_zone & (at >= steady_start) & (at < steady_end),
        DURING: of_zone & during,
        OTHERS: ~of_zone & ~zoneless(evidence.samples) & during,
    }
