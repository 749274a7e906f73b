"""Raw rows: what was flushed is there, what a name stands for is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from stormproof.errors import RunDirectoryError
from stormproof.record.rows import OTHER, ROW, TEXTS_MAX, RowWriter, read_names


def append(writer: RowWriter, *, endpoint: str = "/", error: str = "") -> None:
    writer.append(1000.0, 1000.001, 12.5, 11.5, 200, not error, endpoint, "a", error)


def test_rows_are_on_file_after_a_flush_and_not_before(tmp_path: Path) -> None:
    """A row costs no write; a flush writes all that wait."""
    writer = RowWriter(tmp_path, 0)
    for _ in range(3):
        append(writer)

    assert writer.path.stat().st_size == 0

    writer.flush()

    assert writer.path.stat().st_size == 3 * ROW.size
    writer.close()


def test_a_full_buffer_flushes_itself(tmp_path: Path) -> None:
    """However long nobody flushes, memory stays bounded and no row is lost."""
    with RowWriter(tmp_path, 0) as writer:
        for _ in range(20_000):
            append(writer)
        assert writer.path.stat().st_size > 0

    assert writer.path.stat().st_size == 20_000 * ROW.size


def test_a_name_is_on_file_before_its_first_row(tmp_path: Path) -> None:
    """After a crash no row refers to a text that nobody knows."""
    writer = RowWriter(tmp_path, 4)
    append(writer, endpoint="/a")
    append(writer, endpoint="/b", error="timeout")

    names = read_names(tmp_path / "part-004.names.jsonl")

    assert (names.worker, names.has_control) == (4, False)
    assert names.texts == {"endpoint": ["/a", "/b"], "zone": ["a"], "error": ["", "timeout"]}
    writer.close()


def test_endless_names_share_one(tmp_path: Path) -> None:
    """A locustfile that makes an endpoint of every URL costs one shared name beyond the limit."""
    with RowWriter(tmp_path, 0) as writer:
        for number in range(TEXTS_MAX + 50):
            append(writer, endpoint=f"/{number}")

    texts = read_names(tmp_path / "part-000.names.jsonl").texts
    assert len(texts["endpoint"]) == TEXTS_MAX + 1
    assert texts["endpoint"][-1] == OTHER


def test_a_part_is_never_overwritten(tmp_path: Path) -> None:
    """Two workers with one number are a mistake that must not cost samples."""
    with RowWriter(tmp_path, 0), pytest.raises(FileExistsError):
        RowWriter(tmp_path, 0)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """Raw rows of another version are not guessed at."""
    path = tmp_path / "part-000.names.jsonl"
    path.write_text('{"schema_version": 99, "worker": 0, "row_bytes": 33}\n')

    with pytest.raises(RunDirectoryError, match="schema_version 1"):
        read_names(path)


def test_what_is_flushed_can_be_counted(tmp_path: Path) -> None:
    """The observer of flushes sees each row once, whether the buffer was full or somebody flushed."""
    seen: list[int] = []
    with RowWriter(tmp_path, 0, on_flush=lambda rows: seen.append(len(rows) // ROW.size)) as writer:
        for _ in range(10_000):
            append(writer)
        writer.flush()
        writer.flush()

    assert sum(seen) == 10_000
    assert len(seen) == 2
