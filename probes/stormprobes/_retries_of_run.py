"""The live mode of `retry_with_jitter`: what the clients that really called did, out of a run's arrivals.

Reading: ``{"dependencies": {name: {"fault": {…} | null, "overall": {…} | null, "amplification": {phase: {…}},
"arrivals": int, "clients": int, "reasons": {key: why null}}}}``; ``fault`` and ``overall`` are `identify_retries` of
the calls that began in the fault phase, and of all.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormprobes._amplification import amplification, calls_of
from stormprobes._run_arrivals import arrivals_of, phases_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["print_reading", "retries_of_run"]

PROBE = "retry_with_jitter"
BAD_INPUT = 65
Identify = Callable[["pd.DataFrame"], dict[str, Any]]


def retries_of_run(run: str, dependency: str | None = None) -> dict[str, Any]:
    """The reading of the run directory *run*, of one *dependency* or of all that have a part.

    Raises `OSError` or `ValueError` when the record cannot be read: no answer is not an answer.
    """
    from stormprobes.retry_with_jitter import identify_retries

    folder = Path(run)
    phases = phases_of(folder)
    found = arrivals_of(folder, dependency)
    return {"dependencies": {name: _reading(frame, phases, identify_retries) for name, frame in found.items()}}


def _reading(arrivals: pd.DataFrame, phases: dict[str, tuple[float, float]], identify: Identify) -> dict[str, Any]:
    reasons: dict[str, str] = {}
    overall = {"overall": (min(start for start, _ in phases.values()), max(end for _, end in phases.values()))}
    reading: dict[str, Any] = {
        "amplification": {phase: amplification(arrivals, window) for phase, window in {**phases, **overall}.items()},
        "arrivals": len(arrivals),
        "clients": int(arrivals["client"].nunique()),
        "reasons": reasons,
    }
    for name, window in {"fault": phases.get("fault"), **overall}.items():
        calls = arrivals.iloc[:0] if window is None else calls_of(arrivals, window)
        if window is None:
            reasons[name] = "there was no fault phase"
        elif calls.empty:
            reasons[name] = f"nobody called it{' in the fault phase' if name == 'fault' else ''}"
        reading[name] = None if name in reasons else _plain(identify(calls.drop(columns="canary")))
    return reading


def _plain(value: Any) -> Any:
    """JSON types only; a number that is none becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_reading(run: str, dependency: str | None) -> int:
    """Print ``{"probe", "value"}`` as JSON; 65 and one line when the record cannot be read."""
    try:
        value = retries_of_run(run, dependency)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    json.dump({"probe": PROBE, "value": value}, sys.stdout, allow_nan=False)
    sys.stdout.write("\n")
    return 0
