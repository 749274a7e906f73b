"""The history as JSON: what `stormproof history --json` prints and the page is made of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from stormproof.history.drift import ClaimDrift, Drift, TrackDrift, drift_of
from stormproof.history.series import Night, Track, nights
from stormproof.history.wording import sentence

SCHEMA_VERSION = 1


def history_document(found: Sequence[Track], *, last: int) -> dict[str, Any]:
    """Each track with its last *last* runs and, a claim at a time, its last *last* nights; shares 0…1, ms, s."""
    return {"schema_version": SCHEMA_VERSION, "tracks": [_track(one, last) for one in found]}


def drift_document(found: Sequence[TrackDrift]) -> dict[str, Any]:
    """What moved: `tonight` is what is to be shouted, then everything, an experiment at a time."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tonight": [
            {"slug": one.track.slug, "environment": one.track.environment, "variant": one.track.variant or None}
            | {"name": name}
            | _drift(drift)
            for one in found
            for name, drift in one.tonight
        ],
        "tracks": [
            {
                "slug": one.track.slug,
                "environment": one.track.environment,
                "variant": one.track.variant or None,
                "conditions": one.track.conditions,
                "claims": [_watched(claim) for claim in one.claims],
                "measures": [_watched(measure) for measure in one.measures],
            }
            for one in found
        ],
    }


def _watched(one: ClaimDrift) -> dict[str, Any]:
    quarantine = None
    if one.flaky is not None:
        quarantine = {
            "nights": one.flaky.nights,
            "held": one.flaky.held,
            "flips": len(one.flaky.flips),
            "since": one.nights[one.flaky.flips[0]].day.isoformat(),
        }
    return {
        "name": one.name,
        "changes": [_drift(drift) for drift in one.drifts],
        "quarantine": quarantine,
        "out_tonight": one.out_tonight,
        "nights_missing": one.waiting,
    }


def _drift(one: Drift) -> dict[str, Any]:
    return {
        "since": one.since.isoformat(),
        "told": one.told.isoformat(),
        "before": one.before,
        "after": one.after,
        "unit": one.unit,
        "z": one.z,
        "worse": one.worse,
        "cause": one.cause.kind,
        "words": one.cause.words,
        "because": one.cause.because,
        "workload_version": one.release or None,
        "quarantined": one.quarantined,
        "sentence": sentence(one),
    }


def _track(track: Track, last: int) -> dict[str, Any]:
    drift = {one["name"]: one for one in drift_document([drift_of(track)])["tracks"][0]["claims"]}
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
            {
                "claim": claim,
                "nights": [_night(one) for one in nights(track.runs, claim)[-last:]],
                "changes": drift[claim]["changes"],
                "quarantine": drift[claim]["quarantine"],
            }
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
