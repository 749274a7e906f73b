"""Counters of a stream give the answers of rows in memory, as far as a bucket is narrow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import stormproof
from stormproof.analysis.counters import BUCKETS, ERROR_MAX, UNKNOWN, bucket_of, edges_ms
from stormproof.analysis.measure import Observations, measure
from stormproof.analysis.stream import observe
from stormproof.errors import InputError
from stormproof.record.samples import samples_schema
from stormproof.spec.hypothesis import parse_hypothesis
from support.synthetic import START_S, Stretch, samples_of

if TYPE_CHECKING:
    import pandas as pd

WINDOWS = {
    "steady": (START_S, START_S + 10),
    "fault": (START_S + 10, START_S + 30),
    "recovery": (START_S + 30, START_S + 40),
}
CLAIMS = (
    "availability >= 99%",
    "availability >= 0.9x steady",
    "error rate <= 2x steady",
    "p99 latency <= 50ms",
    "p99 latency <= 2x steady",
    "p50 latency during recovery <= 50ms",
    "mean latency <= 100ms",
    "mean latency <= 2x steady",
    "throughput >= 90/s",
    "requests failed <= 10",
    "availability of /cart >= 90%",
    "p50 latency in zone a <= 50ms",
    "availability in zone b >= 0.9x steady",
    "time to recover <= 10s",
    "share of traffic in zone a <= 50%",
    "share of traffic in zone a <= 1.2x steady",
    "share of traffic of /cart <= 50%",
    "share of traffic of /cart <= 1.2x steady",
    "p50 latency in zone a <= 1.5x control",
)
EXACT = ("availability", "error", "throughput", "requests", "time", "share")


def history(*, odd: bool = True) -> pd.DataFrame:
    samples = samples_of(
        [
            Stretch(start_s=0, end_s=10, failed_share=0.002),
            Stretch(start_s=10, end_s=30, failed_share=0.02, latency_ms=30.0, level_sd=0.1),
            Stretch(start_s=30, end_s=40),
        ]
    ).sample(frac=1, random_state=3)
    if odd:
        samples.iloc[:3, samples.columns.get_loc("latency_ms")] = np.float32([np.nan, -5.0, np.inf])
    return samples


def write(folder: Path, samples: pd.DataFrame, parts: int) -> list[Path]:
    paths = []
    for number in range(parts):
        table = pa.Table.from_pandas(samples.iloc[number::parts], schema=samples_schema(), preserve_index=False)
        paths.append(folder / f"part-{number}.parquet")
        pq.write_table(table, paths[-1], row_group_size=500)
    return paths


@pytest.mark.parametrize("at_any_time", [False, True], ids=["once", "at any time"])
@pytest.mark.parametrize("text", CLAIMS)
def test_the_answers_are_those_of_rows_in_memory(text: str, at_any_time: bool, tmp_path: Path) -> None:
    """Counts, shares and times exactly; latencies and their ends to a bucket."""
    samples, claim = history(odd=not text.startswith("mean")), parse_hypothesis(text, control="c")
    rows = measure(claim, Observations(samples=samples, windows=WINDOWS), at_any_time=at_any_time)
    streamed = measure(claim, observe(write(tmp_path, samples, 3), WINDOWS, [claim]), at_any_time=at_any_time)
    # A ratio of two latencies has twice the error of one; an interval's end one bucket more.
    within = 1e-9 if text.startswith(EXACT) else 6 * ERROR_MAX

    assert (streamed.n, streamed.method, streamed.reason, streamed.note) == (
        rows.n,
        rows.method,
        rows.reason,
        rows.note,
    )
    assert [streamed.value, streamed.low, streamed.high] == pytest.approx([rows.value, rows.low, rows.high], rel=within)


def test_the_number_of_parts_and_threads_changes_nothing(tmp_path: Path) -> None:
    """Counters merge by addition, so the answers agree to the last count."""
    samples, claims = history(), [parse_hypothesis(text, control="c") for text in CLAIMS]
    found = []
    for parts, threads in ((1, 1), (5, 1), (5, 3)):
        folder = tmp_path / f"{parts}-{threads}"
        folder.mkdir()
        seen = observe(write(folder, samples, parts), WINDOWS, claims, threads=threads)
        found.append([measure(claim, seen) for claim in claims])

    assert found[0] == found[1] == found[2]


def test_a_bucket_holds_its_latency_to_a_thousandth() -> None:
    """Over fifteen orders of magnitude: the bucket's edges enclose the value, its middle is within 2^-10 of it."""
    values = np.float32(2.0) ** np.random.default_rng(1).uniform(-7, 22, 10_000).astype(np.float32)
    bucket = bucket_of(values)
    low, high = edges_ms()[bucket], edges_ms()[bucket + 1]

    assert (low <= values).all()
    assert (values < high).all()
    assert np.abs((low + high) / 2 / values - 1)[bucket > 0].max() <= ERROR_MAX


def test_what_has_no_latency_is_in_no_bucket() -> None:
    """NaN of either sign, infinity, a clock that stepped back, and more than an hour."""
    odd = np.array([np.nan, -np.nan, np.inf, -np.inf, -5.0, 1e9], dtype=np.float32)

    assert bucket_of(odd).tolist() == [UNKNOWN] * 6
    assert bucket_of(np.array([0.0, 1e-6], dtype=np.float32)).tolist() == [0, 0]
    assert len(edges_ms()) == BUCKETS + 1


def test_a_part_without_a_column_is_named(tmp_path: Path) -> None:
    """What a claim needs and a part lacks is an error, not an empty answer."""
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"scheduled_at": [START_S]}), path)
    with pytest.raises(InputError, match="latency_ms"):
        observe([path], WINDOWS, [parse_hypothesis("availability >= 99%")])


@pytest.mark.parametrize("most", [10, 1_000_000], ids=["counted", "in memory"])
def test_a_folder_of_parts_is_judged_like_a_frame(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`stormproof.judge` takes either; the words are the same, and so are counts and shares."""
    monkeypatch.setattr("stormproof.record.sample_part.IN_MEMORY_ROWS_MAX", most)
    samples = history()
    write(tmp_path, samples, 3)
    claims = [text for text in CLAIMS if text.startswith(("availability", "p99", "time"))]
    from_parts, from_frame = (stormproof.judge(one, WINDOWS, claims) for one in (tmp_path, samples))

    assert from_parts["verdict"].tolist() == from_frame["verdict"].tolist()
    assert from_parts["n"].tolist() == from_frame["n"].tolist()


def test_a_folder_without_parts_is_an_error(tmp_path: Path) -> None:
    """Nothing found is no verdict."""
    with pytest.raises(InputError, match="Parquet parts"):
        stormproof.judge(tmp_path, WINDOWS, ["availability >= 99%"])
