"""Time to detect, from hand-written readings."""

from __future__ import annotations

import math

import pytest

from stormproof.analysis.detection import Health, health_of_zone, longest_gap_s, time_to_detect
from support.synthetic import START_S


def health(*seen: tuple[float, int]) -> list[Health]:
    return [Health(at_s=START_S + at_s, healthy=healthy, targets=2) for at_s, healthy in seen]


def detect(*seen: tuple[float, int], slack_s: float = 0.0) -> tuple[float | None, float | None, float | None]:
    found = time_to_detect(health(*seen), onset_s=START_S, end_s=START_S + 20, onset_slack_s=slack_s)
    return found.value, found.low, found.high


def test_the_interval_is_the_gap_between_two_readings() -> None:
    """Healthy at 0.9 s, half at 1.0, none at 1.2: detected after 1.0 and by 1.2 s."""
    assert detect((-0.1, 2), (0.9, 2), (1.0, 1), (1.2, 0), (5.0, 0)) == pytest.approx((1.2, 1.0, 1.2))


def test_a_lost_reading_widens_the_interval() -> None:
    """With no reading between 0.1 and 3.0 s detection lies anywhere between."""
    assert detect((-0.1, 2), (0.1, 2), (3.0, 0)) == pytest.approx((3.0, 0.1, 3.0))


def test_the_onset_may_have_been_later() -> None:
    """0.3 s between canaries lower the lower end, not the upper."""
    assert detect((0.9, 2), (1.0, 0), slack_s=0.3) == pytest.approx((1.0, 0.6, 1.0))


def test_never_detected_is_open_above() -> None:
    """Healthy in every reading: at least as long as was looked, without end."""
    assert detect((1.0, 2), (19.0, 1)) == (None, pytest.approx(19.0), math.inf)


def test_unhealthy_before_the_fault_detects_nothing() -> None:
    """What was unhealthy already is no detection."""
    assert detect((-0.1, 0), (0.5, 0)) == (None, None, None)


def test_no_readings() -> None:
    """A blind probe gives a reason, not a zero."""
    found = time_to_detect([], onset_s=START_S, end_s=START_S + 20)

    assert (found.value, found.n) == (None, 0)
    assert found.reason == "no reading of target health during the fault"


def test_only_whole_readings_of_the_zone_count() -> None:
    """Errors, other probes and other zones are passed over; the order of time is restored."""
    targets = {"i-1": {"zone": "a", "healthy": True}, "i-2": {"zone": "a", "healthy": False}}
    readings = [
        {"probe": "target_health", "wall_s": 2.0, "reading": {"targets": targets}},
        {"probe": "target_health", "wall_s": 1.0, "reading": {"targets": targets}},
        {"probe": "target_health", "wall_s": 1.5, "error": "refused"},
        {"probe": "other", "wall_s": 1.6, "reading": {"targets": targets}},
        {"probe": "target_health", "wall_s": 1.7, "reading": {"targets": {"i-3": {"zone": "b", "healthy": True}}}},
    ]

    assert health_of_zone(readings, "a") == (
        Health(at_s=1.0, healthy=1, targets=2),
        Health(at_s=2.0, healthy=1, targets=2),
    )


def test_the_longest_gap_includes_the_edges() -> None:
    """From the start to the first reading is a gap as well."""
    seen = health((3.0, 2), (4.0, 2))

    assert longest_gap_s(seen, start_s=START_S, end_s=START_S + 5) == 3.0
    assert longest_gap_s([], start_s=START_S, end_s=START_S + 5) == 5.0
