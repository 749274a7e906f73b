"""Properties that no verdict may lack, over drawn histories."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import stormproof
from support.synthetic import START_S, Stretch, samples_of

WINDOWS = {
    "steady": (START_S, START_S + 8),
    "fault": (START_S + 8, START_S + 18),
    "recovery": (START_S + 18, START_S + 26),
}
CLAIMS = [
    "availability during fault >= 99%",
    "error rate during fault <= 3x steady",
    "p99 latency during fault <= 60ms",
    "p50 latency during fault <= 1.2x steady",
    "mean latency during fault <= 40ms",
    "throughput during fault >= 40/s",
    "requests failed during fault <= 5",
    "time to recover <= 4s",
]
# Where a later change to the rows may not make things look better.
RANK = {"refuted": 0, "inconclusive": 1, "held": 2}


@st.composite
def histories(draw: st.DrawFn) -> pd.DataFrame:
    """Samples of a run with drawn latency and failures in the fault."""
    failed = draw(st.sampled_from([0.0, 0.005, 0.02, 0.5]))
    latency_ms = draw(st.sampled_from([20.0, 30.0, 60.0]))
    stretches = [
        Stretch(start_s=0, end_s=8, rate_per_s=50),
        Stretch(start_s=8, end_s=18, rate_per_s=50, failed_share=failed, latency_ms=latency_ms, level_sd=0.2),
        Stretch(start_s=18, end_s=26, rate_per_s=50, failed_share=failed / 10),
    ]
    return samples_of(stretches, seed=draw(st.integers(0, 10_000)))


fast = settings(max_examples=15, deadline=None)


@fast
@given(histories(), st.integers(0, 1000))
def test_the_order_of_the_rows_changes_nothing(samples: pd.DataFrame, seed: int) -> None:
    """Rows are a set: shuffled, every number and word is the same."""
    shuffled = samples.sample(frac=1, random_state=seed)

    pd.testing.assert_frame_equal(
        stormproof.judge(shuffled, WINDOWS, CLAIMS), stormproof.judge(samples, WINDOWS, CLAIMS), rtol=1e-12
    )


@fast
@given(histories(), st.integers(-(10**9), 10**8))
def test_the_date_changes_nothing(samples: pd.DataFrame, shift_s: int) -> None:
    """The same run on another day has the same findings."""
    moved = samples.assign(scheduled_at=samples["scheduled_at"] + shift_s, sent_at=samples["sent_at"] + shift_s)
    windows = {phase: (start + shift_s, end + shift_s) for phase, (start, end) in WINDOWS.items()}
    # A shift moves the last bits of a float64, so a request on the edge of a second may change its bucket; half a
    # schedule step keeps them off the edges.
    off = {"scheduled_at": 0.01}
    here = stormproof.judge(samples.assign(scheduled_at=samples["scheduled_at"] + off["scheduled_at"]), WINDOWS, CLAIMS)
    there = stormproof.judge(moved.assign(scheduled_at=moved["scheduled_at"] + off["scheduled_at"]), windows, CLAIMS)

    pd.testing.assert_frame_equal(here, there, rtol=1e-9)


@fast
@given(histories(), st.integers(1, 200))
def test_slower_requests_never_turn_refuted_into_held(samples: pd.DataFrame, count: int) -> None:
    """Of an upper bound on latency: making requests slower cannot raise the outcome from refuted to held."""
    claims = [claim for claim in CLAIMS if "latency" in claim]
    slower = samples.copy()
    rows = np.flatnonzero(slower["scheduled_at"].between(*WINDOWS["fault"]))[:count]
    slower.loc[rows, "latency_ms"] = np.float32(5000)
    before = stormproof.judge(samples, WINDOWS, claims)["verdict"]
    after = stormproof.judge(slower, WINDOWS, claims)["verdict"]

    assert not [claim for claim, b, a in zip(claims, before, after, strict=True) if b == "refuted" and a == "held"]


@fast
@given(histories(), st.integers(1, 300), st.booleans())
def test_more_failures_never_improve_an_outcome(samples: pd.DataFrame, count: int, at_once: bool) -> None:
    """Of claims on the failures themselves none gets better; of latency none is held for failing fast."""
    worse = samples.copy()
    rows = np.flatnonzero(worse["scheduled_at"].between(*WINDOWS["fault"], inclusive="left") & worse["ok"])[:count]
    worse.loc[rows, "ok"] = False
    if at_once:
        worse.loc[rows, "latency_ms"] = np.float32(0.5)
    before = stormproof.judge(samples, WINDOWS, CLAIMS).set_index("claim")["verdict"]
    after = stormproof.judge(worse, WINDOWS, CLAIMS).set_index("claim")["verdict"]

    for claim in ("availability during fault >= 99%", "requests failed during fault <= 5", "time to recover <= 4s"):
        assert RANK[after[claim]] <= RANK[before[claim]], claim
    for claim in (claim for claim in CLAIMS if "latency" in claim):
        assert after[claim] != "held" or before[claim] == "held", claim


@fast
@given(histories())
def test_the_estimate_lies_in_its_interval(samples: pd.DataFrame) -> None:
    """Whatever the history: low <= estimate <= high, and held or refuted only with both ends."""
    found = stormproof.judge(samples, WINDOWS, CLAIMS)
    known = found.dropna(subset=["estimate"])

    assert (known["low"] <= known["estimate"]).all()
    assert (known["estimate"] <= known["high"]).all()
    assert not found[found["verdict"] != "inconclusive"][["low", "high"]].isna().any(axis=None)
