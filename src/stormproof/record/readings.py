"""`readings.jsonl` in memory: what was read again and again is kept once.

A probe looks about ten times a second and mostly sees what it saw before. A line costs some 0.4 KB then, 15 MB an hour
a probe, however many targets it saw; as plain objects it is six times that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson


def read_readings(path: Path) -> list[dict[str, Any]]:
    """Every whole JSON object of *path*, as `read_lines` has them; equal readings are one object, to be read only."""
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = []
    known: dict[bytes, Any] = {}
    names: dict[str, str] = {}
    with path.open("rb") as lines:
        for line in lines:
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:  # an empty line, or one that was torn by a crash or a full disk
                continue
            if not isinstance(row, dict):
                continue
            if "reading" in row:
                row["reading"] = known.setdefault(orjson.dumps(row["reading"]), row["reading"])
            if isinstance(row.get("probe"), str):
                row["probe"] = names.setdefault(row["probe"], row["probe"])
            rows.append(row)
    return rows
