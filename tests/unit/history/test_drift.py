"""Drift over simulated nights: what is marked and when, whose change it is called, and that little else is."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from drift_world import AVAILABILITY, MET, NOISES, P99, Planted, simulated

from stormproof.history.drift import NIGHTS_NEEDED, Drift, TrackDrift, drift_of
from stormproof.history.entry import RunEntry
from stormproof.history.page import render_trends
from stormproof.history.series import tracks
from stormproof.history.wording import notes, shouts
from stormproof.model.verdict import Outcome
from support.nights import finding, run

SEED = 5
STEP = Planted(first=40, latency=1.3)
WEAKER = Planted(first=50, latency=0.75, met=0.67)


def drift(runs: list[RunEntry]) -> TrackDrift:
    (track,) = tracks(runs)
    return drift_of(track)


def all_of(found: TrackDrift) -> list[tuple[str, Drift]]:
    return [(one.name, change) for one in (*found.claims, *found.measures) for change in one.drifts]


def test_sixty_nights_with_a_step_and_a_weaker_fault() -> None:
    """+30 % p99 on night 40 is told on 41 or 42, the system's; the weaker fault of night 50 is the fault's; no more."""
    runs = simulated(60, seed=SEED, planted=(STEP, WEAKER))
    found = drift(runs)

    step, weaker, measure = sorted(all_of(found), key=lambda one: (one[1].told_at, one[0] != P99))
    assert (P99, 40, "system", True) == (step[0], step[1].first + 1, step[1].cause.kind, step[1].worse)
    assert step[1].told_at + 1 in {41, 42}
    assert (P99, 50, "fault", "the fault was weaker") == (
        weaker[0], weaker[1].first + 1, weaker[1].cause.kind, weaker[1].cause.words,
    )  # fmt: skip
    assert (MET, 50, "fault") == (measure[0], measure[1].first + 1, measure[1].cause.kind)
    # Night by night, as it would have been seen: loud on these nights only.
    loud = {night for night in range(30, 61) if shouts([drift(runs[:night])])}
    assert {step[1].told_at + 1, weaker[1].told_at + 1, measure[1].told_at + 1} == loud


def test_the_page_marks_both() -> None:
    """Two lines in the picture of the p99, in the classes of their causes; the newest night says that nothing moved."""
    page = render_trends(tracks(simulated(60, seed=SEED, planted=(STEP, WEAKER))), last=60, made_of="")

    assert ["system", "fault"] == re.findall(r'class="mark (\w+)"', page)[:2]
    assert "The fault was weaker" in page
    assert "Nothing moved" in page
    told = render_trends(tracks(simulated(41, seed=SEED, planted=(STEP,))), last=60, made_of="")
    assert "1 moved" in told


def test_a_fault_that_was_weaker_for_one_night_shouts_nothing() -> None:
    """One night is no change; on that night the page says that the next one decides."""
    runs = simulated(60, seed=SEED, planted=(replace(WEAKER, last=50),))

    assert [] == all_of(drift(runs))
    tonight = drift(runs[:50])
    assert [] == shouts([tonight])
    (met,) = (one for one in tonight.measures if one.name == MET)
    assert "the next one decides" in notes(met)[0][1]


@pytest.mark.parametrize(
    ("planted", "kind", "words"),
    [
        (Planted(first=40, latency=1.5, met=0.6), "system", "the system got worse"),
        (Planted(first=40, latency=1.5, load=1.2), "load", "the load was higher"),
        (Planted(first=40, latency=0.6, load=0.8), "load", "the load was lower"),
        (Planted(first=40, latency=1.5, cpu=4.0), "generator", "the load generator was near its limits"),
        (Planted(first=40, latency=1.5, cpu=1.8), "system", "the system got worse"),
        (Planted(first=40, latency=0.6), "system", "the system got better"),
        (Planted(first=40, latency=1.5, met=1.1), "fault", "the fault was stronger"),
    ],
)
def test_whose_change_it_was(planted: Planted, kind: str, words: str) -> None:
    """What moved beside it, if it explains the direction; a weaker fault never excuses a worse system."""
    (claim,) = (one for one in drift(simulated(50, seed=SEED, planted=(planted,))).claims if one.name == P99)

    (change,) = claim.drifts
    assert (kind, words) == (change.cause.kind, change.cause.words), change.cause


def test_a_new_version_is_named() -> None:
    """Where the workload's version changed that night, the sentence says so."""
    found = drift(simulated(50, seed=SEED, planted=(replace(STEP, version="v2"),)))

    assert any("first of version v2" in line for one in found.claims for _, line in notes(one))


def test_nights_without_a_test_neither_make_nor_break_a_row() -> None:
    """An invalid run between two nights that are out does not hide the change."""
    runs = simulated(50, seed=SEED, planted=(STEP,))
    runs[40] = replace(runs[40], verdict=Outcome.INVALID)

    (claim,) = (one for one in drift(runs).claims if one.name == P99)
    assert [(39, 41)] == [(one.first, one.told_at) for one in claim.drifts]


def test_too_few_nights_say_so() -> None:
    """Before there is a level nothing is judged, and how many nights are missing is said."""
    found = drift(simulated(8, seed=SEED, planted=(Planted(first=5, latency=3.0),)))

    assert [] == all_of(found)
    assert {6} == {one.waiting for one in found.claims}


def test_false_alarms_are_rare() -> None:
    """24 steady histories: at most 1 % of nights with an alarm (bench/drift_alarms.py has 1,000 and the figures)."""
    nights = alarms = 0
    for seed in range(24):
        runs = simulated(60, seed=seed, noise=NOISES[seed % len(NOISES)])
        alarms += len({change.told_at for _, change in all_of(drift(runs))})
        nights += 60 - NIGHTS_NEEDED + 1

    assert alarms / nights <= 0.01


def test_a_flaky_claim_is_in_quarantine_and_visible() -> None:
    """A verdict that goes to and fro without a change of level is named on the page; after a fortnight's quiet, not."""
    runs = [
        run(night, [finding(AVAILABILITY, Outcome.REFUTED if night in {30, 33, 36} else Outcome.HELD)])
        for night in range(40)
    ]
    found = drift(runs)

    (claim,) = found.claims
    assert claim.flaky is not None
    assert (25, 28, 6) == (claim.flaky.held, claim.flaky.nights, len(claim.flaky.flips))
    page = render_trends(tracks(runs), last=60, made_of="")
    assert "1 flaky" in page
    assert "in quarantine: held on 25 of the last 28 nights" in page
    quiet = [*runs, *(run(night, [finding(AVAILABILITY)]) for night in range(40, 53))]
    assert None is drift(quiet).claims[0].flaky


def test_a_refutation_that_stays_is_no_flakiness() -> None:
    """Held until a change, refuted ever after: one flip, explained."""
    runs = [
        run(night, [finding(P99, Outcome.HELD) if night < 30 else finding(P99, Outcome.REFUTED, estimate=400.0)])
        for night in range(40)
    ]
    (claim,) = drift(runs).claims

    assert claim.flaky is None
    assert [(30, "system", True)] == [(one.first, one.cause.kind, one.worse) for one in claim.drifts]


def test_an_alarm_of_a_flaky_claim_is_told_but_not_shouted() -> None:
    """In quarantine a change is still listed, with why it does not count."""
    values = [100.0] * 35 + [400.0] * 5
    flips = {20, 22, 24, 26}
    runs = [
        run(n, [finding(P99, Outcome.REFUTED if n in flips or v > 300 else Outcome.HELD, estimate=v + n % 3)])
        for n, v in enumerate(values)
    ]
    found = drift(runs[:37])

    (claim,) = found.claims
    assert [True] == [one.quarantined for one in claim.drifts]
    assert [] == shouts([found])
    assert any("Not counted: the claim is in quarantine" in text for _, text in notes(claim))
