"""The environment's CloudWatch metrics in each phase of a run, period by period.

``python -m stormprobes.cloudwatch_sli --run RUN_DIR`` reads which metrics there are, and as whom to ask, from
`environment.json`, and when each phase was from `events.jsonl`. Only periods that lie wholly within a phase count.
CloudWatch is late: what has not come is waited for. A period without data has no value, and so has its phase: a gap is
never 0.

Reading: ``{"slis": {name: {phase: {"low", "high", "mean": float | None, "periods": int, "missing": int, "reason"}}}}``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stormprobes._metric_points import Metric, metric_points
from stormprobes._run_record import read_rows

__all__ = ["cloudwatch_sli", "periods_within"]

PROBE = "cloudwatch_sli"
PHASES = ("steady", "fault", "recovery")
WAIT_S = 60.0  # for what CloudWatch has not yet; it says that most metrics come within a minute
_EVERY_S = 5.0


def cloudwatch_sli(
    sli: dict[str, Any],
    start_s: float,
    end_s: float,
    region: str,
    endpoint_url: str | None = None,
    profile: str | None = None,
    role_arn: str | None = None,
    external_id: str | None = None,
) -> dict[str, Any]:
    """*sli* in each whole period between *start_s* and *end_s* (Unix s), in the metric's own unit.

    *sli* has `namespace`, `metric`, `statistic`, and may have `dimensions` (name → value) and `period_s` (60). Raises
    `OSError` when CloudWatch does not answer or refuses.
    """
    period_s = int(sli.get("period_s") or 60)
    wanted = periods_within(start_s, end_s, period_s)
    if not wanted:
        return _row([], 0, f"no whole period of {period_s} s lies within {end_s - start_s:.0f} s")
    metric = Metric(
        namespace=sli["namespace"],
        name=sli["metric"],
        statistic=sli["statistic"],
        dimensions=sli.get("dimensions") or {},
        period_s=period_s,
    )
    window_s = (wanted[0], wanted[-1] + period_s)
    found = metric_points(metric, window_s, region, endpoint_url, (profile, role_arn, external_id))
    values = [found[at] for at in wanted if at in found]
    missing = len(wanted) - len(values)
    reason = f"no data for {missing} of {len(wanted)} periods of {sli['metric']}" if missing else ""
    return _row(values, missing, reason)


def periods_within(start_s: float, end_s: float, period_s: int) -> list[float]:
    """The beginnings of the whole periods between *start_s* and *end_s*; periods begin where CloudWatch's do."""
    first = math.ceil(start_s / period_s) * period_s
    return [float(at) for at in range(first, math.floor(end_s) - period_s + 1, period_s)]


def read_slis(run: Path, *, wait_s: float = WAIT_S) -> dict[str, Any]:
    """The reading of *run*, once nothing is missing or *wait_s* seconds are over."""
    environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    slis = (environment.get("cloud") or {}).get("slis") or []
    if not slis:
        raise ValueError(f"{run / 'environment.json'}: the environment has no SLIs")
    phases = _phases(read_rows(run / "events.jsonl"))
    keys = ("region", "endpoint_url", "profile", "role_arn", "external_id")
    identity = {key: environment["aws"].get(key) for key in keys}
    give_up_at = time.monotonic() + wait_s
    while True:
        found = {
            str(sli["name"]): {phase: cloudwatch_sli(sli, *window, **identity) for phase, window in phases.items()}
            for sli in slis
        }
        missing = sum(row["missing"] for by_phase in found.values() for row in by_phase.values())
        if not missing or time.monotonic() + _EVERY_S > give_up_at:
            return {"slis": found}
        time.sleep(_EVERY_S)


def _phases(events: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Phase → (start, end) in Unix s, as the conductor told them; a phase without an end is none."""
    starts = [(str(row["phase"]), float(row["at"])) for row in events if row.get("event") == "phase"]
    pairs = itertools.pairwise(starts)
    return {phase: (at, next_at) for (phase, at), (_, next_at) in pairs if phase in PHASES}


def _row(values: Sequence[float], missing: int, reason: str) -> dict[str, Any]:
    whole = bool(values) and not missing
    return {
        "low": min(values) if whole else None,
        "high": max(values) if whole else None,
        "mean": sum(values) / len(values) if whole else None,
        "periods": len(values) + missing,
        "missing": missing,
        "reason": reason,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the reading of one run directory as one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m stormprobes.cloudwatch_sli")
    parser.add_argument("--run", type=Path, required=True, help="a run directory")
    run = parser.parse_args(arguments).run
    try:
        value = read_slis(run)
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"{run}: {type(error).__name__}: {error}\n")
        return 65
    sys.stdout.write(json.dumps({"probe": PROBE, "value": value}, allow_nan=False) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
