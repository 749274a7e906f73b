"""Effects that show in the samples of one zone, held against the same zone before and the other zones meanwhile.

A zone that looks ill together with the others is no proof: the machine, or a dependency, was. So a share of the zone's
samples counts only when its interval lies above both: what the zone showed in steady, and what the others show now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.analysis.proportion import clopper_pearson
from stormproof.model.hypothesis import Phase
from stormproof.verdict.sighting import Evidence, Sighting, in_force

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.model.verdict import Confirmation

    Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

NO_ZONE = ""  # of a sample that nobody answered


def zone_slowed(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """More of the zone's answers took `slow_ms` or longer than in steady, and than of the other zones' meanwhile."""
    slow_ms = float(effect.get("slow_ms", 0.0))
    if slow_ms <= 0:
        return Sighting(seen=False, reason="the effect does not say what is slow")
    # Not the latency from the schedule: a load that sends late is late to every zone, and to the ill one most.
    took_ms = evidence.samples["service_ms"].to_numpy(dtype=np.float64, na_value=np.nan)
    return _stands_out(effect, confirmation, evidence, took_ms >= slow_ms, f"took {slow_ms:g} ms or longer")


def zone_otherwise(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> Sighting:
    """More of the zone's answers have a status that it gave nobody in steady than of the other zones' meanwhile."""
    samples = evidence.samples
    of_zone, steady, _ = _masks(effect, confirmation, evidence)
    given = (samples["endpoint"].astype(str) + " " + samples["status"].astype(str)).to_numpy(dtype=str)
    new = ~np.isin(given, np.unique(given[of_zone & steady]))
    return _stands_out(effect, confirmation, evidence, new, "had a status that it did not give in steady")


def _stands_out(
    effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence, hit: Mask, what: str
) -> Sighting:
    """Whether the share of *hit* among the zone's samples lies above its own in steady and the others' meanwhile."""
    zone = effect.get("zone")
    of_zone, steady, during = _masks(effect, confirmation, evidence)
    others = ~of_zone & (_zones(evidence.samples) != NO_ZONE)
    n_before, n_during, n_others = (
        int(np.count_nonzero(mask)) for mask in (of_zone & steady, of_zone & during, others & during)
    )
    if n_before == 0:
        return Sighting(seen=False, reason=f"zone {zone} answered nothing in the steady phase")
    if n_during == 0:
        return Sighting(seen=False, reason=f"zone {zone} answered nothing while the fault was in force")
    if n_others == 0:
        return Sighting(seen=False, reason=f"no other zone answered meanwhile: nothing to hold zone {zone} against")
    before, now, meanwhile = (
        int(np.count_nonzero(mask & hit)) for mask in (of_zone & steady, of_zone & during, others & during)
    )
    low, _ = clopper_pearson(now, n_during)
    highs = [clopper_pearson(before, n_before)[1], clopper_pearson(meanwhile, n_others)[1]]
    return Sighting(
        seen=low > max(highs),
        reason=f"of zone {zone}'s answers {now} of {n_during} {what}; {before} of {n_before} in steady, "
        f"{meanwhile} of {n_others} from the other zones meanwhile",
    )


def _masks(effect: Mapping[str, Any], confirmation: Confirmation, evidence: Evidence) -> tuple[Mask, Mask, Mask]:
    """The samples of the effect's zone, those of the steady phase, those scheduled while the fault was in force.

    In force is from the act on, not from when it was felt: by then a workload that defends itself may ask the zone no
    more.
    """
    at = evidence.samples["scheduled_at"].to_numpy(dtype=np.float64, na_value=np.nan)
    steady_start, steady_end = evidence.windows.get(Phase.STEADY.value, (0.0, 0.0))
    _, end_s = in_force(confirmation, evidence)
    begin_s = evidence.acted.get(confirmation.fault_id, confirmation.felt_at or 0.0)
    return (
        _zones(evidence.samples) == str(effect.get("zone")),
        (at >= steady_start) & (at < steady_end),
        (at >= begin_s) & (at < end_s),
    )


def _zones(samples: pd.DataFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.str_]]:
    return samples["zone"].astype(str).to_numpy(dtype=str)
