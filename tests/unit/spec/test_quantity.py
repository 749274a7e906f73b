"""Durations, rates and shares keep their unit, and every float survives being written and read."""

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from stormproof.errors import InputError
from stormproof.spec import quantity


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15s", 15.0),
        ("500ms", 0.5),
        ("3m", 180.0),
        ("3min", 180.0),
        ("1h30m", 5400.0),
        ("1m30.5s", 90.5),
        ("2s250ms", 2.25),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    """Each unit, alone and with smaller ones after it."""
    assert quantity.parse_duration(text) == seconds


@pytest.mark.parametrize(("text", "per_s"), [("150/s", 150.0), ("90/min", 1.5), ("3600/h", 1.0), ("0.5/s", 0.5)])
def test_a_rate_is_per_second(text: str, per_s: float) -> None:
    """A rate may be given per minute or hour, and is per second in the model."""
    assert quantity.parse_rate(text) == per_s


def test_a_share_is_exact() -> None:
    """99.5% is the float 0.995, not the nearest sum of it."""
    assert quantity.parse_share("99.5%") == 0.995
    assert quantity.parse_share("99.9 %") == 0.999


@pytest.mark.parametrize("bare", [15, 1.5, "15", "1.5", "-3"])
@pytest.mark.parametrize("parse", [quantity.parse_duration, quantity.parse_rate, quantity.parse_share])
def test_a_bare_number_is_asked_for_its_unit(parse: object, bare: object) -> None:
    """Whether YAML saw a number or text: without its unit it is an error that says so."""
    assert callable(parse)
    with pytest.raises(InputError, match="say the unit"):
        parse(bare)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (quantity.parse_duration, "-5s"),
        (quantity.parse_duration, "5 parsecs"),
        (quantity.parse_duration, "30m1h"),
        (quantity.parse_duration, "5s5s"),
        (quantity.parse_duration, ""),
        (quantity.parse_duration, "1e3s"),
        (quantity.parse_duration, "169h"),
        (quantity.parse_duration, "9" * 100 + "s"),
        (quantity.parse_duration, "٣s"),  # a digit, but not one of ours: refused or read, never misread
        (quantity.parse_duration, True),
        (quantity.parse_duration, None),
        (quantity.parse_duration, ["15s"]),
        (quantity.parse_rate, "0/s"),
        (quantity.parse_rate, "-1/s"),
        (quantity.parse_rate, "150/fortnight"),
        (quantity.parse_rate, "2000000/s"),
        (quantity.parse_share, "101%"),
        (quantity.parse_share, "-1%"),
        (quantity.parse_share, "half"),
        (quantity.parse_count, "1.5"),
        (quantity.parse_count, "-1"),
        (quantity.parse_count, "10%"),
    ],
)
def test_what_is_no_quantity_is_an_error(parse: object, text: object) -> None:
    """One error with what was expected, never another exception and never a guess."""
    assert callable(parse)
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.expected
    assert caught.value.exit_code == 65


@given(st.floats(min_value=0, max_value=quantity.MAX_DURATION_S, allow_subnormal=False))
def test_every_duration_survives_text(seconds: float) -> None:
    """parse(format(x)) == x, exactly."""
    text = quantity.format_duration(seconds)
    if len(text) < 30:  # 1e-300 has more digits than a person would write, and than the parser reads
        assert quantity.parse_duration(text) == seconds


@given(st.decimals(min_value=Decimal("0.001"), max_value=quantity.MAX_RATE_PER_S, places=3))
def test_every_rate_survives_text(rate: Decimal) -> None:
    """parse(format(x)) == x, exactly."""
    assert quantity.parse_rate(quantity.format_rate(float(rate))) == float(rate)


@given(st.decimals(min_value=0, max_value=1, places=9))
def test_every_share_survives_text(share: Decimal) -> None:
    """parse(format(x)) == x, exactly."""
    assert quantity.parse_share(quantity.format_share(float(share))) == float(share)


@pytest.mark.parametrize(("text", "size_bytes"), [("4MiB", 4 << 20), ("512KiB", 512 << 10), ("1GiB", 1 << 30)])
def test_sizes_are_whole_bytes(text: str, size_bytes: int) -> None:
    """The binary units, there and back."""
    assert quantity.parse_size(text) == size_bytes
    assert quantity.format_size(size_bytes) == text


@pytest.mark.parametrize("text", ["4MB", "4", 4, "4 MiB", "1.5MiB", "-1MiB", "0MiB", "MiB", "4mib"])
def test_what_is_no_size_is_an_error(text: object) -> None:
    """An ambiguous unit, none at all, or nothing."""
    with pytest.raises(InputError) as caught:
        quantity.parse_size(text)
    assert "size" in caught.value.expected


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_an_input_error(text: str) -> None:
    """Nothing else escapes the parser."""
    with contextlib.suppress(InputError):
        assert quantity.parse_duration(text) >= 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(15, "15s"), (0.5, "500ms"), (5400, "1h30m"), (90, "1m30s"), (1.5, "1.5s"), (0, "0s")]
)
def test_durations_are_written_as_people_write_them(seconds: float, text: str) -> None:
    """The shortest usual form."""
    assert quantity.format_duration(seconds) == text


def test_the_annotated_type_carries_the_parts_of_the_error() -> None:
    """A pydantic model reports what was expected and got, so that the loader can add file and line."""

    class Model(BaseModel):
        delay: quantity.Duration

    assert Model.model_validate({"delay": "3s"}).delay == 3.0
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"delay": 3})
    detail = caught.value.errors()[0]
    assert detail["ctx"]["hint"] == "say the unit: 15s"
