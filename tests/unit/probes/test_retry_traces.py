"""The estimator against recordings of real client libraries: the public score, on a part; `bench/retry_traces.py`
has all.
"""

from __future__ import annotations

from typing import Any

import pytest

from stormprobes.retries.confidence import ceiling, rounded
from stormprobes.retry_with_jitter import identify_retries
from support.retry_traces import (
    CONFIDENT,
    LABELS,
    Mark,
    marks,
    names,
    random_calls,
    renamed,
    shifted,
    some_calls,
    trace,
)

SHARE_RIGHT_MIN = 0.95
SHARE_CONFIDENT_MIN = 0.8
SURER_MAX = 0.05  # of a part: rivals that weigh a little more or less
MERGED_CALLS = 60
EVERY = 16  # alphabetic neighbours are of one library; all of them take minutes


@pytest.fixture(scope="module")
def readings() -> dict[str, dict[str, Any]]:
    """A reading of every sixteenth trace."""
    return {name: identify_retries(trace(name)) for name in names()[1::EVERY]}


@pytest.fixture(scope="module")
def scored(readings: dict[str, dict[str, Any]]) -> list[Mark]:
    """Every answer of them, held against the truth."""
    return [mark for name, reading in readings.items() for mark in marks(name, reading)]


@pytest.mark.parametrize("key", [*LABELS, "base_s", "multiplier", "cap_s"])
def test_answers_are_right(scored: list[Mark], key: str) -> None:
    """95 % of the labels, and of the values within 15 % of the truth where it has them (one may miss of few)."""
    found = [mark for mark in scored if mark.key == key]
    wrong = [mark for mark in found if not mark.is_right]

    assert len(found) >= 3
    assert len(wrong) <= max(1, (1 - SHARE_RIGHT_MIN) * len(found)), wrong


def test_no_confident_answer_is_wrong(scored: list[Mark]) -> None:
    """An answer with a confidence of 0.9 or more is right, always."""
    assert [] == [mark for mark in scored if mark.confidence >= CONFIDENT and not mark.is_right]


def test_most_right_labels_are_confident(scored: list[Mark]) -> None:
    """Abstaining is no way to be right: four in five right labels carry 0.9 or more."""
    right = [mark for mark in scored if mark.is_right and mark.key in LABELS]

    assert SHARE_CONFIDENT_MIN <= sum(mark.confidence >= CONFIDENT for mark in right) / len(right)


def test_parts_of_a_recording_are_not_surer(readings: dict[str, dict[str, Any]]) -> None:
    """Whichever calls of one library are dropped, no label becomes surer, but for a weight's last digits; never where
    the whole is as sure as its calls allow."""
    for seed, (name, whole) in enumerate(readings.items()):
        share = 0.2 + 0.6 * seed / len(readings)
        part = identify_retries(random_calls(trace(name), int(share * whole["n_ops"]), seed))
        for key in LABELS:
            most = whole["confidence"][key]
            allowed = most if most >= rounded(ceiling(whole["n_ops"])) else most + SURER_MAX

            assert part["confidence"][key] <= allowed, (name, key, part["confidence"][key], most)


def test_clock_names_and_order_change_nothing(readings: dict[str, dict[str, Any]]) -> None:
    """Recordings at another time, with other names, shuffled: each reading is equal, key by key."""
    for name, whole in list(readings.items())[::3]:
        other = shifted(renamed(trace(name)), 1.7e9).sample(frac=1, random_state=7)

        assert whole == identify_retries(other), name


def test_every_reading_has_every_key(readings: dict[str, dict[str, Any]]) -> None:
    """Whatever came in, the keys are the same, confidences are shares, and families and jitters are of the list."""
    keys = {frozenset(reading) for reading in readings.values()}
    confidences = {frozenset(reading["confidence"]) for reading in readings.values()}

    assert 1 == len(keys)
    assert 1 == len(confidences)
    for reading in readings.values():
        assert all(0 <= value <= 1 for value in reading["confidence"].values())
        assert reading["family"] in {
            "none", "immediate", "fixed", "linear", "quadratic", "fibonacci", "exponential", "other",
        }  # fmt: skip
        assert reading["jitter"] in {"none", "full", "equal", "decorrelated", "additive", "proportional", "other"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("tenacity_exponential", "cockatiel_half"),
        ("cockatiel_full", "redis_equal"),
        ("urllib3_exp", "openai_6"),
        ("aiohttp_retry_429", "axios_retry_default"),  # another outcome, and a Retry-After that is not obeyed
    ],
)
def test_two_libraries_in_one_trace_are_not_one_client(first: str, second: str) -> None:
    """Merged traces give "other", or no confidence, for back-off and jitter alike."""
    import pandas as pd

    other = some_calls(trace(second), MERGED_CALLS)
    other["op"] = other["op"] + "-b"
    other["client"] = other["client"] + "-b"
    reading = identify_retries(pd.concat([some_calls(trace(first), MERGED_CALLS), other]))

    for key in ("family", "jitter"):
        assert reading[key] == "other" or reading["confidence"][key] < 0.6, (key, reading[key], reading["confidence"])
