"""How long the undo of a run may take: in the lab no time, in AWS as long as machines take to start."""

from __future__ import annotations

from collections.abc import Sequence

from stormproof.faults import catalogue
from stormproof.faults.activity import patience_of
from stormproof.faults.protocol import SlowToGo
from stormproof.model.plan import ResolvedFault


def felt_s_max(faults: Sequence[ResolvedFault]) -> float:
    """Seconds that *faults* may take to be felt, one after the other."""
    bound = (catalogue.bind(atom.kind, atom.target, atom.configuration) for fault in faults for atom in fault.atoms)
    return sum(patience_of(fault) for fault in bound)


def undo_s_max(faults: Sequence[ResolvedFault]) -> float:
    """Seconds that the undo of *faults* may take beyond the usual.

    One that is slow to go may take that long to bring back what it waits for, and as long again to be seen gone.
    """
    bound = (catalogue.bind(atom.kind, atom.target, atom.configuration) for fault in faults for atom in fault.atoms)
    return sum(2 * fault.gone_within_s for fault in bound if isinstance(fault, SlowToGo))
