"""How numbers and foreign text are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stormproof.report.notation import NBSP, bare, clean, clock, count, flat, interval, quantity


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.995, "share", f"99.5{NBSP}%"),
        (1.0, "share", f"100{NBSP}%"),
        (0.99999, "share", f"99.999{NBSP}%"),
        (0.0, "share", f"0{NBSP}%"),
        (0.00001, "share", f"0.001{NBSP}%"),
        (1234.5, "ms", f"1,234{NBSP}ms"),
        (12.34, "ms", f"12.3{NBSP}ms"),
        (1.25, "ratio", "1.25×"),
        (149.83, "/s", "149.8/s"),
        (7.0, "count", "7"),
        (-0.001, "s", f"-0.001{NBSP}s"),
        (None, "ms", "–"),
        (math.nan, "ms", "–"),
        (math.inf, "s", "∞"),
    ],
)
def test_a_quantity_has_its_unit_and_no_more_digits_than_say_something(
    value: float | None, unit: str, expected: str
) -> None:
    """Shares are per cent, latencies keep three digits, and nothing is rounded to 0 % or 100 % that is not."""
    assert quantity(value, unit) == expected


@given(
    bound=st.floats(0.001, 0.999).map(lambda share: round(share, 4)),
    off=st.floats(1e-7, 1e-2),
    up=st.booleans(),
)
def test_a_value_on_the_wrong_side_is_never_printed_as_its_bound(bound: float, off: float, up: bool) -> None:
    """However close an estimate is to its bound (to a millionth of a per cent), the two are printed differently."""
    value = bound + off if up else bound - off

    assert bare(value, "share", apart_from=(bound,)) != bare(bound, "share")


def test_an_open_interval_says_so() -> None:
    """An infinite or missing end is words, never a number."""
    ends = [(1.0, None), (1.0, math.inf), (None, 2.0), (None, None), (1.0, 2.0)]

    texts = [interval(low, high, "s", bound=1.5).replace(NBSP, " ") for low, high in ends]

    assert texts == ["1 s and up", "1 s and up", "up to 2 s", "–", "1 … 2 s"]


def test_clean_shows_what_would_hide() -> None:
    """Terminal escapes, bidi overrides, zero-width spaces and NUL become a visible replacement."""
    assert clean("a\x00b\x1b[31m\u202ec\u200bd") == "a�b�[31m�c�d"


def test_clean_cuts_long_text_and_says_how_much() -> None:
    """A long text keeps its beginning and names what was left out."""
    assert clean("x" * 500, limit=10) == "x" * 10 + "… (+490 characters)"


def test_clock_survives_instants_that_are_none() -> None:
    """An absurd instant in a file of a run is a dash, not a crash."""
    assert [clock(at) for at in (1_800_000_000.26, 1e30, None)] == ["08:00:00.2", "–", "–"]


def test_flat_names_nested_evidence_by_its_path_and_stops_at_the_limit() -> None:
    """Evidence of any shape becomes named rows."""
    value = {"probe": {"asked": 2, "refused": ["i-1", "i-2"]}, "tries": [{"ok": False}], "none": None}

    rows = flat(value)

    assert rows == [
        ("probe.asked", "2"),
        ("probe.refused", "i-1, i-2"),
        ("tries[0].ok", "no"),
        ("none", "none"),
    ]
    assert flat({str(number): number for number in range(9)}, limit=3)[3:] == [("…", "6 more in the files of the run")]


def test_count_of_no_number_is_a_dash() -> None:
    """Only finite numbers are counted."""
    assert [count(value) for value in (12345, math.nan, None, "7")] == ["12,345", "–", "–", "–"]
