"""Readings in memory: the same rows, and no more of them than differ."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import orjson

from stormproof.record.atomic import read_lines
from stormproof.record.readings import read_readings


def reading(number: int, *, healthy: bool = True) -> dict[str, Any]:
    targets = {f"i-{n:017x}": {"zone": "abc"[n % 3], "healthy": healthy, "flags": []} for n in range(6)}
    return {"probe": "target_health", "wall_s": number / 10, "mono_s": number / 10, "reading": {"targets": targets}}


def test_they_are_the_lines_of_the_file(tmp_path: Path) -> None:
    """Whole objects in their order, torn and foreign lines passed over; a file that is not there has none."""
    rows = [reading(0), reading(1, healthy=False), {"probe": "x", "wall_s": 1, "error": "blind"}, reading(2)]
    path = tmp_path / "readings.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)) + b'\n\n[1]\n{"probe": "torn", "wa')

    assert read_readings(path) == read_lines(path) == rows
    assert read_readings(tmp_path / "none.jsonl") == []


def test_a_quarter_of_an_hour_of_a_probe_is_a_few_megabytes(tmp_path: Path) -> None:
    """9,000 looks at six targets, of which one differs: the bound that the page on run directories states."""
    path = tmp_path / "readings.jsonl"
    path.write_bytes(b"".join(orjson.dumps(reading(n, healthy=n != 500)) + b"\n" for n in range(9_000)))

    tracemalloc.start()
    rows = read_readings(path)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(rows) == 9_000
    assert len({id(row["reading"]) for row in rows}) == 2
    assert kept < 5e6
