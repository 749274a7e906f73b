"""The merge of outcomes, over every combination."""

from __future__ import annotations

import itertools

import pytest

from stormproof.model.verdict import Outcome
from stormproof.verdict.merge import merge

HELD, REFUTED, INCONCLUSIVE = Outcome.HELD, Outcome.REFUTED, Outcome.INCONCLUSIVE
INVALID, ABORTED = Outcome.INVALID, Outcome.ABORTED

# (findings, as a set) → (neither, aborted); invalid beats all of them
TABLE = {
    (): (INCONCLUSIVE, ABORTED),
    (HELD,): (HELD, ABORTED),
    (REFUTED,): (REFUTED, REFUTED),
    (INCONCLUSIVE,): (INCONCLUSIVE, ABORTED),
    (HELD, REFUTED): (REFUTED, REFUTED),
    (HELD, INCONCLUSIVE): (INCONCLUSIVE, ABORTED),
    (REFUTED, INCONCLUSIVE): (REFUTED, REFUTED),
    (HELD, REFUTED, INCONCLUSIVE): (REFUTED, REFUTED),
}


def test_the_table_is_exhaustive() -> None:
    """Every set of finding outcomes has a row."""
    outcomes = (HELD, REFUTED, INCONCLUSIVE)
    every = {frozenset(some) for size in range(4) for some in itertools.combinations(outcomes, size)}

    assert {frozenset(row) for row in TABLE} == every


@pytest.mark.parametrize("findings", TABLE, ids=str)
def test_merge(findings: tuple[Outcome, ...]) -> None:
    """Invalid first, then refuted > aborted > inconclusive > held, whatever the order and however many."""
    plain, aborted = TABLE[findings]
    for some in (*itertools.permutations(findings), findings * 2):
        assert merge(some) is plain
        assert merge(some, aborted=True) is aborted
        assert merge(some, invalid=True) is INVALID
        assert merge(some, invalid=True, aborted=True) is INVALID
