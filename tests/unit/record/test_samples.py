"""Samples on disk: raw rows and Parquet parts give the same frame, whole or refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stormproof.errors import RunDirectoryError
from stormproof.record.layout import RunDirectory
from stormproof.record.rows import ROW, RowWriter
from stormproof.record.sample_part import parts_of
from stormproof.record.samples import convert_rows, read_samples, samples_schema


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run").create()


def write(run: RunDirectory, worker: int, count: int, *, first_s: float = 1000.0) -> None:
    with RowWriter(run.samples, worker) as writer:
        for number in range(count):
            scheduled = first_s + number
            failed = number % 5 == 4
            writer.append(
                scheduled, scheduled + 0.25, 262.5, 12.5, 503 if failed else 200, not failed,
                f"/{worker}", "ab"[number % 2], "status 503" if failed else "",
            )  # fmt: skip


def test_a_row_comes_back_as_it_was_written(run: RunDirectory) -> None:
    """Every column of a sample survives the way through the raw file and Parquet, with its type."""
    write(run, 3, 5)

    convert_rows(run.samples)
    samples = read_samples(run)

    assert samples.iloc[4].to_dict() == {
        "scheduled_at": 1004.0,
        "sent_at": 1004.25,
        "latency_ms": 262.5,
        "service_ms": 12.5,
        "status": 503,
        "ok": False,
        "endpoint": "/3",
        "zone": "a",
        "error": "status 503",
        "worker": 3,
    }
    assert [str(kind) for kind in samples.dtypes] == [
        "float64", "float64", "float32", "float32", "int16", "bool", "category", "category", "category", "int16",
    ]  # fmt: skip


def test_parts_of_several_workers_merge_by_time(run: RunDirectory) -> None:
    """Workers with different endpoints make one frame, sorted by the due instant."""
    write(run, 0, 4, first_s=1000.0)
    write(run, 1, 4, first_s=1000.5)

    parts = convert_rows(run.samples)
    samples = read_samples(run)

    assert [part.name for part in parts] == ["part-000.parquet", "part-001.parquet"]
    assert list(samples["worker"]) == [0, 1, 0, 1, 0, 1, 0, 1]
    assert samples["scheduled_at"].is_monotonic_increasing
    assert set(samples["endpoint"].cat.categories) == {"/0", "/1"}


def test_a_run_that_crashed_can_be_read(run: RunDirectory) -> None:
    """Raw parts that nobody converted, a torn last row included, count with the converted ones."""
    write(run, 0, 4)
    convert_rows(run.samples)
    write(run, 1, 6)
    rows = run.samples / "part-001.rows"
    rows.write_bytes(rows.read_bytes()[: 5 * ROW.size + 7])

    samples = read_samples(run)

    assert len(samples) == 4 + 5
    pd.testing.assert_frame_equal(samples, _after_conversion(run))


def _after_conversion(run: RunDirectory) -> pd.DataFrame:
    convert_rows(run.samples)
    return read_samples(run)


def test_a_conversion_that_was_cut_off_does_not_count_rows_twice(run: RunDirectory) -> None:
    """Killed between the rename and the removal: the raw file is redundant, and goes at the next try."""
    write(run, 0, 4)
    backup = run.path / "backup"
    shutil.copytree(run.samples, backup)
    convert_rows(run.samples)
    shutil.copytree(backup, run.samples, dirs_exist_ok=True)

    assert len(read_samples(run)) == 4
    convert_rows(run.samples)
    assert sorted(path.name for path in run.samples.iterdir()) == ["part-000.parquet"]
    assert len(read_samples(run)) == 4


def test_no_samples_make_an_empty_frame_with_the_right_columns(run: RunDirectory) -> None:
    """A run that was aborted before any request is empty, not an error."""
    samples = read_samples(run)

    assert len(samples) == 0
    assert list(samples.columns) == samples_schema().names
    assert str(samples["latency_ms"].dtype) == "float32"
    assert str(samples["ok"].dtype) == "bool"


def test_a_worker_without_a_request_leaves_an_empty_part(run: RunDirectory) -> None:
    """No rows is a part of no rows."""
    write(run, 0, 0)

    assert len(_after_conversion(run)) == 0


def test_row_groups_stay_small(run: RunDirectory) -> None:
    """At most 20,000 rows a group, so that a big part can be streamed."""
    write(run, 0, 45_000)

    (part,) = convert_rows(run.samples)

    with pq.ParquetFile(part) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    assert sizes == [20_000, 20_000, 5_000]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda table: table.drop_columns(["zone"]), "columns"),
        (lambda table: table.replace_schema_metadata({}).drop_columns(["zone"]), "none named zone"),
        (
            lambda table: table.replace_schema_metadata({}).set_column(0, "scheduled_at", pa.array(["x"] * len(table))),
            "columns",
        ),
        (lambda table: table.replace_schema_metadata({"stormproof.schema_version": "2"}), "got 2"),
        (lambda table: table.set_column(0, "scheduled_at", pa.array([1] * len(table))), "columns"),
    ],
    ids=["column missing", "column missing, no version", "other type, no version", "other version", "other type"],
)
def test_a_part_that_is_not_ours_is_refused(run: RunDirectory, damage: object, expected: str) -> None:
    """Missing or foreign columns are an error that names the file, never a guess."""
    write(run, 0, 4)
    (part,) = convert_rows(run.samples)
    pq.write_table(damage(pq.read_table(part)), part)  # type: ignore[operator]

    with pytest.raises(RunDirectoryError, match=expected) as caught:
        read_samples(run)
    assert str(part) in str(caught.value)


def test_a_part_that_another_tool_has_written_is_read(run: RunDirectory) -> None:
    """pandas drops our metadata and adds its own; the rows are the rows (that they changed is for the seal to tell)."""
    write(run, 0, 40)
    (part,) = convert_rows(run.samples)
    before = read_samples(run)
    pd.read_parquet(part).to_parquet(part)

    pd.testing.assert_frame_equal(read_samples(run), before)


def test_a_broken_file_is_refused(run: RunDirectory) -> None:
    """A part cut off by a full disk says which file it is."""
    (run.samples / "part-000.parquet").write_bytes(b"PAR1 nothing")

    with pytest.raises(RunDirectoryError, match=r"part-000\.parquet"):
        read_samples(run)


def test_rows_of_a_control_group_come_back_as_such(run: RunDirectory) -> None:
    """Raw, as Parquet and as a part of many they say the same, in a column that other runs do not have."""
    with RowWriter(run.samples, 0, has_control=True) as writer:
        for number in range(6):
            writer.append(1000.0 + number, 1000.1, 1.0, 1.0, 200, True, "/", "abc"[number % 3], "", number % 3 == 2)
    raw = read_samples(run)
    (part,) = parts_of(run)
    raw_part = (part.has_control, [one.as_py() for batch in part.batches(["control"]) for one in batch["control"]])
    convert_rows(run.samples)
    (part,) = parts_of(run)
    in_parts = (part.has_control, [one.as_py() for batch in part.batches(["control"]) for one in batch["control"]])

    expected = [False, False, True] * 2
    assert raw["zone"].tolist() == ["a", "b", "c"] * 2
    assert raw["control"].tolist() == read_samples(run)["control"].tolist() == expected
    assert raw_part == in_parts == (True, expected)


def test_parts_of_which_some_know_no_control_are_refused(run: RunDirectory) -> None:
    """Who of them was in the group, nobody could say."""
    write(run, 0, 3)
    with RowWriter(run.samples, 1, has_control=True) as writer:
        writer.append(1000.0, 1000.1, 1.0, 1.0, 200, True, "/", "c", "", True)

    with pytest.raises(RunDirectoryError, match="control: expected the column in every part"):
        read_samples(run)
