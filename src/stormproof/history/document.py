"""The history as JSON: what `stormproof history --json` prints and the page is made of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from stormproof.history.series import Night, Track, nights

SCHEMA_VERSION = 1


def history_document(found: Sequence[Track], *, last: int) -> dict[str, Any]:
    """Each track with its last *last* runs and, a claim at a time, its last *last* nights; shares 0…1, ms, s."""
    return {"schema_version": SCHEMA_VERSION, "tracks": [_track(one, last) for one in found]}


def _track(track: Track, last: int) -> dict[str, Any]:
    return {
        "slug": track.slug,
        "title": track.title,
        "environment": track.environment,
        "variant": track.variant or None,
        "simulated": track.simulated,
        "conditions": track.conditions,
        "runs": [
            {
                "run_id": run.run_id,
                "started_at": instant(run.started_at),
                "verdict": str(run.verdict),
                "reasons": list(run.reasons),
                "workload_version": run.workload_version or None,
                "directory": run.directory,
            }
            for run in track.runs[-last:]
        ],
        "claims": [
            {"claim": claim, "nights": [_night(one) for one in nights(track.runs, claim)[-last:]]}
            for claim in track.claims
        ],
    }


def _night(night: Night) -> dict[str, Any]:
    row: dict[str, Any] = {"night": night.day.isoformat(), "run_id": night.run.run_id, "runs": night.runs}
    one = night.finding
    if one is None:
        return row | {"verdict": None, "run_verdict": str(night.run.verdict)}
    numbers = {name: getattr(one, name) for name in ("estimate", "low", "high", "n", "unit", "op", "bound", "found")}
    return row | {"verdict": str(one.verdict), "run_verdict": str(night.run.verdict)} | numbers


def instant(unix_s: float) -> str:
    """Unix seconds as ISO 8601 in UTC."""
    return dt.datetime.fromtimestamp(unix_s, dt.UTC).isoformat(timespec="seconds")
