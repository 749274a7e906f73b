"""Time to recover, on hand-written seconds: one entry a bucket, failures of 100 requests."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stormproof.analysis.recovery import time_to_recover
from stormproof.analysis.requests import Requests, requests_in
from support.synthetic import START_S, rows


def seconds(failed: list[int | None], per_second: int = 100) -> Requests:
    """*failed* of *per_second* requests in each second; None: no request at all."""
    at, ok = [], []
    for second, count in enumerate(failed):
        if count is not None:
            at += [START_S + second + i / per_second for i in range(per_second)]
            ok += [i >= count for i in range(per_second)]
    return requests_in(rows(scheduled_at=at, ok=np.array(ok, dtype=bool)), (START_S, START_S + len(failed)))


@pytest.mark.parametrize(
    ("failed", "value", "low", "high"),
    [
        pytest.param([0] * 20, 0.0, 0.0, 1.0, id="never bad"),
        pytest.param([1] * 20, 0.0, 0.0, 1.0, id="one of a hundred is not more than 1 %"),
        pytest.param([50, 30, 0, 0, 0, 0, 0, 0], 2.0, 1.0, 3.0, id="bad for two seconds"),
        pytest.param([50] * 20 + [0] * 15, 20.0, 19.0, 21.0, id="bad for the whole fault"),
        pytest.param([50, 0, 0, 0, 50] + [0] * 10, 5.0, 4.0, 6.0, id="three good seconds do not last"),
        pytest.param([50] + [0] * 8 + [50] + [0] * 8, 10.0, 9.0, 11.0, id="an outage later is a relapse"),
        pytest.param([50] + [0] * 8 + [2] + [0] * 8, 1.0, 0.0, 2.0, id="a stray failure later is none"),
        pytest.param([50, 2, 0, 0, 0, 0, 0], 2.0, 0.0, 3.0, id="what may be chance widens the interval"),
        pytest.param([0, 0, 0, 90, 90] + [0] * 6, 5.0, 4.0, 6.0, id="bad only later"),
        pytest.param([50, None, None, 0, 0, 0, 0, 0], 1.0, 0.0, 4.0, id="a second without requests is not good"),
    ],
)
def test_recovered(failed: list[int | None], value: float, low: float, high: float) -> None:
    """From the onset to the end of the last bad second before a lasting good stretch."""
    found = time_to_recover(seconds(failed))

    assert (found.value, found.low, found.high, found.n) == (value, low, high, 1)


@pytest.mark.parametrize(
    ("failed", "low"),
    [
        pytest.param([50] * 20, 19.0, id="bad to the end"),
        pytest.param([50] * 18 + [0, 0], 17.0, id="two good seconds at the end prove nothing"),
        pytest.param([50] + [0] * 18 + [50], 19.0, id="bad again in the last second"),
        pytest.param([50] + [None] * 10, 0.0, id="silence is no recovery"),
    ],
)
def test_not_recovered(failed: list[int | None], low: float) -> None:
    """No value, an open upper end, and the last outage as the lower one."""
    found = time_to_recover(seconds(failed))

    assert (found.value, found.low, found.high) == (None, low, math.inf)
    assert found.reason == f"not recovered when load ended, {len(failed)}.0 s after the onset"


def test_the_onset_may_have_been_later() -> None:
    """0.3 s between the canaries lower the lower end by as much."""
    found = time_to_recover(seconds([50] * 4 + [0] * 6), onset_slack_s=0.3)

    assert (found.value, found.low, found.high) == (4.0, pytest.approx(2.7), 5.0)


def test_too_short_to_see_it_last() -> None:
    """Four seconds cannot hold five good ones."""
    assert "5 s" in time_to_recover(seconds([0] * 4)).reason


def test_no_requests() -> None:
    """Nothing after the onset: no estimate, n = 0."""
    found = time_to_recover(requests_in(rows(scheduled_at=[]), (START_S, START_S + 10)))

    assert (found.value, found.n, found.reason) == (None, 0, "no requests after the onset")
