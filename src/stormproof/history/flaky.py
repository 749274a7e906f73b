"""Claims that are sometimes held and sometimes not, without anything having changed: shown apart, never left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from stormproof.model.verdict import Outcome

LOOK_BACK_NIGHTS = 28
FLIPS_MIN = 4  # twice away and back: once may be a bad night
QUIET_NIGHTS = 14  # as long without a flip, and the claim is out of quarantine


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaky:
    """Why a claim is in quarantine; places count its tested nights' places in the series."""

    flips: tuple[int, ...]  # the nights that differed from the one before
    nights: int  # tested, of those looked at
    held: int

    @property
    def sentence(self) -> str:
        """For people."""
        return (
            f"in quarantine: held on {self.held} of the last {self.nights} nights that tested it, and changed "
            f"{len(self.flips)} times, without a change of its level. Its bound may be where the workload is, or it "
            f"needs more load. It leaves after {QUIET_NIGHTS} nights of one word."
        )


def flaky(outcomes: Sequence[Outcome | None], *, explained: Sequence[int]) -> Flaky | None:
    """Whether a claim with these *outcomes*, night by night (None: not tested), is flaky now.

    A flip at one of the places *explained*, where the level changed, is a consequence and no flakiness.
    """
    tested = [(place, outcome) for place, outcome in enumerate(outcomes) if outcome is not None][-LOOK_BACK_NIGHTS:]
    flips = tuple(
        place
        for (_, before), (place, outcome) in pairwise(tested)
        if (before is Outcome.HELD) is not (outcome is Outcome.HELD) and place not in explained
    )
    recent = {place for place, _ in tested[-QUIET_NIGHTS:]}
    if len(flips) < FLIPS_MIN or not recent & set(flips):
        return None
    return Flaky(flips=flips, nights=len(tested), held=sum(outcome is Outcome.HELD for _, outcome in tested))
