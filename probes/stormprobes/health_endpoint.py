"""A live health endpoint: does it answer, how fast, and what would a balancer with given thresholds have said?

Reading: ``{"url", "looks", "watched_s", "ok", "ok_share", "answers": {status or failure: count}, "latency_ms": {"p50",
"p95", "max"}, "flips", "balancer": {"state", "changes": [{"after_s", "healthy"}], "healthy_share"}}``. Latencies are of
looks that were answered; None where none was. Only the host of *url* is called, and no redirect is followed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Sequence
from typing import Any

from stormprobes._health_watch import Look, look_at

__all__ = ["balancer_of", "health_endpoint", "summarised"]

COUNT_MAX = 10_000
DURATION_S_MAX = 3600.0


def health_endpoint(
    url: str,
    interval_s: float = 1.0,
    count: int = 10,
    timeout_s: float = 1.0,
    unhealthy_threshold: int = 3,
    healthy_threshold: int = 2,
) -> dict[str, Any]:
    """Ask *url* *count* times, a look every *interval_s* (later where one takes longer), and sum the looks up.

    Raises `ValueError` for a URL that is not HTTP, and for bounds that are none. No answer is a reading too.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"expected an http or https URL with a host, got {url!r}")
    if not 0 < count <= COUNT_MAX or interval_s <= 0 or timeout_s <= 0 or count * interval_s > DURATION_S_MAX:
        got = f"{count} every {interval_s:g} s, {timeout_s:g} s each"
        raise ValueError(f"expected 1 to {COUNT_MAX} looks within {DURATION_S_MAX:g} s, got {got}")
    if unhealthy_threshold < 1 or healthy_threshold < 1:
        raise ValueError("expected thresholds of at least 1")
    looks: list[Look] = []
    due, never = time.monotonic(), threading.Event()
    for _ in range(count):
        never.wait(max(0.0, due - time.monotonic()))
        looks.append(look_at(url, url, timeout_s=timeout_s))
        due = max(due + interval_s, time.monotonic())
    return summarised(url, looks, unhealthy_threshold=unhealthy_threshold, healthy_threshold=healthy_threshold)


def summarised(url: str, looks: Sequence[Look], *, unhealthy_threshold: int, healthy_threshold: int) -> dict[str, Any]:
    """The reading of *looks*, in the order of time, at least one."""
    good = [look.ok for look in looks]
    answered_ms = sorted((look.done_at - look.sent_at) * 1000 for look in looks if look.status)
    answers = Counter(str(look.status) if look.status else "no answer" for look in looks)
    return {
        "url": url,
        "looks": len(looks),
        "watched_s": round(looks[-1].done_at - looks[0].sent_at, 6),
        "ok": sum(good),
        "ok_share": sum(good) / len(looks),
        "answers": dict(sorted(answers.items())),
        "latency_ms": {
            "p50": _quantile(answered_ms, 0.5),
            "p95": _quantile(answered_ms, 0.95),
            "max": _quantile(answered_ms, 1.0),
        },
        "flips": sum(before is not after for before, after in itertools.pairwise(good)),
        "balancer": balancer_of(looks, unhealthy_threshold=unhealthy_threshold, healthy_threshold=healthy_threshold),
    }


def balancer_of(looks: Sequence[Look], *, unhealthy_threshold: int, healthy_threshold: int) -> dict[str, Any]:
    """What a balancer whose checks these looks are would have said; it begins by calling the target healthy.

    *healthy_share* is by time: each state lasts from the end of the look that decided it to the end of the record.
    """
    healthy, streak = True, 0
    changes: list[dict[str, Any]] = []
    start_s, end_s = looks[0].sent_at, looks[-1].done_at
    healthy_s, since_s = 0.0, start_s
    for look in looks:
        streak = streak + 1 if look.ok is not healthy else 0
        if streak >= (unhealthy_threshold if healthy else healthy_threshold):
            healthy_s += look.done_at - since_s if healthy else 0.0
            healthy, streak, since_s = not healthy, 0, look.done_at
            changes.append({"after_s": round(look.done_at - start_s, 6), "healthy": healthy})
    healthy_s += end_s - since_s if healthy else 0.0
    return {
        "state": "healthy" if healthy else "unhealthy",
        "changes": changes,
        "healthy_share": healthy_s / (end_s - start_s) if end_s > start_s else float(healthy),
    }


def _quantile(ordered: Sequence[float], p: float) -> float | None:
    """The smallest value with a share of *p* at or below it."""
    return round(ordered[math.ceil(len(ordered) * p) - 1], 3) if ordered else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the reading as one JSON document; 64 and one sentence for arguments that make no sense."""
    parser = argparse.ArgumentParser(prog="python -m stormprobes.health_endpoint")
    parser.add_argument("--url", required=True)
    parser.add_argument("--interval-s", type=float, default=1.0)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--timeout-s", type=float, default=1.0)
    parser.add_argument("--unhealthy", type=int, default=3)
    parser.add_argument("--healthy", type=int, default=2)
    asked = parser.parse_args(arguments)
    try:
        value = health_endpoint(
            asked.url, asked.interval_s, asked.count, asked.timeout_s, asked.unhealthy, asked.healthy
        )
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 64
    sys.stdout.write(json.dumps({"probe": "health_endpoint", "value": value}, allow_nan=False) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
