"""The share of traffic that an endpoint had, in a phase or a step."""

from __future__ import annotations

import pandas as pd
import pytest

import stormproof
from stormproof.analysis.measure import Observations, measure
from stormproof.spec.hypothesis import parse_hypothesis


def samples() -> pd.DataFrame:
    """Ten requests a second for 20 s; from 10 to 20 s one in four is static, and one in ten has no answer."""
    rows = []
    for number in range(200):
        at = number / 10
        lost = at >= 10 and number % 10 == 0
        static = at >= 10 and number % 4 == 1
        endpoint = "/" if lost else "static" if static else "personalised"
        rows.append((at, at, 5.0, 5.0, 0 if lost else 200, not lost, endpoint, "" if lost else "a", "", 0))
    columns = [
        "scheduled_at",
        "sent_at",
        "latency_ms",
        "service_ms",
        "status",
        "ok",
        "endpoint",
        "zone",
        "error",
        "worker",
    ]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.parametrize(
    ("claim", "value", "n"),
    [
        ("share of traffic of static during fault <= 40%", 25 / 90, 90),  # of the answered ones
        ("share of traffic of static during first <= 40%", 13 / 45, 45),
        ("share of traffic of personalised during steady >= 40%", 1.0, 100),
        ("share of traffic of nothing during steady <= 1%", 0.0, 100),
    ],
)
def test_an_endpoints_share_is_of_all_answered_requests(claim: str, value: float, n: int) -> None:
    """Failures without an answer belong to no endpoint that one could name."""
    windows = {"steady": (0.0, 10.0), "fault": (10.0, 20.0), "first": (10.0, 15.0)}
    hypothesis = parse_hypothesis(claim, steps=["first"])
    found = measure(hypothesis, Observations(samples=samples(), windows=windows))

    assert (pytest.approx(value), n) == (found.value, found.n)


def test_a_step_without_a_window_leaves_no_estimate() -> None:
    """It was not in force, so nothing can be said of it."""
    hypothesis = parse_hypothesis("availability during first >= 9%", steps=["first"])
    found = measure(hypothesis, Observations(samples=samples(), windows={"steady": (0.0, 10.0)}))

    assert (None, 0, "there is no step first") == (found.value, found.n, found.reason)


def test_judge_tells_two_shares_apart() -> None:
    """Refuted where it is far above, held where it is far below."""
    windows = {"steady": (0.0, 10.0), "fault": (10.0, 20.0), "recovery": (20.0, 21.0)}
    claims = ["share of traffic of static during fault <= 5%", "share of traffic of static during steady <= 10%"]

    assert ["refuted", "held"] == list(stormproof.judge(samples(), windows, claims)["verdict"])
