"""When a zone counts as slow, or as answering otherwise: histories of a few hundred rows, most of them no proof."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stormproof.model.verdict import Confirmation
from stormproof.verdict.effect import effect_seen
from stormproof.verdict.sighting import Evidence, Sighting
from support.synthetic import rows

WINDOWS = {"steady": (0.0, 10.0), "fault": (10.0, 20.0), "recovery": (20.0, 30.0)}
CONFIRMATION = Confirmation(
    fault_id="1",
    kind="any",
    felt=True,
    gone=True,
    reason="",
    injected_at=9.9,
    felt_at=10.0,
    undone_at=19.0,
    gone_at=20.0,
)
SLOWED = {"kind": "zone-slowed", "zone": "a", "slow_ms": 100.0}
OTHERWISE = {"kind": "zone-otherwise", "zone": "a"}


def stretch(start_s: float, zone: str, n: int, **changed: Any) -> pd.DataFrame:
    """*n* answers of *zone* in the ten seconds from *start_s*; the first *hit* of them as *changed* says."""
    hit = changed.pop("hit", 0)
    at = start_s + np.arange(n) * (9.0 / n)
    frame = rows(scheduled_at=list(at), zone=zone, endpoint="/picture")
    for name, value in changed.items():
        column = frame[name].to_numpy().copy()
        column[:hit] = value
        frame[name] = column
    return frame


def sight(effect: dict[str, Any], frames: Sequence[pd.DataFrame], acted_at: float = 10.0) -> Sighting:
    """The sighting of *effect* in these samples."""
    samples = pd.concat([frame.astype({"zone": str, "endpoint": str}) for frame in frames], ignore_index=True)
    evidence = Evidence(samples=samples, arrivals=None, windows=WINDOWS, acted={"1": acted_at, "2": 0.0})
    return effect_seen(effect, CONFIRMATION, evidence)


def history(*, before: int = 0, during: int = 0, others: int = 0, n: int = 100, **changed: Any) -> list[pd.DataFrame]:
    """Both zones in both phases; how many of zone a's answers, and of the others', are *changed*."""
    return [
        stretch(0, "a", 100, hit=before, **changed),
        stretch(0, "b", 200),
        stretch(10, "a", n, hit=during, **changed),
        stretch(10, "b", 200, hit=others, **changed),
    ]


@pytest.mark.parametrize(
    ("effect", "changed"),
    [(SLOWED, {"service_ms": 150.0}), (OTHERWISE, {"status": 203})],
    ids=["slow", "another status"],
)
@pytest.mark.parametrize(
    ("counts", "seen"),
    [
        pytest.param({"during": 60}, True, id="most of its answers"),
        pytest.param({"during": 12, "others": 2}, True, id="a share of them, and an accident elsewhere"),
        pytest.param({"during": 5, "n": 5}, True, id="all of the few that it still gives"),
        pytest.param({}, False, id="nothing happened"),
        pytest.param({"during": 2}, False, id="two accidents"),
        pytest.param({"during": 60, "others": 120}, False, id="every zone suffers"),
        pytest.param({"during": 60, "others": 100}, False, id="every zone suffers, this one a little more"),
    ],
)
def test_a_zone_stands_out_or_proves_nothing(
    effect: dict[str, Any], changed: dict[str, Any], counts: dict[str, int], seen: bool
) -> None:
    """Only a share above the zone's own before and above the others' meanwhile is an effect."""
    found = sight(effect, history(**counts, **changed))

    assert found.seen is seen, found.reason
    assert f"{counts.get('during', 0)} of {counts.get('n', 100)}" in found.reason


def test_what_was_slow_before_is_not_the_faults() -> None:
    """A zone that was as slow in steady has not been slowed."""
    assert sight(SLOWED, history(before=55, during=60, service_ms=150.0)).seen is False


def test_a_status_that_was_there_before_is_not_new() -> None:
    """One answer of the kind in steady, and it proves nothing any more."""
    assert sight(OTHERWISE, history(before=1, during=60, status=203)).seen is False


def test_a_load_that_sends_late_slows_nobody() -> None:
    """Latency from the schedule is not the zone's doing."""
    assert sight(SLOWED, history(during=60, latency_ms=150.0)).seen is False


@pytest.mark.parametrize(
    ("missing", "says"),
    [(0, "nothing in the steady phase"), (2, "nothing while the fault"), (3, "nothing to hold zone a against")],
)
@pytest.mark.parametrize(
    ("effect", "changed"), [(SLOWED, {"service_ms": 150.0}), (OTHERWISE, {"status": 500})], ids=["slow", "status"]
)
def test_without_something_to_compare_nothing_is_seen(
    effect: dict[str, Any], changed: dict[str, Any], missing: int, says: str
) -> None:
    """No answers in steady, none in the fault, or none of the others: not seen, and said so."""
    frames = history(during=60, **changed)
    del frames[missing]

    found = sight(effect, frames)
    assert found.seen is False
    assert says in found.reason


def test_the_fault_is_in_force_from_the_act_on() -> None:
    """A zone that nobody asks any more once it was seen to be slow was slow when it was asked last."""
    early = stretch(10, "a", 8, hit=6, service_ms=150.0)
    early["scheduled_at"] = np.linspace(10.1, 10.9, 8)
    frames = [stretch(0, "a", 100), stretch(0, "b", 200), early, stretch(10, "b", 200)]

    assert sight(SLOWED, frames, acted_at=10.05).seen is True
    assert sight(SLOWED, frames, acted_at=10.95).seen is False


def test_after_the_undo_it_is_too_late() -> None:
    """Between the undo and the sighting that the fault is gone nothing counts."""
    late = stretch(10, "a", 60, hit=60, service_ms=150.0)
    late["scheduled_at"] = np.linspace(19.1, 19.9, 60)

    assert sight(SLOWED, [*history(), late]).seen is False


def test_answers_that_nobody_gave_are_of_no_zone() -> None:
    """Samples without a zone are neither the zone's nor the others'."""
    silent = stretch(10, "", 200, hit=200, service_ms=150.0)

    assert sight(SLOWED, [*history(during=60, service_ms=150.0), silent]).seen is True


def test_slow_without_a_bound_is_nothing() -> None:
    """An effect that does not say what is slow is never seen."""
    assert sight({"kind": "zone-slowed", "zone": "a"}, history(during=60, service_ms=150.0)).seen is False
