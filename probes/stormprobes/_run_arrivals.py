"""What a Stormproof run directory says of time and of arrivals; read here so that neither package imports the other.

Only what is written down as an interface is read: `events.jsonl` (docs/reference/events.md) and the columns of
`arrivals/*.parquet` (docs/reference/samples.md).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["arrivals_of", "phases_of"]

Window = tuple[float, float]  # Unix s, half open
COLUMNS = ("client", "op", "attempt", "t_start_s", "t_end_s", "outcome", "retry_after_s", "canary")


def phases_of(run: Path) -> dict[str, Window]:
    """steady, fault and recovery as windows: the fault lasts from when it was last seen whole until it was again.

    As `stormproof.verdict.timeline` has them, which a test compares: of a fault that was not felt from its injection to
    its undo; to the end of load where it was never taken back. A phase that did not take place is left out. Raises
    `OSError` without the events, `ValueError` when the load never started or never ended.
    """
    rows = _events(run / "events.jsonl")
    started = next((row for row in rows if row["event"] == "load.started"), None)
    ends = [float(row["at"]) for row in rows if row["event"] in {"load.stopped", "phase"} and _is_end(row)]
    if started is None or not ends:
        raise ValueError(f"{run}: expected a load that started and ended, got events without")
    steady_s, end_s = float(started["at"]) + float(started.get("warmup_s") or 0.0), min(ends)
    onsets = [float(_first(row, "last_ok_at", "at")) for row in rows if row["event"] == "fault.felt"]
    begins = onsets or [float(_first(row, "at", "wall_s")) for row in rows if row["event"] == "fault.injecting"]
    begin_s = min([*begins, end_s])
    over_s = _over_s(rows, felt=bool(onsets))
    over_s = end_s if over_s is None else min(over_s, end_s)
    found = {"steady": (steady_s, begin_s), "fault": (begin_s, over_s), "recovery": (over_s, end_s)}
    return {phase: window for phase, window in found.items() if window[1] > window[0]}


def _over_s(rows: list[dict[str, Any]], *, felt: bool) -> float | None:
    """When the last fault was seen gone, or else undone; None when one of them was neither."""
    ends: dict[str, float | None] = {}
    for row in rows:
        name, fault_id = row["event"], str(row.get("fault_id"))
        if name == "fault.injecting":
            ends.setdefault(fault_id, None)
        elif name in {"fault.undoing", "fault.undone"} and ends.get(fault_id) is None:
            ends[fault_id] = float(_first(row, "at", "wall_s"))
    if felt:
        ends |= {str(row.get("fault_id")): float(row["at"]) for row in rows if row["event"] == "fault.gone"}
    known = [at for at in ends.values() if at is not None]
    return max(known) if known and len(known) == len(ends) else None


def arrivals_of(run: Path, dependency: str | None = None) -> dict[str, pd.DataFrame]:
    """Dependency → the workload's own arrivals at it, in the order of time; our own canaries are left out.

    Whole: which attempts are of one call, and how they lie in time, is not told part by part. Some 0.4 KB an arrival.
    Raises `ValueError` when there is no part, or none of *dependency*, or a part lacks a column.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    parts = {path.stem: path for path in sorted((run / "arrivals").glob("*.parquet"))}
    if not parts or (dependency is not None and dependency not in parts):
        wanted = f"arrivals at {dependency}" if dependency else "arrivals"
        raise ValueError(f"{run}: expected {wanted}, got parts of: {', '.join(parts) or 'none'}")
    chosen = parts if dependency is None else {dependency: parts[dependency]}
    frames = {}
    for name, path in chosen.items():
        there = pq.read_schema(path).names
        missing = [column for column in COLUMNS if column not in there]
        if missing:
            raise ValueError(f"{path}: expected a column {missing[0]!r}, got: {', '.join(there)}")
        frame = pd.read_parquet(path, columns=list(COLUMNS))
        own = frame[~frame["canary"].astype(bool)]
        frames[name] = own[list(COLUMNS)].sort_values("t_start_s", kind="stable", ignore_index=True)
    return frames


def _events(path: Path) -> list[dict[str, Any]]:
    """Whole lines only: the last one of a run that was killed may be torn."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and isinstance(row.get("event"), str):
            rows.append(row)
    return rows


def _is_end(row: Mapping[str, Any]) -> bool:
    return row["event"] == "load.stopped" or row.get("phase") == "ended"


def _first(row: Mapping[str, Any], *keys: str) -> Any:
    return next(row[key] for key in keys if row.get(key) is not None)
