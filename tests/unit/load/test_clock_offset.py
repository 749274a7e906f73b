"""How far another machine's clocks are off: the exchanges of NTP, with the numbers written down."""

from __future__ import annotations

import pytest

from stormproof.load.clock_offset import EXCHANGES_LAST, ClockOffset, Exchange, exchange


def one(offset_s: float, uncertainty_s: float, wall_offset_s: float = 0.0) -> Exchange:
    return Exchange(offset_s=offset_s, uncertainty_s=uncertainty_s, wall_offset_s=wall_offset_s)


@pytest.mark.parametrize(("there_s", "back_s"), [(0.010, 0.010), (0.019, 0.001), (0.001, 0.019)])
def test_the_true_offset_lies_within_half_a_round_trip(there_s: float, back_s: float) -> None:
    """Its monotonic clock is 100 s ahead, its wall clock 0.25 s; 20 ms on the way, however they are shared out."""
    asked, waited_s = 50.0, 0.5
    heard_there = asked + there_s
    answer = {
        "heard_mono_s": heard_there + 100,
        "heard_wall_s": heard_there + 1_000_000.25,
        "sent_mono_s": heard_there + waited_s + 100,
    }
    heard = heard_there + waited_s + back_s

    found = exchange(asked, answer, heard, mono_s=heard, wall_s=heard + 1_000_000)

    assert found.uncertainty_s == pytest.approx(0.010)
    assert abs(found.offset_s - 100) <= found.uncertainty_s + 1e-9
    assert abs(found.wall_offset_s - 0.25) <= found.uncertainty_s + 1e-9


def test_the_shortest_round_trip_is_believed() -> None:
    """Of several exchanges the one that waited least says what the start is computed from."""
    clock = ClockOffset()
    for exchanged in (one(5.3, 0.4), one(5.0, 0.002), one(5.1, 0.1)):
        clock.note(exchanged)

    assert clock.start == one(5.0, 0.002)
    assert clock.error_s == pytest.approx(0.002)


def test_drift_is_an_error_and_a_slow_moment_is_none() -> None:
    """30 ms of drift count with what is not known now; exchanges of a congested moment are outvoted by one good one."""
    clock = ClockOffset()
    for _ in range(8):
        clock.note(one(5.0, 0.002))
    for _ in range(EXCHANGES_LAST):
        clock.note(one(5.6, 0.7))
    clock.note(one(5.03, 0.004))

    assert clock.error_s == pytest.approx(0.034)


@pytest.mark.parametrize(
    ("exchanged", "says"),
    [
        (one(1e6, 0.05, 1.0), None),
        (one(0.0, 0.051), "known to 51 ms only, at most 50 ms are allowed"),
        (one(0.0, 0.001, -1.01), "wall clock is -1.0 s off"),
    ],
    ids=["at the bounds", "unknown", "off"],
)
def test_a_clock_beyond_its_bounds_is_unfit(exchanged: Exchange, says: str | None) -> None:
    """Monotonic clocks may differ by anything; what is not known of them, and the wall clock, may not."""
    clock = ClockOffset()
    clock.note(exchanged)

    found = clock.unfit()

    assert found is None if says is None else says in str(found)
