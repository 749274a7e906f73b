"""Durations, rates, shares and sizes: a number and its unit in, one float in the model's unit out.

The `parse_…` functions raise `InputError`, without a place; who knows the place adds it. The annotated types
are for pydantic models (`timeout: Duration`), and carry the same rule into the JSON Schema. Arithmetic is
decimal, so that `99.5%` is exactly the float 0.995 and `format` can be undone by `parse`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from stormproof.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DURATION_S = 7 * 24 * 3600  # nobody plans a longer run; a slip of the unit shows up here
MAX_RATE_PER_S = 1_000_000

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,30})?"
_NUMBER_ONLY = re.compile(rf"[+-]?{_NUMBER}")
_DURATION = re.compile(
    rf"(?:(?P<h>{_NUMBER})h)?(?:(?P<m>{_NUMBER})(?:min|m(?!s)))?(?:(?P<s>{_NUMBER})s)?(?:(?P<ms>{_NUMBER})ms)?"
)
_SECONDS_IN = {"h": Decimal(3600), "m": Decimal(60), "s": Decimal(1), "ms": Decimal("0.001")}
_RATE = re.compile(rf"({_NUMBER})/(s|min|h)")
_PER = {"s": Decimal(1), "min": Decimal(60), "h": Decimal(3600)}
_SHARE = re.compile(rf"({_NUMBER})\s?%")
_SIZE = re.compile(r"([0-9]{1,9})(KiB|MiB|GiB)")
_BYTES_IN = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

_DURATION_IS = "a duration like 15s, 500ms, 3m or 1h30m"
_RATE_IS = "a rate like 150/s or 90/min"
_SHARE_IS = "a share like 99.5%"
_SIZE_IS = "a size like 4MiB, 512KiB or 1GiB"


def parse_duration(text: object) -> float:
    """Seconds from `15s`, `500ms`, `3m`, `1h30m`. Raises `InputError`; a number without a unit is one."""
    return float(_duration(text))


def parse_milliseconds(text: object) -> float:
    """Milliseconds from the same texts as `parse_duration`."""
    return float(_duration(text) * 1000)


def parse_rate(text: object) -> float:
    """Per second, above 0, from `150/s`, `90/min`, `3600/h`. Raises `InputError`."""
    given = _text(text, _RATE_IS, unit_hint="150/s")
    match = _RATE.fullmatch(given)
    if match is None:
        raise _error(_RATE_IS, given, hint=_negative_hint(given))
    rate = Decimal(match[1]) / _PER[match[2]]
    if rate <= 0:
        raise _error("a rate above 0", given)
    if rate > MAX_RATE_PER_S:
        raise _error(f"at most {MAX_RATE_PER_S}/s", given)
    return float(rate)


def parse_share(text: object) -> float:
    """0…1 from `99.5%`. Raises `InputError`."""
    given = _text(text, _SHARE_IS, unit_hint="99.5%")
    match = _SHARE.fullmatch(given)
    if match is None:
        raise _error(_SHARE_IS, given, hint=_negative_hint(given))
    share = Decimal(match[1]) / 100
    if share > 1:
        raise _error("at most 100%", given)
    return float(share)


def parse_size(text: object) -> float:
    """Whole bytes, above 0, from `4MiB`, `512KiB`, `1GiB`. Raises `InputError`, also for `4MB`: that is ambiguous."""
    given = _text(text, _SIZE_IS, unit_hint="4MiB")
    match = _SIZE.fullmatch(given)
    if match is None:
        raise _error(_SIZE_IS, given, hint=_negative_hint(given))
    if not int(match[1]):
        raise _error("a size above 0", given)
    return float(int(match[1]) * _BYTES_IN[match[2]])


def parse_count(text: object) -> float:
    """A whole number, not negative; counts have no unit. Raises `InputError`."""
    given = str(text).strip()
    if not re.fullmatch(r"[0-9]{1,12}", given):
        raise _error("a whole number without a unit", given)
    return float(given)


def format_duration(seconds: float) -> str:
    """The text that `parse_duration` reads back to the same float: `15s`, `1h30m`, `500ms`, `1.5s`."""
    exact = Decimal(repr(float(seconds)))
    if 0 < exact < 1:
        return f"{_plain(exact * 1000)}ms"
    if exact == exact.to_integral_value() and exact >= 60:
        hours, rest = divmod(int(exact), 3600)
        minutes, left = divmod(rest, 60)
        parts = ((hours, "h"), (minutes, "m"), (left, "s"))
        return "".join(f"{count}{unit}" for count, unit in parts if count)
    return f"{_plain(exact)}s"


def format_rate(per_s: float) -> str:
    """The text that `parse_rate` reads back to the same float."""
    return f"{_plain(Decimal(repr(float(per_s))))}/s"


def format_share(share: float) -> str:
    """The text that `parse_share` reads back to the same float."""
    return f"{_plain(Decimal(repr(float(share))) * 100)}%"


def format_size(size_bytes: float) -> str:
    """The text that `parse_size` reads back to the same size, whole KiB that it is."""
    unit = next((unit for unit in ("GiB", "MiB") if size_bytes % _BYTES_IN[unit] == 0), "KiB")
    return f"{size_bytes / _BYTES_IN[unit]:.0f}{unit}"


def _duration(text: object) -> Decimal:
    given = _text(text, _DURATION_IS, unit_hint="15s")
    match = _DURATION.fullmatch(given)
    if match is None or not given:
        raise _error(_DURATION_IS, given, hint=_negative_hint(given))
    total = sum((Decimal(match[unit]) * size for unit, size in _SECONDS_IN.items() if match[unit]), Decimal(0))
    if total > MAX_DURATION_S:
        raise _error("at most 7 days (168h)", given)
    return total


def _text(value: object, expected: str, *, unit_hint: str) -> str:
    """*value* as text; a bare number has lost its unit, whether YAML read it as a number or as text."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and _NUMBER_ONLY.fullmatch(value.strip())):
        raise _error(expected, f"{value} without a unit", hint=f"say the unit: {unit_hint}")
    if not isinstance(value, str):
        raise _error(expected, type(value).__name__)
    return value.strip()


def _negative_hint(given: str) -> str | None:
    return "it cannot be negative" if given.startswith("-") else None


def _error(expected: str, got: str, *, hint: str | None = None) -> InputError:
    return InputError(where="", what="", expected=expected, got=got[:80] or "nothing", hint=hint)


def _plain(number: Decimal) -> str:
    """Digits without an exponent and without trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _validator(parse: Callable[[object], float]) -> BeforeValidator:
    """*parse* as pydantic wants it: the parts of the error travel in its context, for the spec loader."""

    def validate(value: object) -> float:
        try:
            return parse(value)
        except InputError as error:
            context: dict[str, Any] = {"expected": error.expected, "got": error.got, "hint": error.hint}
            raise PydanticCustomError("quantity", "expected {expected}, got {got}", context) from error

    return BeforeValidator(validate)


def parse_positive_duration(text: object) -> float:
    """`parse_duration`, above 0."""
    seconds = parse_duration(text)
    if seconds <= 0:
        raise _error("a duration above 0", str(text))
    return seconds


def _schema(pattern: str, description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "description": description})


# for JSON Schema, in ECMA's syntax
_DURATION_PATTERN = r"^(?=\d)(\d+(\.\d+)?h)?(\d+(\.\d+)?(min|m(?!s)))?(\d+(\.\d+)?s)?(\d+(\.\d+)?ms)?$"

Duration = Annotated[float, _validator(parse_duration), _schema(_DURATION_PATTERN, _DURATION_IS)]
PositiveDuration = Annotated[float, _validator(parse_positive_duration), _schema(_DURATION_PATTERN, _DURATION_IS)]
Rate = Annotated[float, _validator(parse_rate), _schema(r"^\d+(\.\d+)?/(s|min|h)$", _RATE_IS)]
Size = Annotated[float, _validator(parse_size), _schema(r"^\d+(KiB|MiB|GiB)$", _SIZE_IS)]
Share = Annotated[float, _validator(parse_share), _schema(r"^\d+(\.\d+)?\s?%$", _SHARE_IS)]


def phrase(quantity: object) -> str:
    """How messages and docs describe an annotated quantity type: "a rate like 150/s or 90/min"."""
    schemas = (one.json_schema for one in get_args(quantity)[1:] if isinstance(one, WithJsonSchema))
    return next(str(schema["description"]) for schema in schemas if schema is not None)
