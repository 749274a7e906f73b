"""Many outcomes into one: the only place where that is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormproof.model.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable


def merge(findings: Iterable[Outcome], *, invalid: bool = False, aborted: bool = False) -> Outcome:
    """The verdict of a run: invalid first, then refuted > aborted > inconclusive > held.

    A run that did not test its claims is invalid, whatever was computed. A claim that was refuted before an abort
    stays refuted; held findings of an aborted run are of a shorter run than was asked for. Without a finding
    nothing was claimed, so nothing held: inconclusive.
    """
    outcomes = list(findings)
    if invalid:
        return Outcome.INVALID
    if Outcome.REFUTED in outcomes:
        return Outcome.REFUTED
    if aborted:
        return Outcome.ABORTED
    if outcomes and all(outcome is Outcome.HELD for outcome in outcomes):
        return Outcome.HELD
    return Outcome.INCONCLUSIVE
