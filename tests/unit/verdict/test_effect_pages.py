"""When error pages show that a bad build was met: hand-written samples, a few rows each."""

from __future__ import annotations

import pandas as pd
import pytest

from stormproof.model.verdict import Confirmation
from stormproof.verdict.effect import effect_seen
from stormproof.verdict.sighting import Evidence

EFFECT = {"kind": "pages-failed", "status": 500}
WINDOWS = {"steady": (0.0, 10.0), "fault": (10.0, 20.0)}


def seen(rows: list[tuple[float, int, str]]) -> bool:
    """Whether samples of (time, status, zone) show the effect of a fault that began at 10 s and was undone at 20 s."""
    samples = pd.DataFrame(rows, columns=["scheduled_at", "status", "zone"])
    confirmation = Confirmation(
        fault_id="1", kind="bad-deploy", felt=True, gone=True, reason="", felt_at=10.5, undone_at=19.0
    )
    return effect_seen(EFFECT, confirmation, Evidence(samples=samples, arrivals=None, windows=WINDOWS)).seen


GOOD = [(5.0, 200, "a"), (6.0, 200, "b"), (15.0, 200, "a")]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([*GOOD, (12.0, 500, "b")], True),
        ([*GOOD, (10.1, 500, "b")], True),
        (GOOD, False),
        ([*GOOD, (12.0, 503, "b")], False),
        ([*GOOD, (12.0, 500, "")], False),
        ([*GOOD, (12.0, 0, "")], False),
        ([*GOOD, (20.5, 500, "b")], False),
        ([*GOOD, (5.5, 500, "b"), (12.0, 500, "b")], False),
        ([(12.0, 500, "b")], False),
        (GOOD[:2], False),
        ([], False),
    ],
    ids=[
        "an error page", "one at the onset", "all is well", "another status", "the balancer's own", "no answer",
        "after the fault", "one before as well", "no load before", "no load in the fault", "nothing at all",
    ],
)  # fmt: skip
def test_failed_is_pages_of_instances_and_none_before(rows: list[tuple[float, int, str]], expected: bool) -> None:
    """An instance's own error in the fault, and not one in steady, with load in both."""
    assert seen(rows) is expected
