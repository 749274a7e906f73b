"""What counts as proof that the workload met a fault, from arrivals written by hand."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from stormproof.model.verdict import Confirmation
from stormproof.verdict.effect import effect_seen
from stormproof.verdict.sighting import Evidence

WINDOWS = {"steady": (0.0, 10.0), "fault": (10.0, 20.0), "recovery": (20.0, 30.0)}
CONFIRMATION = Confirmation(
    fault_id="1", kind="any", felt=True, gone=True, reason="",
    injected_at=9.9, felt_at=10.0, undone_at=18.0, gone_at=20.0,
)  # fmt: skip
FLAGGED = {"kind": "arrivals-flagged", "dependency": "cart", "flags": ["UF", "URX"]}
STOPPED = {"kind": "arrivals-stopped", "dependency": "cart"}


def seen(effect: dict[str, Any], arrivals: list[dict[str, Any]], *, load_until_s: float = 30.0) -> tuple[bool, str]:
    """The sighting of *effect* with these arrivals and ten requests a second."""
    row = {"dependency": "cart", "t_start_s": 0.0, "duration_ms": 1.0, "flags": "", "canary": False}
    evidence = Evidence(
        samples=pd.DataFrame({"scheduled_at": [tenth / 10 for tenth in range(int(load_until_s * 10))]}),
        arrivals=pd.DataFrame([row | given for given in arrivals], columns=list(row)),
        windows=WINDOWS,
    )
    sighting = effect_seen(effect, CONFIRMATION, evidence)
    return sighting.seen, sighting.reason


@pytest.mark.parametrize(
    ("arrivals", "met"),
    [
        pytest.param([{"t_start_s": 12, "flags": "UF"}], True, id="marked"),
        pytest.param([{"t_start_s": 12, "flags": "DC,URX"}], True, id="another of the flags, among others"),
        pytest.param([{"t_start_s": 12, "flags": "UFX"}], False, id="a flag that only looks like it"),
        pytest.param([{"t_start_s": 12, "flags": "-"}], False, id="not marked"),
        pytest.param([{"t_start_s": 5, "flags": ""}, {"t_start_s": 22, "flags": "UF"}], False, id="after the fault"),
        pytest.param([{"t_start_s": 12, "flags": "UF", "canary": True}], False, id="only our canary"),
        pytest.param([{"t_start_s": 12, "flags": "UF", "dependency": "sqs"}], False, id="another dependency"),
        pytest.param([{"t_start_s": 5, "flags": "UF"}, {"t_start_s": 12, "flags": "UF"}], False, id="marked before"),
        pytest.param([], False, id="nobody calls it"),
    ],
)
def test_a_mark_counts_when_the_fault_made_it(arrivals: list[dict[str, Any]], met: bool) -> None:
    """A call of the workload's own, in the fault window, with the mark, which nothing had before."""
    assert seen(FLAGGED, arrivals)[0] is met


def test_an_effect_without_flags_proves_nothing() -> None:
    """No flag to look for is not every flag."""
    met, reason = seen({**FLAGGED, "flags": []}, [{"t_start_s": 12, "flags": "UF"}])

    assert (met, reason) == (False, "the effect names no flag")


@pytest.mark.parametrize(
    ("arrivals", "load_until_s", "met", "says"),
    [
        pytest.param([{"t_start_s": 5}], 30, True, "1 calls of cart arrived in steady, 0 while", id="stopped"),
        pytest.param(
            [{"t_start_s": 5}, {"t_start_s": 10.5}], 30, True, "0 while", id="one on its way when it was felt"
        ),
        pytest.param([{"t_start_s": 5}, {"t_start_s": 19}], 30, True, "0 while", id="one after the undo"),
        pytest.param([{"t_start_s": 5}, {"t_start_s": 12}], 30, False, "1 while", id="went on"),
        pytest.param(
            [{"t_start_s": 5}, {"t_start_s": 12, "canary": True}], 30, True, "0 while", id="only our canary went on"
        ),
        pytest.param([{"t_start_s": 12}], 30, False, "in the steady phase either", id="nobody called before"),
        pytest.param([{"t_start_s": 5}], 10, False, "no load", id="the load stopped, too"),
    ],
)
def test_calls_that_stop_are_proof_while_the_load_goes_on(
    arrivals: list[dict[str, Any]], load_until_s: float, met: bool, says: str
) -> None:
    """Silence is the fault's only when there was something to hear before, and somebody to speak."""
    found, reason = seen(STOPPED, arrivals, load_until_s=load_until_s)

    assert found is met
    assert says in reason
