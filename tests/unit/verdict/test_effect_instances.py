"""When instances count as silent: hand-written arrivals, a few rows each."""

import pandas as pd
import pytest

from stormproof.model.verdict import Confirmation
from stormproof.verdict.effect import effect_seen
from stormproof.verdict.sighting import Evidence

EFFECT = {"kind": "client-silent", "clients": ["i-1", "i-2"]}
WINDOWS = {"steady": (0.0, 10.0), "fault": (10.0, 20.0)}


def seen(rows: list[tuple[float, str, bool]]) -> bool:
    """Whether calls of (time, client, canary) show the effect of a fault felt at 10 s and undone at 20 s."""
    arrivals = pd.DataFrame(rows, columns=["t_start_s", "client", "canary"])
    confirmation = Confirmation(
        fault_id="1", kind="process-pause", felt=True, gone=True, reason="", felt_at=10.0, undone_at=20.0
    )
    evidence = Evidence(samples=pd.DataFrame(), arrivals=arrivals, windows=WINDOWS)
    return effect_seen(EFFECT, confirmation, evidence).seen


BEFORE = [(5.0, "i-1", False), (6.0, "i-2", False)]
OTHERS = [(15.0, "i-3", False)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (BEFORE + OTHERS, True),
        ([*BEFORE, *OTHERS, (15.0, "i-2", False)], False),
        ([*BEFORE, *OTHERS, (10.5, "i-2", False)], True),
        ([*BEFORE, *OTHERS, (15.0, "i-2", True)], True),
        ([*BEFORE, *OTHERS, (20.5, "i-1", False)], True),
        (BEFORE[:1] + OTHERS, False),
        (BEFORE, False),
    ],
    ids=[
        "both silent", "one calls on", "a call on its way", "our own canary", "after the undo",
        "one was silent before", "nobody called at all",
    ],
)  # fmt: skip
def test_silent_is_calls_before_and_none_in_the_fault(rows: list[tuple[float, str, bool]], expected: bool) -> None:
    """Every client called before, none while the fault was in force, and somebody else did."""
    assert seen(rows) is expected


REFUSED = {"kind": "calls-refused", "client": "fleet", "dependency": "ec2"}


def refused(rows: list[tuple[float, str, str, int, bool]]) -> bool:
    """Whether calls of (time, client, dependency, status, canary) show that the fleet was refused in the fault."""
    arrivals = pd.DataFrame(rows, columns=["t_start_s", "client", "dependency", "status", "canary"])
    confirmation = Confirmation(
        fault_id="1", kind="capacity-denied", felt=True, gone=True, reason="", felt_at=10.0, undone_at=20.0
    )
    evidence = Evidence(samples=pd.DataFrame(), arrivals=arrivals, windows=WINDOWS)
    return effect_seen(REFUSED, confirmation, evidence).seen


NO = (15.0, "fleet", "ec2", 500, False)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([NO], True),
        ([NO, (16.0, "fleet", "ec2", 400, False)], True),
        ([NO, (20.5, "fleet", "ec2", 200, False)], True),
        ([NO, (10.5, "fleet", "ec2", 200, False)], True),
        ([NO, (16.0, "i-1", "ec2", 200, False)], True),
        ([NO, (16.0, "fleet", "ec2", 200, False)], False),
        ([NO, (5.0, "fleet", "ec2", 500, False)], False),
        ([(15.0, "fleet", "ec2", 200, False)], False),
        ([(15.0, "fleet", "ec2", 500, True)], False),
        ([(15.0, "i-1", "ec2", 500, False)], False),
        ([(15.0, "fleet", "sqs", 500, False)], False),
        ([(20.5, "fleet", "ec2", 500, False)], False),
        ([], False),
    ],
    ids=[
        "refused", "refused twice", "granted after the undo", "granted before it had settled", "granted to another",
        "granted once", "refused before as well", "granted", "our own canary", "another was refused",
        "refused elsewhere", "refused after the undo", "nobody asked",
    ],
)  # fmt: skip
def test_refused_is_calls_in_the_fault_and_not_one_granted(
    rows: list[tuple[float, str, str, int, bool]], expected: bool
) -> None:
    """Who asks for nothing is refused nothing: that is no proof."""
    assert refused(rows) is expected
