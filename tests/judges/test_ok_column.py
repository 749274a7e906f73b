"""An `ok` that says neither yes nor no is an error, not a failure of the workload."""

from __future__ import annotations

import pandas as pd
import pytest

import stormproof
from stormproof.errors import InputError

WINDOWS = {"fault": (0.0, 1000.0)}


def judged(ok: list[object], dtype: str | None = None) -> str:
    frame = pd.DataFrame({"scheduled_at": range(len(ok)), "latency_ms": 1.0, "ok": pd.Series(ok, dtype=dtype)})
    return str(stormproof.judge(frame, WINDOWS, ["availability during fault >= 50%"])["verdict"].iloc[0])


@pytest.mark.parametrize("text", ["True", "true", "yes", 2])
def test_a_text_is_refused_with_its_row(text: object) -> None:
    """What `read_csv` with strings, or another tool, may hand over."""
    with pytest.raises(InputError, match=r"ok.*\n?.*row 3"):
        judged([True, True, True, text] * 20)


@pytest.mark.parametrize("dtype", [None, "boolean", "int64", "object"])
def test_what_says_yes_is_taken(dtype: str | None) -> None:
    """Booleans of any kind, and 1."""
    assert judged([True] * 100, dtype) == "held"


def test_nothing_counts_as_failed() -> None:
    """A missing value is the worse one, as everywhere."""
    assert judged([None] * 100, "boolean") == "refuted"
