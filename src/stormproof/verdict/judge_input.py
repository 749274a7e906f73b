"""What a caller of `stormproof.judge` may hand in: a slip is an error, and not an answer about other data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING

from stormproof.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = {"scheduled_at": "Unix seconds, a number", "latency_ms": "milliseconds, a number"}


def check_hypotheses(hypotheses: Sequence[str]) -> None:
    """`InputError` for one text (whose letters would be the hypotheses), or for what is no text."""
    odd = [hypotheses] if isinstance(hypotheses, str) else [one for one in hypotheses if not isinstance(one, str)]
    if odd:
        raise InputError(where="hypotheses", what="", expected="a list of texts", got=f"{odd[0]!r}"[:80])


def check_windows(windows: Mapping[str, tuple[float, float]]) -> None:
    """`InputError` for a window that is not two numbers. One that ends before it begins has no samples."""
    for phase, window in windows.items():
        pair = tuple(window) if isinstance(window, Iterable) else ()
        if len(pair) != 2 or not all(isinstance(end, Real) for end in pair):
            expected = "its begin and its end in Unix seconds"
            raise InputError(where="windows", what=str(phase), expected=expected, got=f"{window!r}"[:80])


def check_numbers(samples: pd.DataFrame) -> None:
    """`InputError` for instants and texts where numbers belong: no request would lie in any window."""
    if not hasattr(samples, "columns"):
        expected = "a DataFrame, or the Path of a folder of Parquet parts"
        raise InputError(where="samples", what="", expected=expected, got=f"a {type(samples).__name__}")
    for column, expected in NUMBERS.items():
        if column in samples.columns and samples[column].dtype.kind in "mMOUST" and len(samples):
            values = samples[column].dropna()
            odd = next((value for value in values if not isinstance(value, Real)), None)
            if odd is not None:
                got = f"{odd!r}, a {type(odd).__name__}"
                raise InputError(where="samples", what=column, expected=expected, got=got)
