"""What the looks for an effect are given, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stormproof.model.hypothesis import Phase

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.model.verdict import Confirmation

SETTLE_S = 1.0  # after the fault was felt: requests already on their way may still be answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the workload left behind."""

    samples: pd.DataFrame
    arrivals: pd.DataFrame | None
    windows: Mapping[str, tuple[float, float]]
    acted: Mapping[str, float] = field(default_factory=dict)  # fault_id → Unix s: the instant after the act


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Whether the effect was seen, and the numbers that say so."""

    seen: bool
    reason: str


def in_force(confirmation: Confirmation, evidence: Evidence) -> tuple[float, float]:
    """From when the fault had settled to its undo, within the fault window; Unix s."""
    _, window_end = evidence.windows.get(Phase.FAULT.value, (0.0, 0.0))
    undone_s = confirmation.undone_at if confirmation.undone_at is not None else window_end
    return (confirmation.felt_at or 0.0) + SETTLE_S, min(window_end, undone_s)
