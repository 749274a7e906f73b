"""The back-off table comes out as AWS published it: what is compared, and what it costs."""

from __future__ import annotations

import itertools
import random
import sys

import pytest

from support.command import ROOT

sys.path.insert(0, str(ROOT / "bench"))
from backoff_table import (
    CAP_MS,
    KINDS,
    REFERENCE,
    TIME_OFF_MAX,
    WRITES_OFF_MAX,
    contend,
    decorrelated,
    exponential,
    medians,
    off_by,
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_clients_cost_what_the_reference_says(kind: str) -> None:
    """Median time and writes, within what the spread of so few trials allows."""
    time_off, writes_off = off_by(medians(100, kind, trials=15, seed=7), kind)

    assert abs(time_off) <= TIME_OFF_MAX + 0.1
    assert abs(writes_off) <= WRITES_OFF_MAX + 0.02
    assert set(KINDS) == set(REFERENCE)


def test_one_client_alone_never_waits() -> None:
    """A read and a write, whatever it would do after a failure: four messages."""
    alone = contend(1, KINDS["exponential"], random.Random(1))

    assert alone.writes == 1
    assert 20 < alone.took_ms < 60


def test_waits_keep_to_their_formula() -> None:
    """The ceiling doubles up to the cap; decorrelated waits lie between the base and three times the one before."""
    assert [exponential(n) for n in (1, 2, 3, 9)] == [10.0, 20.0, 40.0, CAP_MS]
    waits = list(itertools.islice(decorrelated(random.Random(3)), 200))
    assert all(5.0 <= later <= min(CAP_MS, 3 * max(earlier, 5.0)) for earlier, later in itertools.pairwise(waits))
