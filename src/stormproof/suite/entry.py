"""One experiment of a suite: what it measures and touches, how long it takes, what it breaks for how long."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormproof.model.experiment import Experiment
    from stormproof.model.plan import ResolvedFault

# What a run takes beside its timeline: a lab that comes up and goes, the load's start, confirmations, the analysis.
OVERHEAD_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An experiment with what the schedule needs to know of it; JSON-clean."""

    slug: str
    spec: str  # the file
    spec_sha256: str
    title: str
    tags: tuple[str, ...]
    settings: tuple[str, ...]  # the texts of `--set`
    expected_s: float  # wall time of one run
    target_seconds: float  # of injected damage: targets × seconds, as planned, of one run
    workload: str  # what its load goes to: two names, two systems
    touches: tuple[str, ...]  # what its faults touch


def entry_of(
    experiment: Experiment, resolved: Sequence[ResolvedFault], *, settings: Sequence[str], workload: str
) -> Entry:
    """*experiment* as part of a suite; what it touches belongs to *workload* and to no other."""
    return Entry(
        slug=experiment.slug,
        spec=experiment.path,
        spec_sha256=digest_of(Path(experiment.path)),
        title=experiment.title,
        tags=experiment.tags,
        settings=tuple(settings),
        expected_s=experiment.load.warmup_s + experiment.timeline.total_s + OVERHEAD_S,
        target_seconds=planned_damage(experiment, resolved),
        workload=workload,
        touches=tuple(sorted({f"{workload}/{target}" for fault in resolved for target in fault.targets})),
    )


def planned_damage(experiment: Experiment, resolved: Sequence[ResolvedFault]) -> float:
    """Target-seconds of one run if it goes as planned: each fault's targets for as long as it is to be in force."""
    lengths = dict.fromkeys(experiment.fault_ids, experiment.timeline.fault_s)
    for step in experiment.steps:
        lengths |= dict.fromkeys(experiment.step_fault_ids[step.name], step.duration_s)
    return sum(
        len(atom.targets) * max(0.0, lengths[fault.fault_id] - atom.at_s) for fault in resolved for atom in fault.atoms
    )


def digest_of(spec: Path) -> str:
    """SHA-256 of a spec file: whether it is still the experiment that a suite was begun with."""
    return hashlib.sha256(spec.read_bytes()).hexdigest()
