"""The trend page: what is on it, and that no run's text becomes markup."""

from __future__ import annotations

import re

import pytest

from stormproof.history.page import render_trends
from stormproof.history.series import tracks
from stormproof.model.verdict import Outcome
from support.nights import AVAILABILITY, P99, finding, hostile, run


def test_a_claim_is_drawn_night_by_night() -> None:
    """Thirty nights: a dot each in its outcome's colour, the bound in words, the newest run in the table."""
    runs = [
        run(night, [finding(verdict=Outcome.REFUTED if night == 20 else Outcome.HELD, estimate=100.0 + night)])
        for night in range(30)
    ]

    page = render_trends(tracks(runs), last=60, made_of="history.sqlite")

    dots = {css: d.count("M") for css, d in re.findall(r'<path class="dot (\w+)" d="(M[^"]+ 0 1 0 [^"]+)"', page)}
    assert {"held": 29, "refuted": 1} == dots
    assert runs[-1].run_id in page
    assert "129" in page


def test_foreign_text_is_escaped() -> None:
    """Titles, slugs, claims and reasons of somebody else's run stay text; the style is the only one allowed."""
    claim = "<img src=x onerror=alert(1)>"
    runs = [run(n, [finding(claim), finding(found="<b>")], reasons=("<i>why",), **hostile("x")) for n in range(2)]

    page = render_trends(tracks(runs), last=9, made_of="<u>here")

    assert [] == re.findall(r"<(script|img|b|i|u)\b[^a-z]", page.replace("<b>Stormproof</b>", ""))
    assert 1 == page.count("</style>")
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("nights", "verdict", "words", "tone"),
    [
        (3, Outcome.HELD, "Not watched yet", "aside"),
        (30, Outcome.HELD, "Nothing moved", "quietly"),
        (30, Outcome.REFUTED, "Nothing moved", "aside"),
    ],
)
def test_green_is_only_what_is_watched_and_held(nights: int, verdict: Outcome, words: str, tone: str) -> None:
    """Nothing to say yet, or a newest run that did not hold, is no green page; the newest verdicts are counted."""
    runs = [run(night, [finding()]) for night in range(nights)]
    runs[-1] = run(nights - 1, [finding(verdict=verdict)], verdict=verdict)
    page = render_trends(tracks(runs), last=60, made_of="")

    assert f'<section class="verdict {tone}"' in page
    assert words in page
    assert f"Newest runs: 1 {verdict}." in page


def test_earlier_conditions_are_named() -> None:
    """Runs of another load are shown, below, and said not to be comparable; the list above has the experiment once."""
    page = render_trends(
        tracks([run(0, [finding()], conditions="old"), run(1, [finding()], conditions="new")]), last=9, made_of=""
    )

    assert 2 == page.count('<section class="track"')
    assert 1 == page.count("under earlier conditions")
    assert 1 == page.count('<a href="#track-')


def test_a_word_is_listed_where_there_is_nothing_to_draw() -> None:
    """A claim about a word has no picture, and the words instead; an empty history says what to do."""
    word = finding("retry jitter in {full, equal}", estimate=None, low=None, high=None, found="full", unit="word")

    page = render_trends(tracks([run(0, [word])]), last=9, made_of="")

    assert ": full" in page
    assert "<svg" not in page
    assert "history import" in render_trends([], last=9, made_of="")


def test_a_bound_that_would_squash_the_rest_is_said_instead() -> None:
    """Availability near 100 % with a bound just below is drawn with it; 10 ms against 300 ms are not."""
    near = render_trends(tracks([run(n, [finding(AVAILABILITY)]) for n in range(3)]), last=9, made_of="")
    far = render_trends(tracks([run(n, [finding(P99, estimate=10.0)]) for n in range(3)]), last=9, made_of="")

    assert 'class="rule"' in near
    assert 'class="rule"' not in far
    assert "is above the picture" in far
