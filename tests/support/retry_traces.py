"""The recorded traces, their truth, and what counts as right: shared by the tests and by `bench/retry_traces.py`."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parents[1] / "data" / "retry-traces"
WITHIN = 0.15
CONFIDENT = 0.9
LABELS = ("family", "jitter", "attempts_max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One answer, held against the truth."""

    trace: str
    key: str
    expected: Any
    got: Any
    confidence: float
    is_right: bool


@functools.cache
def truth() -> dict[str, Any]:
    """Truth by trace."""
    found: dict[str, Any] = json.loads((FOLDER / "truth.json").read_text())
    return found


@functools.cache
def _all() -> dict[str, pd.DataFrame]:
    frame = pd.read_parquet(FOLDER / "traces.parquet")
    return {str(name): rows.reset_index(drop=True) for name, rows in frame.groupby("trace", observed=True)}


def names() -> list[str]:
    """Every trace."""
    return sorted(truth())


def trace(name: str) -> pd.DataFrame:
    """The arrivals of one trace."""
    rows = _all()[name]
    start_s = rows["start_10us"] / 1e5
    return pd.DataFrame(
        {
            "client": "c" + rows["client"].astype(str),
            "op": "op" + rows["op"].astype(str),
            "attempt": rows["attempt"],
            "t_start_s": start_s,
            "t_end_s": start_s + rows["lasted_10us"] / 1e5,
            "outcome": rows["outcome"],
            "retry_after_s": rows["retry_after_s"],
        }
    )


def some_calls(arrivals: pd.DataFrame, calls: int) -> pd.DataFrame:
    """The first *calls* calls of *arrivals*, in the order in which they came."""
    order = arrivals.sort_values("t_start_s")["op"].drop_duplicates()
    return arrivals[arrivals["op"].isin(order.iloc[:calls])]


def shifted(arrivals: pd.DataFrame, by_s: float) -> pd.DataFrame:
    """The same arrivals, *by_s* later."""
    return arrivals.assign(t_start_s=arrivals["t_start_s"] + by_s, t_end_s=arrivals["t_end_s"] + by_s)


def renamed(arrivals: pd.DataFrame) -> pd.DataFrame:
    """Clients and calls with names whose alphabetical order is another one."""
    return arrivals.assign(
        client=arrivals["client"].map(lambda n: f"{n[::-1]}z"), op=arrivals["op"].map(lambda n: f"{n[::-1]}?")
    )


def random_calls(arrivals: pd.DataFrame, keep: int, seed: int) -> pd.DataFrame:
    """*keep* calls of *arrivals*, drawn at random."""
    chosen = np.random.default_rng(seed).permutation(arrivals["op"].unique())[:keep]
    return arrivals[arrivals["op"].isin(chosen)]


def marks(name: str, reading: dict[str, Any]) -> list[Mark]:
    """Every answer in *reading* that the truth of trace *name* has a fair answer to."""
    entry = truth()[name]
    known, skip = entry["truth"], set(entry["truth"].get("do_not_score") or ())
    # Where every wait is the server's own Retry-After the client's back-off is not in the data: "other" is right.
    server_waits = known["retry_after"] == "honoured" and not known.get("ra_per_action")
    found = []

    def mark(key: str, expected: Any, right: bool) -> None:
        confidence = float(reading["confidence"][key])
        found.append(
            Mark(trace=name, key=key, expected=expected, got=reading[key], confidence=confidence, is_right=right)
        )

    abstains = {"other"} if server_waits else set()
    families = set(known.get("accept_family") or [known["family"]]) | abstains
    if "family" not in skip:
        mark("family", known["family"], reading["family"] in families)
    kind = str(known["jitter"])
    kinds = {"polly_v2": {"other", "decorrelated"}}.get(kind, {kind.partition("_")[0]}) | abstains
    if "jitter" not in skip:
        mark("jitter", kind, reading["jitter"] in kinds)
    if "attempts" not in skip:
        counts = {known["max_attempts"], entry["observed"]["attempts_max"]}
        mark("attempts_max", known["max_attempts"], reading["attempts_max"] in counts)
    if server_waits or not known["retries"]:
        return found
    for key, short in (("base_s", "base"), ("multiplier", "multiplier"), ("cap_s", "cap")):
        if short not in skip and _has(known, key, reading["attempts_max"]):
            got = reading[key]
            mark(key, known[key], got is not None and abs(got - known[key]) <= WITHIN * known[key])
    return found


def _has(known: dict[str, Any], key: str, attempts: int) -> bool:
    """Does the truth have a value of *key* that a wait shows?"""
    if not known[key] or (key == "multiplier" and known["family"] != "exponential"):
        return False
    if key != "cap_s":
        return True
    ends = [high for _, high in known["wait_bounds_s"][: max(0, attempts - 1)]]
    if len(ends) < 2 or ends[-2] == 0:
        return False
    grows = ends[-1] / ends[-2]
    return bool(
        ends[-1] >= 0.99 * known["cap_s"] and grows < 0.95 * (known["multiplier"] or 9.0) and known["family"] != "fixed"
    )
