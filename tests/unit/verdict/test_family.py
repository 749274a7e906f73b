"""Several claims in one spec share one chance of a false refutation."""

from __future__ import annotations

import numpy as np
import pytest

import stormproof
from stormproof.verdict.family import not_sure_enough
from support.synthetic import START_S, rows

WINDOWS = {"fault": (START_S, START_S + 20)}


@pytest.mark.parametrize(
    ("p_values", "weak"),
    [
        ([0.02], {}),
        ([0.02, 0.5, 0.5], {0: 0.025 / 3}),
        ([0.008, 0.5, 0.5], {}),
        ([0.008, 0.012, 0.024], {}),  # each step has fewer left to share with
        ([0.008, 0.013, 0.024], {1: 0.0125, 2: 0.0125}),
        ([0.009, 0.009, 0.009], {0: 0.025 / 3, 1: 0.025 / 3, 2: 0.025 / 3}),
    ],
)
def test_holm_by_hand(p_values: list[float], weak: dict[int, float]) -> None:
    """The surest at 2.5 % / m, the next at 2.5 % / (m - 1), …; the first that fails takes the rest with it."""
    candidates = [i for i, p in enumerate(p_values) if p <= 0.025]

    assert not_sure_enough(candidates, len(p_values), lambda i, tail: p_values[i] <= tail) == pytest.approx(weak)


def failing(n: int, failed: int) -> object:
    return rows(scheduled_at=START_S + np.arange(n) * 20 / n, ok=np.arange(n) >= failed, latency_ms=20.0)


def test_what_one_claim_refutes_ten_do_not() -> None:
    """18 of 1,000 failed: 99 % is refuted by a spec of one claim, and not by a spec of eleven; the reason says why."""
    claim, others = "availability >= 99%", [f"p50 latency <= {i}s" for i in range(1, 11)]
    alone = stormproof.judge(failing(1000, 18), WINDOWS, [claim]).iloc[0]
    among = stormproof.judge(failing(1000, 18), WINDOWS, [claim, *others]).iloc[0]

    assert (alone["verdict"], among["verdict"]) == ("refuted", "inconclusive")
    assert (alone["low"], alone["high"]) == (among["low"], among["high"])
    assert "one of 11 claims is refuted only if that is so of its 99.55 % interval too; about " in among["reason"]


def test_counts_are_not_by_chance_and_share_nothing() -> None:
    """A count of failures has no error of sampling: ten such claims leave the eleventh as it is."""
    claims = ["availability >= 99%", *(f"requests failed <= {i}" for i in range(10))]
    found = stormproof.judge(failing(1000, 18), WINDOWS, claims)

    assert found["verdict"].tolist() == ["refuted"] * 11


def test_what_is_sure_stays_refuted_among_many() -> None:
    """Half of the requests failed: no number of other claims makes that doubtful."""
    claims = ["availability >= 99%", *(f"p50 latency <= {i}s" for i in range(1, 40))]

    assert stormproof.judge(failing(1000, 500), WINDOWS, claims)["verdict"].iloc[0] == "refuted"
