"""What elbv2 says of each target over a stretch of time: every change of its opinion, and the looks that were blind.

Reading: ``{"from": str, "to": str, "looks": int, "blind": int, "targets": {target id: {"zone": str, "changes": [{"at":
str, "healthy": bool, "flags": [str]}]}}}``; the first of a target's changes is what it was at first. One that is not
registered (any more) has the flag "gone".
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

from stormprobes._instant import text
from stormprobes.elbv2_target_health import elbv2_target_health

__all__ = ["target_health_timeline"]

SECONDS_MAX = 3600.0
_GONE = {"healthy": False, "flags": ["gone"]}


def target_health_timeline(
    target_group_arn: str, region: str, seconds: float, every_s: float = 2.0, endpoint_url: str | None = None
) -> dict[str, Any]:
    """Look at *target_group_arn* every *every_s* seconds for *seconds*; a blind look is counted and looked again.

    Raises `OSError` when every look was blind: then there is no data at all; `ValueError` for a stretch out of bounds.
    """
    if not (0 < every_s <= seconds <= SECONDS_MAX):
        raise ValueError(f"expected 0 < every_s <= seconds <= {SECONDS_MAX:g}, got {every_s!r} and {seconds!r}")
    begun, give_up_at = dt.datetime.now(dt.UTC), time.monotonic() + seconds
    targets: dict[str, dict[str, Any]] = {}
    looks = blind = 0
    while True:
        looks += 1
        try:
            _note(targets, elbv2_target_health(target_group_arn, region, endpoint_url)["targets"])
        except (OSError, ValueError) as error:
            blind += 1
            why = error
        if time.monotonic() + every_s > give_up_at:
            break
        time.sleep(every_s)
    if blind == looks:
        raise OSError(f"no data: {looks} looks at {target_group_arn}, each of them blind: {why}")
    over = dt.datetime.now(dt.UTC)
    return {"from": text(begun), "to": text(over), "looks": looks, "blind": blind, "targets": targets}


def _note(targets: dict[str, dict[str, Any]], seen: dict[str, Any]) -> None:
    now = text(dt.datetime.now(dt.UTC))
    for name in {*targets, *seen}:
        one = seen.get(name, _GONE)
        state = {"healthy": one["healthy"], "flags": one["flags"]}
        kept = targets.setdefault(name, {"zone": one.get("zone", ""), "changes": []})["changes"]
        if not kept or {"healthy": kept[-1]["healthy"], "flags": kept[-1]["flags"]} != state:
            kept.append({"at": now, **state})
