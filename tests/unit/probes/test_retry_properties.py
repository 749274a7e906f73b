"""What must not matter does not, and what is bad input is said so."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stormprobes.retries.arrivals import clean
from stormprobes.retries.linking import link
from stormprobes.retries.population import population_of
from stormprobes.retries.waits import measure
from stormprobes.retry_with_jitter import identify_retries
from support.retry_clients import Client, arrivals, random_client
from support.retry_traces import random_calls, renamed, shifted, some_calls, trace

MANY = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
FEW = settings(MANY, max_examples=4)
COLUMNS = ["client", "op", "attempt", "t_start_s", "t_end_s", "outcome"]
SURE = ("axios_retry_linear", "cockatiel_full", "tenacity_exponential")  # read as surely as so many calls allow


def some_arrivals(seed: int, calls: int = 12, clients: int = 3) -> pd.DataFrame:
    """A random client's arrivals."""
    rng = np.random.default_rng(seed)
    return arrivals(random_client(rng), calls=calls, rng=rng, clients=clients).round(6)


def measured(frame: pd.DataFrame) -> str:
    """All that a reading is made of, but for the names of clients: calls, their rows, and the waits."""
    calls = link(clean(frame))
    rows = calls.rows.drop(columns=["client", "op"])
    table = calls.table.assign(client=pd.factorize(calls.table["client"])[0])
    waits = {key: list(map(str, value)) for key, value in vars(measure(calls)).items() if isinstance(value, np.ndarray)}
    return f"{rows.to_json()}{table.to_json()}{calls.method}{calls.trust}{waits}"


@MANY
@given(seed=st.integers(0, 10_000), shift_s=st.sampled_from([0.5, 1234.0, 1.7e9]))
def test_a_shift_of_the_clock_changes_nothing(seed: int, shift_s: float) -> None:
    """Arrivals at another time are the same arrivals."""
    frame = some_arrivals(seed)

    assert measured(frame) == measured(shifted(frame, shift_s))


@MANY
@given(seed=st.integers(0, 10_000), clients=st.integers(1, 12))
def test_names_change_nothing(seed: int, clients: int) -> None:
    """Clients and calls may be called what they like."""
    frame = some_arrivals(seed, clients=clients)

    assert measured(frame) == measured(renamed(frame))


@MANY
@given(seed=st.integers(0, 10_000), order=st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(seed: int, order: int) -> None:
    """A shuffled log is the same log."""
    frame = some_arrivals(seed)

    assert measured(frame) == measured(frame.sample(frac=1, random_state=order))


@MANY
@given(seed=st.integers(0, 10_000))
def test_copies_of_rows_change_nothing(seed: int) -> None:
    """A line that was logged twice happened once."""
    frame = some_arrivals(seed)
    doubled = pd.concat([frame, frame.head(5)])

    assert {"exact copies": 5} == clean(doubled).dropped
    assert measured(frame) == measured(doubled)


def test_equal_lines_without_an_id_are_all_counted() -> None:
    """To the millisecond, two requests of a client in one instant look alike: without call ids nothing is dropped."""
    frame = some_arrivals(7, calls=60).drop(columns=["op", "attempt"]).round({"t_start_s": 2, "t_end_s": 2})
    reading = identify_retries(frame)

    assert frame.duplicated().any()
    assert len(frame) == reading["n_arrivals"]
    assert {} == reading["detail"]["dropped"]


@pytest.mark.parametrize("name", ["herd_cockatiel_full", "botocore_standard_budget", "p_retry_max_time", "slack_429"])
def test_a_whole_reading_does_not_depend_on_clock_names_or_order(name: str) -> None:
    """A fleet, a budget, a deadline, Retry-After: key by key the reading is that of the recording as it was made."""
    frame = some_calls(trace(name), 120)
    other = shifted(renamed(frame), 1.7e9).sample(frac=1, random_state=7)

    assert identify_retries(frame) == identify_retries(other)


def test_clients_that_are_compared_are_not_chosen_by_name() -> None:
    """Of twenty clients, one waits otherwise: whether that is noticed does not depend on what it is called."""
    rng = np.random.default_rng(1)
    usual, other = (Client(family="fixed", jitter="none", base_s=base_s, attempts=4) for base_s in (0.1, 0.3))
    frame = pd.concat(
        [
            arrivals(usual, calls=190, rng=rng, clients=19, name="m"),
            arrivals(other, calls=10, rng=rng, clients=1, name="odd"),
        ]
    )
    seen = set()
    for name in ("a", "z"):
        calls = link(clean(frame.assign(client=frame["client"].replace("odd0", name))))
        seen.add(population_of(calls, measure(calls), changes=False).notes)

    assert 1 == len(seen)


@FEW
@given(seed=st.integers(0, 10_000), keep=st.integers(1, 40), is_public=st.booleans())
def test_no_confidence_is_above_what_so_many_calls_allow(seed: int, keep: int, is_public: bool) -> None:
    """At most 1 − 0.42/√n, for every key, whatever the arrivals: below 18 calls nothing is sure."""
    whole = trace(SURE[seed % len(SURE)]) if is_public else some_arrivals(seed, calls=40)
    reading = identify_retries(random_calls(whole, keep, seed))

    assert keep == reading["n_ops"]
    assert max(reading["confidence"].values()) <= 1 - 0.42 / np.sqrt(keep)


def test_confidence_falls_with_fewer_calls_on_average() -> None:
    """Over random clients, the mean confidence in family, jitter and attempts rises with the number of calls."""
    means = []
    for calls in (4, 40):
        readings = [identify_retries(some_arrivals(seed, calls)) for seed in range(4)]
        keys = ("family", "jitter", "attempts_max")
        means.append(float(np.mean([reading["confidence"][key] for reading in readings for key in keys])))

    assert means == sorted(means)
    assert means[0] < means[-1] - 0.05


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame(), "t_start_s"),
        (pd.DataFrame(columns=COLUMNS), "at least one row"),
        (pd.DataFrame({"client": ["a"]}), "expected a column 't_start_s'"),
        (pd.DataFrame({"t_start_s": [np.nan, np.nan]}), "no number in any row"),
        (pd.DataFrame({"t_start_s": ["soon"]}), "no number in any row"),
        (pd.DataFrame({"t_start_s": [-1.0, 2.0]}), "from 0 on, got -1"),
        (pd.DataFrame({"t_start_s": [1.7e12]}), "milliseconds"),
        ([1, 2], "expected a pandas DataFrame, got list"),
    ],
)
def test_what_is_no_arrivals_is_refused_in_words(frame: object, words: str) -> None:
    """A frame that cannot be read raises ValueError with what was expected and what was found."""
    with pytest.raises(ValueError, match=words):
        identify_retries(frame)  # type: ignore[arg-type]


def test_one_row_is_an_answer_with_hardly_any_confidence() -> None:
    """One failed arrival: one call, no retry seen, and nothing to be sure of."""
    reading = identify_retries(pd.DataFrame([("c", "o", 1, 1.0, 1.1, "503")], columns=COLUMNS))

    assert (1, False, 1) == (reading["n_ops"], reading["retries"], reading["attempts_max"])
    assert max(reading["confidence"].values()) < 0.6


def test_holes_in_the_columns_are_survived() -> None:
    """Rows without a start are left out and counted; missing ends, outcomes and attempts are lived with."""
    frame = some_arrivals(3, 30).astype({"attempt": "float64"})
    frame.loc[::7, "t_start_s"] = np.nan
    frame.loc[::5, "t_end_s"] = np.nan
    frame.loc[::11, "attempt"] = np.nan
    frame.loc[::13, "outcome"] = None
    reading = identify_retries(frame)

    assert reading["detail"]["dropped"]["without a start"] == int(frame["t_start_s"].isna().sum())


def test_an_end_before_its_start_is_not_believed() -> None:
    """A negative duration is dropped, not subtracted."""
    frame = some_arrivals(5, 20)
    frame.loc[0, "t_end_s"] = frame.loc[0, "t_start_s"] - 5

    assert 1 == identify_retries(frame)["detail"]["dropped"]["ends before its start (end ignored)"]


def test_without_calls_but_with_attempts() -> None:
    """Try numbers alone put exact waits together again."""
    frame = some_calls(trace("tenacity_exponential"), 60).drop(columns="op")
    reading = identify_retries(frame)

    assert ("exponential", "none", 8) == (reading["family"], reading["jitter"], reading["attempts_max"])
    assert reading["amplification"] == pytest.approx(8.0)
    assert reading["confidence"]["family"] < 0.9  # less than with call ids


def test_without_calls_and_attempts_a_fleet_still_shows_its_back_off() -> None:
    """120 clients with a call each are chains: family, amplification and synchrony, with less confidence."""
    frame = trace("herd_tenacity_exp").drop(columns=["op", "attempt"])
    reading = identify_retries(frame)

    assert ("exponential", 6.0) == (reading["family"], reading["amplification"])
    assert 0.9 < reading["synchrony"]
    assert reading["confidence"]["family"] < 0.7


def test_without_calls_one_busy_client_is_not_guessed_at() -> None:
    """Interleaved calls of one client cannot be told apart: other, and an amplification with its method."""
    frame = trace("axios_exp_prob50").drop(columns=["op", "attempt"])
    reading = identify_retries(frame)

    assert ("other", "other") == (reading["family"], reading["jitter"])
    assert 0.0 == reading["confidence"]["family"]
    assert reading["amplification"] == pytest.approx(1.87, rel=0.1)  # 561 arrivals of 300 calls
    assert "successes" == reading["detail"]["amplification_method"]


@pytest.mark.slow
def test_a_million_rows_take_seconds() -> None:
    """The waits that are fitted are a sample; the rest is counting."""
    rng = np.random.default_rng(1)
    few = arrivals(Client(base_s=0.1, attempts=5), calls=2000, rng=rng, clients=50)
    parts = [few.assign(op=few["op"] + f"/{i}", t_start_s=few["t_start_s"] + i) for i in range(100)]
    frame = pd.concat([part.assign(t_end_s=part["t_start_s"] + 0.002) for part in parts])
    began = time.process_time()
    reading = identify_retries(frame)

    assert 1_000_000 == reading["n_arrivals"]
    assert "full" == reading["jitter"]
    assert time.process_time() - began < 30
