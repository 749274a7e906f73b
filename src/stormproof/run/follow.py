"""Reading a line file while others append to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson


@dataclass(slots=True)
class Follower:
    """Gives each whole line of *path* once, in order; a line still being written waits for the next call."""

    path: Path
    offset: int = 0

    def new_rows(self) -> list[dict[str, Any]]:
        """The rows that have been completed since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read()
        whole, newline, _ = data.rpartition(b"\n")
        if not newline:
            return []
        self.offset += len(whole) + 1
        rows = []
        for line in whole.split(b"\n"):
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue  # torn by a writer that died; the readers of the finished file pass over it too
            if isinstance(row, dict):
                rows.append(row)
        return rows
