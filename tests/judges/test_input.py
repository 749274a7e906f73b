"""`stormproof.judge` with a caller's slip: an error that names it, never an answer about nothing."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import stormproof
from stormproof.errors import InputError

CLAIM = "availability during fault >= 50%"


def _samples(**other: Any) -> pd.DataFrame:
    columns: dict[str, Any] = {"scheduled_at": [float(at) for at in range(100)], "latency_ms": 5.0, "ok": True}
    return pd.DataFrame(columns | other)


def test_what_is_right_is_judged() -> None:
    """The frame of the tests below is one that can be judged."""
    assert ["held"] == list(stormproof.judge(_samples(), {"fault": (0, 100)}, [CLAIM])["verdict"])


@pytest.mark.parametrize(
    ("samples", "windows", "hypotheses", "said"),
    [
        ({}, (0, 100), CLAIM, "hypotheses: expected a list of texts, got 'availability"),
        ({}, (0, 100), [None], "hypotheses: expected a list of texts, got None"),
        ({}, "ab", [CLAIM], "windows: fault: expected its begin and its end in Unix seconds, got 'ab'"),
        (
            {},
            (0, 50, 100),
            [CLAIM],
            r"windows: fault: expected its .* got \(0, 50, 100\)",
        ),
        ({}, ("0", "100"), [CLAIM], "windows: fault: expected its begin and its end"),
        (
            {"scheduled_at": pd.to_datetime(range(100), unit="s")},
            (0, 100),
            [CLAIM],
            "samples: scheduled_at: expected Unix seconds, a number, got Timestamp",
        ),
        ({"latency_ms": "5 ms"}, (0, 100), [CLAIM], "samples: latency_ms: expected milliseconds, a number, got '5 ms'"),
    ],
)
def test_a_slip_is_named(samples: dict[str, Any], windows: Any, hypotheses: Any, said: str) -> None:
    """Instants as timestamps, a text for a list, a window that is none: what was expected, and what came."""
    with pytest.raises(InputError, match=said):
        stormproof.judge(_samples(**samples), {"fault": windows}, hypotheses)


def test_a_path_that_is_a_text_is_named() -> None:
    """A folder of Parquet parts is a `Path`; a text is an error of ours, not of pandas."""
    with pytest.raises(InputError, match=r"samples: expected a DataFrame, or the Path of a folder.* got a str"):
        stormproof.judge("samples", {"fault": (0, 100)}, [CLAIM])  # type: ignore[arg-type]
