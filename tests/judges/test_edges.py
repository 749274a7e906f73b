"""Every edge has a defined answer: a word for each kind of claim, on histories that statistics books leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import stormproof
from support.synthetic import START_S, rows

if TYPE_CHECKING:
    import pandas as pd

WINDOWS = {
    "steady": (START_S, START_S + 10),
    "fault": (START_S + 10, START_S + 30),
    "recovery": (START_S + 30, START_S + 40),
}
CLAIMS = (
    "availability during fault >= 99%",
    "availability during fault >= 0.9x steady",
    "error rate during fault <= 2x steady",
    "p99 latency during fault <= 500ms",
    "p99 latency during fault <= 2x steady",
    "mean latency during fault <= 100ms",
    "mean latency during fault <= 2x steady",
    "throughput during fault >= 90/s",
    "throughput during fault >= 0.9x steady",
    "requests failed during fault <= 10",
    "share of traffic in zone a during fault >= 50%",
)
HELD, REFUTED, OPEN = "held", "refuted", "inconclusive"


def at(start_s: float = 0, end_s: float = 40, rate_per_s: float = 100) -> np.ndarray:
    return START_S + start_s + (np.arange(round((end_s - start_s) * rate_per_s)) + 0.5) / rate_per_s


def calm() -> pd.DataFrame:
    return rows(scheduled_at=at(), latency_ms=20.0)


def answers(samples: pd.DataFrame, windows: dict[str, tuple[float, float]] | None = None) -> list[str]:
    """Each claim alone: what several share is another test's."""
    return [str(stormproof.judge(samples, windows or WINDOWS, [one])["verdict"].iloc[0]) for one in CLAIMS]


def test_constant_latency_and_no_error_in_any_phase() -> None:
    """All holds but a ratio of no errors to no errors, which is no number."""
    assert answers(calm()) == [HELD, HELD, OPEN, HELD, HELD, HELD, HELD, HELD, HELD, HELD, HELD]


def test_everything_fails_at_once_during_the_fault() -> None:
    """Failing fast, as fast as steady: refuted wherever success counts, and no latency that is known to be short."""
    samples = calm()
    fault = samples["scheduled_at"].between(*WINDOWS["fault"], inclusive="left")
    samples["ok"] = ~fault

    assert answers(samples) == [REFUTED, REFUTED, REFUTED, OPEN, OPEN, OPEN, OPEN, REFUTED, REFUTED, REFUTED, HELD]


def test_everything_fails_in_every_phase() -> None:
    """All fail before and during: relative to steady nothing changed, and of nothing good there is no ratio."""
    samples = rows(scheduled_at=at(), ok=False)

    assert answers(samples) == [REFUTED, OPEN, HELD, OPEN, OPEN, OPEN, OPEN, REFUTED, OPEN, REFUTED, HELD]


@pytest.mark.parametrize(
    ("claim", "steady"),
    [
        ("p99 latency during fault <= 15ms", "20 ms"),
        ("availability during recovery >= 99%", "0 %"),
        ("p99 latency during fault <= 500ms", ""),  # held
        ("p99 latency during steady <= 15ms", ""),
        ("share of traffic in zone a during fault <= 50%", ""),  # claimed to be another than in steady
    ],
)
def test_a_bound_that_was_broken_before_the_fault_is_said_to_have_been(claim: str, steady: str) -> None:
    """Refuted, and no news of the fault: whoever reads the reason is told so."""
    samples = calm()
    samples["ok"] = "availability" not in claim
    reason = stormproof.judge(samples, WINDOWS, [claim])["reason"].iloc[0]

    said = f" It was so before the fault, too: {steady} in steady." if steady else ""
    assert reason.endswith(said)
    assert ("before the fault" in reason) is bool(steady)


@pytest.mark.parametrize("claim", ["p99 latency during fault <= 500ms", "p99 latency during fault <= 2x steady"])
def test_what_broke_in_the_fault_only_was_not_so_before(claim: str) -> None:
    """Refuted by the fault; and what a ratio bounds is no latency in steady."""
    samples = calm()
    samples.loc[samples["scheduled_at"].between(*WINDOWS["fault"]), "latency_ms"] = 900.0
    (finding,) = stormproof.judge(samples, WINDOWS, [claim]).to_dict("records")

    assert finding["verdict"] == REFUTED
    assert "before the fault" not in finding["reason"]


def test_a_single_request() -> None:
    """One good request in the fault phase proves nothing but that none failed, and that 90/s were not there."""
    assert answers(rows(scheduled_at=[START_S + 15])) == [OPEN] * 7 + [REFUTED, OPEN, HELD, OPEN]


def test_an_empty_fault_window_between_full_ones() -> None:
    """Requests before and after: nothing is known of the fault phase, not even that nothing failed."""
    samples = rows(scheduled_at=np.concatenate((at(0, 10), at(30, 40))))

    assert answers(samples) == [OPEN] * len(CLAIMS)


def test_an_empty_steady_window() -> None:
    """What is absolute is judged as ever; what is relative to nothing is not."""
    found = dict(zip(CLAIMS, answers(rows(scheduled_at=at(10, 40))), strict=True))

    assert [found[claim] for claim in CLAIMS if "x steady" in claim] == [OPEN] * 5
    assert [found[claim] for claim in CLAIMS if "x steady" not in claim] == [HELD] * 6


def test_windows_shorter_than_five_seconds() -> None:
    """Too short for the noise between stretches: no relative claim, no mean, no throughput; counts and shares stand."""
    windows = {"steady": (START_S, START_S + 4), "fault": (START_S + 10, START_S + 14)}

    assert answers(calm(), windows) == [HELD, OPEN, OPEN, HELD, OPEN, OPEN, OPEN, OPEN, OPEN, HELD, HELD]


def test_ties_on_the_bound() -> None:
    """Every request took exactly as long as the claim allows: held; a hair more than allowed: refuted."""
    samples = calm()

    assert stormproof.judge(samples, WINDOWS, ["p99 latency <= 20ms"])["verdict"].iloc[0] == HELD
    assert stormproof.judge(samples, WINDOWS, ["p99 latency < 20ms"])["verdict"].iloc[0] == REFUTED


def test_two_values_only() -> None:
    """99.5 % take 10 ms and the rest 1 s: p99 is one of the two, never a number between them."""
    samples = rows(scheduled_at=at(), latency_ms=np.where(np.arange(4000) % 200 == 0, 1000.0, 10.0))
    found = stormproof.judge(samples, WINDOWS, ["p99 latency <= 500ms", "p99 latency <= 2x steady"])

    assert found[["estimate", "low", "high"]].iloc[0].tolist() == [10.0, 10.0, 10.0]
    assert set(found["verdict"]) <= {HELD, OPEN}


@pytest.mark.parametrize("step_s", [-5.0, 5.0])
def test_the_wall_clock_steps_during_the_fault(step_s: float) -> None:
    """Rows keep the time they were given: a doubled stretch or a hole is seen as load, never as a crash or a number
    that is not one. Latencies that came out negative are not known, so they may have been long.
    """
    samples = calm()
    later = samples["scheduled_at"] >= START_S + 20
    samples.loc[later, "scheduled_at"] += step_s
    samples.loc[samples.index[later][:5], "latency_ms"] = np.float32(step_s * 1000)
    found = stormproof.judge(samples, WINDOWS, CLAIMS)

    numbers = found[["estimate", "low", "high"]].to_numpy()
    assert not np.isneginf(numbers).any()
    assert (found["low"] <= found["high"]).all() or found["low"].isna().any()
    assert dict(zip(CLAIMS, found["verdict"], strict=True))["availability during fault >= 99%"] == HELD


def test_every_open_answer_says_why() -> None:
    """No reason is empty, and each that could be decided by more of the same says how much more."""
    samples = rows(scheduled_at=at(), ok=np.arange(4000) % 100 != 7, latency_ms=np.linspace(10, 30, 4000))
    found = stormproof.judge(samples, WINDOWS, [*CLAIMS, "error rate during fault <= 1.01x steady"])
    for row in found[found["verdict"] == OPEN].itertuples():
        assert "would decide" in str(row.reason) or str(row.reason).startswith("No "), row.reason
