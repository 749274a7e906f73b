"""`stormproof.judge` on hand-written histories: a few rows, the whole answer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

import stormproof
from stormproof.analysis.measure import Observations
from stormproof.errors import HypothesisError, InputError
from stormproof.model.verdict import Outcome
from stormproof.spec.hypothesis import parse_hypothesis
from stormproof.verdict.judge import judge_findings
from support.synthetic import START_S, Stretch, rows, samples_of

if TYPE_CHECKING:
    import pandas as pd

WINDOWS = {
    "steady": (START_S, START_S + 10),
    "fault": (START_S + 10, START_S + 30),
    "recovery": (START_S + 30, START_S + 40),
}


def fault_rows(n: int, failed: int, latency_ms: float = 20.0) -> pd.DataFrame:
    at = START_S + 10 + np.arange(n) * 20 / n
    return rows(scheduled_at=at, ok=np.arange(n) >= failed, latency_ms=latency_ms)


def one(samples: pd.DataFrame, claim: str, windows: dict[str, tuple[float, float]] | None = None) -> pd.Series:
    return stormproof.judge(samples, WINDOWS if windows is None else windows, [claim]).iloc[0]


@pytest.mark.parametrize(
    ("n", "failed", "verdict"),
    [
        (736, 0, "held"),
        (735, 0, "inconclusive"),
        (3000, 7, "held"),
        (3000, 8, "inconclusive"),
        (3000, 15, "inconclusive"),
        (3000, 24, "refuted"),
        (3000, 3000, "refuted"),
        (1, 0, "inconclusive"),
        (1, 1, "refuted"),  # one in two hundred that a 99.5 % service fails its only request
    ],
)
def test_availability_of_99_5_percent(n: int, failed: int, verdict: str) -> None:
    """What 99.5 % takes: 736 requests without an error, or 3,000 with at most seven."""
    assert one(fault_rows(n, failed), "availability during fault >= 99.5%")["verdict"] == verdict


def test_the_whole_row() -> None:
    """Every column of the answer, for one request that succeeded of two."""
    found = stormproof.judge(fault_rows(2, 1), WINDOWS, ["availability >= 90%"])

    assert list(found.columns) == ["claim", "verdict", "estimate", "low", "high", "n", "reason"]
    row = found.iloc[0].to_dict()
    reason = row.pop("reason")
    assert row == {
        "claim": "availability >= 90%",
        "verdict": "inconclusive",
        "estimate": 0.5,
        "low": pytest.approx(0.0125791, abs=1e-6),
        "high": pytest.approx(0.9874209, abs=1e-6),
        "n": 2,
    }
    assert reason.startswith("50 %, 95 % interval 1.26 % to 98.74 %, n = 2: the bound >= 90 % lies within; about ")


def test_the_rows_are_in_the_order_of_the_claims() -> None:
    """One row a hypothesis, in their order, doubles included; none gives an empty table of the same columns."""
    claims = ["p50 latency <= 1s", "availability >= 90%", "p50 latency <= 1s"]
    samples = fault_rows(500, 0)

    assert stormproof.judge(samples, WINDOWS, claims)["claim"].tolist() == claims
    assert list(stormproof.judge(samples, WINDOWS, []).columns)[:2] == ["claim", "verdict"]


ALL_CLAIMS = (
    "availability during fault >= 99%",
    "availability during fault >= 0.99x steady",
    "error rate during fault <= 1%",
    "error rate during fault <= 2x steady",
    "p99 latency during fault <= 500ms",
    "p99 latency during fault <= 2x steady",
    "mean latency during fault <= 100ms",
    "mean latency during fault <= 2x steady",
    "throughput during fault >= 10/s",
    "throughput during fault >= 0.9x steady",
    "requests failed during fault <= 10",
    "share of traffic in zone a during fault <= 50%",
    "time to detect <= 3s",
    "time to recover <= 10s",
)


@pytest.mark.parametrize("claim", ALL_CLAIMS)
def test_no_rows_at_all(claim: str) -> None:
    """Of nothing nothing is known: inconclusive, with a reason, and no number."""
    row = one(rows(scheduled_at=[]), claim)

    assert row["verdict"] == "inconclusive"
    assert math.isnan(row["estimate"])
    assert row["n"] == 0
    assert row["reason"].startswith("No estimate: ")


@pytest.mark.parametrize("windows", [{}, {"fault": (5.0, 1.0)}, {"fault": (math.nan, 1.0)}], ids=str)
@pytest.mark.parametrize("claim", ALL_CLAIMS)
def test_no_fault_window(claim: str, windows: dict[str, tuple[float, float]]) -> None:
    """A missing, reversed or NaN window is no phase."""
    row = one(fault_rows(500, 0), claim, windows)

    assert row["verdict"] == "inconclusive"
    assert row["reason"].startswith("No estimate: ")


@pytest.mark.parametrize("claim", [claim for claim in ALL_CLAIMS if "x steady" in claim])
def test_no_steady_phase(claim: str) -> None:
    """A relative claim needs what it is relative to."""
    row = one(fault_rows(3000, 0), claim, {"fault": WINDOWS["fault"]})

    assert row["verdict"] == "inconclusive"
    assert row["reason"] == "No estimate: in the steady phase: there is no steady phase."


def test_more_errors_than_none_in_steady() -> None:
    """No error in steady and 20 % in the fault is decided: far more than twice whatever steady's rate was."""
    samples = samples_of([Stretch(start_s=0, end_s=10), Stretch(start_s=10, end_s=30, failed_share=0.2)])
    row = one(samples, "error rate during fault <= 2x steady")

    assert row["verdict"] == "refuted"
    assert math.isnan(row["estimate"])
    assert row["low"] > 2


def test_no_errors_in_either_phase_is_no_ratio() -> None:
    """Zero over zero: inconclusive, and the reason says why."""
    row = one(samples_of([Stretch(start_s=0, end_s=30)]), "error rate during fault <= 2x steady")

    assert row["verdict"] == "inconclusive"
    assert "zero in the steady phase" in row["reason"]


def test_a_row_without_a_time_decides_nothing() -> None:
    """Nobody knows which phase it belongs to."""
    samples = fault_rows(2000, 0)
    samples.loc[0, "scheduled_at"] = math.nan

    row = one(samples, "availability >= 99%")
    assert (row["verdict"], row["reason"]) == (
        "inconclusive",
        "No estimate: 1 rows have no scheduled time, so their phase is not known.",
    )


def test_an_ok_that_is_missing_is_a_failure() -> None:
    """Not known to be good is not good."""
    samples = fault_rows(100, 0)
    samples["ok"] = samples["ok"].astype(object)
    samples.loc[0, "ok"] = None

    assert one(samples, "requests failed <= 0")["estimate"] == 1.0


def test_requests_failed_is_a_count_not_a_sample() -> None:
    """Ten failed requests are ten: on the bound it held, one more is refuted."""
    assert one(fault_rows(500, 10), "requests failed <= 10")["verdict"] == "held"
    assert one(fault_rows(500, 11), "requests failed <= 10")["verdict"] == "refuted"


def test_of_an_endpoint() -> None:
    """Only the requests of that endpoint count; one that was never called has no estimate."""
    samples = rows(
        scheduled_at=START_S + 10 + np.arange(2000) / 100,
        endpoint=["/", "/cart"] * 1000,
        ok=[True, False] * 1000,
    )

    assert one(samples, "availability of / during fault >= 99%")["verdict"] == "held"
    assert one(samples, "availability of /cart during fault >= 99%")["verdict"] == "refuted"
    assert one(samples, "availability of /none during fault >= 99%")["reason"] == (
        "No estimate: no requests of /none in the fault phase."
    )


def test_a_zone_cannot_hold_on_failures_that_may_be_its_own() -> None:
    """1,000 good answers of zone a and 50 failures of nobody: availability in zone a is not known to be 99 %."""
    samples = rows(
        scheduled_at=START_S + 10 + np.arange(1050) / 60,
        zone=["a"] * 1000 + [""] * 50,
        ok=[True] * 1000 + [False] * 50,
    )
    row = one(samples, "availability in zone a during fault >= 99%")

    assert (row["verdict"], row["estimate"], row["high"]) == ("inconclusive", 1.0, 1.0)
    assert row["low"] < 0.97


def test_share_of_traffic() -> None:
    """A silent zone has none of it; the upper end is Clopper–Pearson's."""
    samples = samples_of([Stretch(start_s=0, end_s=10), Stretch(start_s=10, end_s=30, zones=("b", "c"))])

    row = one(samples, "share of traffic in zone a during fault <= 1%")
    assert (row["verdict"], row["estimate"], row["n"]) == ("held", 0.0, 2000)
    assert one(samples, "share of traffic in zone b during fault <= 1.8x steady")["verdict"] == "held"


def test_bad_input_is_an_error_and_not_a_verdict() -> None:
    """A text that is not in the language and samples without a column are refused."""
    with pytest.raises(HypothesisError):
        one(fault_rows(10, 0), "availability should be good")
    with pytest.raises(InputError, match="latency_ms"):
        one(fault_rows(10, 0).drop(columns="latency_ms"), "availability >= 99%")


def test_a_judge_that_crashes_never_holds() -> None:
    """The crash is the reason, the outcome inconclusive, and the other claims are judged."""
    hypotheses = [parse_hypothesis("availability >= 99%"), parse_hypothesis("availability >= 98%")]

    def crash(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    seen = Observations(samples=fault_rows(2000, 0), windows=WINDOWS)
    findings = judge_findings(seen, hypotheses, measured_by=crash)

    assert [finding.outcome for finding in findings] == [Outcome.INCONCLUSIVE] * 2
    assert "ZeroDivisionError: division by zero" in findings[0].reason


def test_the_same_metric_in_steady_stands_beside() -> None:
    """A finding carries the steady phase's value for comparison."""
    samples = samples_of([Stretch(start_s=0, end_s=10), Stretch(start_s=10, end_s=30, failed_share=0.5)])
    seen = Observations(samples=samples, windows=WINDOWS)
    (finding,) = judge_findings(seen, [parse_hypothesis("availability >= 99%")])

    assert finding.steady == 1.0
    assert finding.method == "Clopper–Pearson"


def test_zone_and_endpoint_are_needed_only_where_they_are_named() -> None:
    """Samples of another tool, without those columns, can be judged; a claim about a zone then is an error."""
    import pandas as pd

    import stormproof
    from stormproof.errors import InputError

    plain = pd.DataFrame({"scheduled_at": [i / 100 for i in range(1000)], "latency_ms": 5.0, "ok": True})
    windows = {"fault": (0.0, 10.0)}

    assert stormproof.judge(plain, windows, ["availability >= 99.5%"])["verdict"].tolist() == ["held"]
    with pytest.raises(InputError, match="zone"):
        stormproof.judge(plain, windows, ["share of traffic in zone a <= 50%"])
