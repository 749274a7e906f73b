"""Several claims in one spec: how sure a refutation must be, so that together they err no more often than one.

Holm's step-down procedure (Scandinavian Journal of Statistics 6, 1979; docs/adr/0020): with m claims that rest on a
sample, the surest refutation must stand with 2.5 % / m left on its side, the next one with 2.5 % / (m - 1), and so on.
Whatever the claims have to do with each other, a run in which all are true then has a refuted one with a chance of at
most 2.5 %, the same as a spec with one claim. Held needs no such care: a run is held only when *every* claim is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from stormproof.analysis.estimate import ALPHA_SIDE


def not_sure_enough(
    candidates: Collection[int], family_size: int, is_refuted_at: Callable[[int, float], bool]
) -> dict[int, float]:
    """Those of *candidates* (each refuted when alone) that do not stand, and the tail at which they failed.

    *family_size* counts every claim that could have been refuted by chance. *is_refuted_at* says whether a claim is
    refuted with that chance left on each side of its interval.
    """
    left = list(candidates)
    while left:
        tail = ALPHA_SIDE / (family_size - (len(candidates) - len(left)))
        failing = [claim for claim in left if not is_refuted_at(claim, tail)]
        if len(failing) == len(left):
            return dict.fromkeys(left, tail)
        left = failing
    return {}
