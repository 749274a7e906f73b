"""When instances count as starved: by late answers, or by work that has moved to their peers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from stormproof.model.verdict import Confirmation
from stormproof.verdict.effect import effect_seen
from stormproof.verdict.sighting import Evidence, Sighting
from support.synthetic import rows

WINDOWS = {"steady": (0.0, 10.0), "fault": (10.0, 20.0)}
EFFECT = {"kind": "instances-starved", "zone": "a", "slow_ms": 100.0, "clients": ["i-1"]}
EVEN = {"i-1": 100, "i-2": 100, "i-3": 100}


def answers(late: int) -> pd.DataFrame:
    """A hundred answers of each zone in each phase, *late* of zone a's in the fault after 150 ms."""
    frames = [
        rows(scheduled_at=list(start_s + np.arange(100) * 0.09), zone=zone)
        for start_s in (0.0, 10.0)
        for zone in ("a", "b")
    ]
    took_ms = frames[2]["service_ms"].to_numpy().copy()
    took_ms[:late] = 150.0
    frames[2]["service_ms"] = took_ms
    return pd.concat([frame.astype({"zone": str}) for frame in frames], ignore_index=True)


def calls(
    start_s: float, counts: Mapping[str, int], *, dependency: str = "stock", attempt: int = 1, canary: bool = False
) -> pd.DataFrame:
    """So many calls of each client, evenly over the nine seconds from *start_s*."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "t_start_s": start_s + (np.arange(n) + 0.5) * (9.0 / max(n, 1)),
                    "client": client,
                    "dependency": dependency,
                    "attempt": attempt,
                    "canary": canary,
                }
            )
            for client, n in counts.items()
        ],
        ignore_index=True,
    )


def sight(*arrivals: pd.DataFrame, late: int = 0) -> Sighting:
    """The sighting of a fault felt at 10 s and undone at 20 s."""
    confirmation = Confirmation(
        fault_id="1", kind="cpu-stress", felt=True, gone=True, reason="", felt_at=10.0, undone_at=20.0
    )
    frame = pd.concat(arrivals, ignore_index=True) if arrivals else None
    evidence = Evidence(samples=answers(late), arrivals=frame, windows=WINDOWS, acted={"1": 10.0})
    return effect_seen(EFFECT, confirmation, evidence)


FEWER = {"i-1": 10, "i-2": 145, "i-3": 145}


@pytest.mark.parametrize(
    ("during", "seen"),
    [
        pytest.param([calls(11, FEWER)], True, id="a third of the work became a thirtieth"),
        pytest.param([calls(11, {"i-1": 0, "i-2": 150, "i-3": 150})], True, id="none of it"),
        pytest.param([calls(11, EVEN)], False, id="nothing happened"),
        pytest.param([calls(11, {"i-1": 80, "i-2": 110, "i-3": 110})], False, id="a little less, as lots fall"),
        pytest.param([calls(11, {"i-1": 3, "i-2": 6, "i-3": 6})], False, id="too few calls to tell"),
        pytest.param([calls(11, {"i-1": 10, "i-2": 10, "i-3": 10})], False, id="everybody does less"),
        pytest.param([calls(11, {"i-1": 200, "i-2": 50, "i-3": 50})], False, id="it does more"),
        pytest.param([calls(11, FEWER), calls(11, {"i-1": 90}, canary=True)], True, id="calls of our own"),
        pytest.param([calls(11, FEWER), calls(11, {"i-1": 90}, attempt=2)], True, id="attempts anew of the same calls"),
        pytest.param([calls(11, EVEN), calls(11, {"i-9": 900}, dependency="mail")], False, id="others call others"),
        pytest.param([], False, id="nobody called in the fault"),
    ],
)
def test_work_that_moved_to_the_peers(during: list[pd.DataFrame], seen: bool) -> None:
    """The share of the calls fell well below what it was, and by more than chance."""
    assert sight(calls(0, EVEN), *during).seen is seen


def test_late_answers_prove_it_alone() -> None:
    """A balancer that goes on asking moves no work: what counts is that the zone's answers come late."""
    assert sight(calls(0, EVEN), calls(11, EVEN), late=30).seen
    assert not sight(calls(0, EVEN), calls(11, EVEN), late=2).seen


def test_what_cannot_be_told_is_no_proof() -> None:
    """No arrivals, or a client that called nobody before: the reason says so, and what the answers showed."""
    assert not sight().seen
    silent = sight(calls(0, {"i-2": 100}), calls(11, {"i-2": 100}), late=1)
    assert not silent.seen
    assert silent.reason == (
        "i-1 called no dependency in the steady phase; of zone a's answers 1 of 100 took 100 ms or longer; "
        "0 of 100 in steady, 0 of 100 from the other zones meanwhile"
    )
    assert sight(calls(0, EVEN)).reason.startswith(
        "nobody called a dependency while the fault was in force; of zone a's"
    )
    counted = sight(calls(0, EVEN), calls(11, FEWER))
    assert counted.reason.startswith(
        "10 of 300 calls to its dependencies came from i-1 in the fault, 100 of 300 in steady; of zone a's"
    )
