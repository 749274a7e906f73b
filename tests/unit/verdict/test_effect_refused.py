"""When stale credentials count as met: the dependency refuses these clients, all of their calls, and nobody else."""

import pandas as pd
import pytest

from stormproof.model.verdict import Confirmation
from stormproof.verdict.effect import effect_seen
from stormproof.verdict.sighting import Evidence

EFFECT = {"kind": "arrivals-refused", "dependency": "recommendations", "clients": ["i-1", "i-2"]}
WINDOWS = {"steady": (0.0, 10.0), "fault": (10.0, 20.0)}
MET = [(15.0, "i-1", 403), (16.0, "i-2", 403), (16.0, "i-3", 200), (5.0, "i-1", 200)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (MET, True),
        ([*MET, (17.0, "i-1", 200)], False),
        ([*MET, (17.0, "i-3", 403)], False),
        ([*MET, (6.0, "i-1", 403)], False),
        ([*MET, (10.5, "i-1", 200)], True),
        ([*MET, (20.5, "i-1", 200)], True),
        (MET[2:], False),
        ([], False),
    ],
    ids=[
        "all refused", "one got through", "another is refused too", "refused before", "on its way at the onset",
        "after the undo", "did not call", "nobody called",
    ],
)  # fmt: skip
def test_refused_is_these_clients_all_of_their_calls_and_nobody_else(
    rows: list[tuple[float, str, int]], expected: bool
) -> None:
    """Otherwise the fault was aimed at something else."""
    arrivals = pd.DataFrame(rows, columns=["t_start_s", "client", "status"])
    arrivals = arrivals.assign(canary=False, dependency="recommendations")
    confirmation = Confirmation(
        fault_id="1", kind="key-stale", felt=True, gone=True, reason="", felt_at=10.0, undone_at=20.0
    )
    evidence = Evidence(samples=pd.DataFrame(), arrivals=arrivals, windows=WINDOWS)

    assert effect_seen(EFFECT, confirmation, evidence).seen is expected
