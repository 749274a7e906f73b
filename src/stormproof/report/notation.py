"""How numbers, instants and foreign text are written in a report: one way for all three formats."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

DASH = "–"
NBSP = "\u00a0"
TEXT_MAX = 400  # characters of any one foreign text; the whole stands in the files of the run

# C0 and C1 controls (but not tab and newline), lone surrogates, and the characters that reorder or hide text.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)

_SIGN: dict[str, str] = {"<=": "≤", "<": "<", ">=": "≥", ">": ">"}
_SUFFIX: dict[str, str] = {
    "share": f"{NBSP}%",
    "ms": f"{NBSP}ms",
    "s": f"{NBSP}s",
    "/s": "/s",
    "ratio": "×",
    "count": "",
}
_DECIMALS_MAX = 6


def clean(value: Any, *, limit: int = TEXT_MAX) -> str:
    """*value* as text that shows what it is: unseen and reordering characters replaced, long text cut with a note."""
    text = _UNSEEN.sub("\ufffd", str(value))
    return text if len(text) <= limit else f"{text[:limit]}… (+{len(text) - limit} characters)"


def spans(text: str) -> list[tuple[str, bool]]:
    """*text* cut at its pairs of backticks: (part, whether it stood between two); a lone backtick is text."""
    parts: list[tuple[str, bool]] = []
    at = 0
    for found in re.finditer(r"`([^`]+)`", text):
        parts += [(text[at : found.start()], False), (found[1], True)]
        at = found.end()
    return [(part, quoted) for part, quoted in [*parts, (text[at:], False)] if part]


def sign(op: str) -> str:
    """The comparison as it is printed."""
    return _SIGN.get(op, op)


def _decimals(scaled: float, unit: str) -> int:
    if unit in {"ms", "s"}:
        size = abs(scaled)
        return 0 if size >= 100 else 1 if size >= 10 else 2
    return {"share": 2, "ratio": 2, "/s": 1, "count": 0}.get(unit, 3)


def _plain(scaled: float, decimals: int) -> str:
    text = f"{scaled:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text


def bare(value: float, unit: str, *, apart_from: Sequence[float] = ()) -> str:
    """*value* without its unit, with as many decimals as set it apart from each of *apart_from*.

    A refuted 99.4996 % must not be printed as the 99.5 % it missed, nor 99.998 % as 100 %.
    """
    factor = 100.0 if unit == "share" else 1.0
    others = [other for other in (*apart_from, *((0.0, 1.0) if unit == "share" else (0.0,))) if other != value]
    decimals = _decimals(value * factor, unit)
    while decimals < _DECIMALS_MAX and any(
        _plain(value * factor, decimals) == _plain(other * factor, decimals) for other in others
    ):
        decimals += 1
    return _plain(value * factor, decimals)


def quantity(value: float | None, unit: str, *, apart_from: Sequence[float] = ()) -> str:
    """*value* with its unit; a dash where there is none. Shares come as 0…1 and are printed in per cent."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return bare(value, unit, apart_from=apart_from) + _SUFFIX.get(unit, f"{NBSP}{clean(unit)[:12]}")


def interval(low: float | None, high: float | None, unit: str, *, bound: float) -> str:
    """A two-sided interval; an open end is said in words."""
    apart = (bound,)
    if low is None and high is None:
        return DASH
    if high is None or (low is not None and math.isinf(high)):
        return f"{quantity(low, unit, apart_from=apart)} and up"
    if low is None:
        return f"up to {quantity(high, unit, apart_from=apart)}"
    return f"{bare(low, unit, apart_from=apart)} … {quantity(high, unit, apart_from=apart)}"


def count(value: Any) -> str:
    """A whole number with thousands separated; a dash where there is none."""
    return f"{value:,.0f}" if isinstance(value, int | float) and math.isfinite(value) else DASH


def offset(seconds: float | None) -> str:
    """Seconds since the start of the load, signed: `+15.2 s`."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    return f"{'−' if seconds < 0 else '+'}{abs(seconds):.1f}{NBSP}s"


def clock(at: float | None) -> str:
    """A Unix instant as UTC time of day, to the tenth of a second."""
    moment = _moment(at)
    return DASH if moment is None else f"{moment:%H:%M:%S}.{moment.microsecond // 100_000}"


def day(at: float | None) -> str:
    """A Unix instant as a date with its time zone."""
    moment = _moment(at)
    return DASH if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _moment(at: float | None) -> dt.datetime | None:
    try:
        return None if at is None else dt.datetime.fromtimestamp(at, dt.UTC)
    except (ValueError, OverflowError, OSError):  # a foreign number that is no instant
        return None


def flat(value: Any, *, prefix: str = "", limit: int = 40) -> list[tuple[str, str]]:
    """A nested JSON value as (dotted name, text) rows, at most *limit*: evidence has the fault's own shape."""
    rows: list[tuple[str, str]] = []
    for name, item in value.items() if isinstance(value, Mapping) else [("", value)]:
        path = f"{prefix}{name}"
        if isinstance(item, Mapping) and item:
            rows += flat(item, prefix=f"{path}.", limit=limit)
        elif isinstance(item, list | tuple) and item and all(not isinstance(one, Mapping | list) for one in item):
            rows.append((path, ", ".join(_leaf(one) for one in item)))
        elif isinstance(item, list | tuple):
            for number, one in enumerate(item):
                rows += flat(one if isinstance(one, Mapping) else {"": one}, prefix=f"{path}[{number}].", limit=limit)
        else:
            rows.append((path, _leaf(item)))
    if len(rows) > limit:
        rows = [*rows[:limit], ("…", f"{len(rows) - limit} more in the files of the run")]
    return [(clean(name, limit=120), clean(text)) for name, text in rows]


def _leaf(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.3f}"
    return str(value)
