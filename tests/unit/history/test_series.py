"""Nights: which run speaks for one, and which runs stand beside each other."""

from __future__ import annotations

import datetime as dt

from stormproof.history.series import night_of, nights, tracks
from stormproof.model.verdict import Outcome
from support.nights import AVAILABILITY, P99, finding, run


def test_the_last_run_that_tested_the_claim_speaks_for_its_night() -> None:
    """Repeated after an invalid one, the repetition counts; followed by an invalid one, it still does."""
    first = run(0, [finding(estimate=90.0)])
    repeated = run(0, [finding(estimate=110.0)], hour=1)
    invalid = run(0, [finding(estimate=500.0, verdict=Outcome.INCONCLUSIVE)], hour=2, verdict=Outcome.INVALID)

    (night,) = nights([first, repeated, invalid], P99)

    assert (110.0, 3) == (night.finding and night.finding.estimate, night.runs)


def test_a_night_without_a_test_is_a_night() -> None:
    """Only an invalid run, or none against this claim: the night is there, and has no finding."""
    invalid = run(0, [finding()], verdict=Outcome.ABORTED)
    other = run(1, [finding(AVAILABILITY)])

    assert [None, None] == [night.finding for night in nights([invalid, other], P99)]


def test_a_night_goes_over_midnight() -> None:
    """Noon to noon: 23:00 and 01:00 are one night, 11:00 and 13:00 are two."""
    late, early, morning, afternoon = (
        dt.datetime(2026, 11, day, hour, tzinfo=dt.UTC).timestamp() for day, hour in ((1, 23), (2, 1), (2, 11), (2, 13))
    )

    assert dt.date(2026, 11, 1) == night_of(late) == night_of(early) == night_of(morning)
    assert dt.date(2026, 11, 2) == night_of(afternoon)


def test_other_conditions_are_another_track() -> None:
    """Another load, place or variant does not stand beside it; the newest conditions come first."""
    runs = [run(0, conditions="old"), run(1, conditions="new"), run(2, environment="staging"), run(3, variant="naive")]

    found = [(one.environment, one.variant, one.conditions) for one in tracks(runs)]

    assert [("local", "hardened", "new"), ("local", "hardened", "old"), ("local", "naive", "c0ffee"),
            ("staging", "hardened", "c0ffee")] == found  # fmt: skip


def test_claims_that_are_gone_come_last() -> None:
    """The order is the newest run's; what only older runs were held against follows."""
    runs = [run(0, [finding("time to recover <= 10s"), finding()]), run(1, [finding(AVAILABILITY), finding()])]

    (track,) = tracks(runs)

    assert (AVAILABILITY, P99, "time to recover <= 10s") == track.claims
