"""Whether instances answer late when they are called directly: calls of our own, over a cycle of being held back.

A single call says little of a process that runs for a part of the time: it may meet the part in which it does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from stormproof.faults.canary import Reply, ask
from stormproof.faults.protocol import Look, Seen

CALLS = 6  # of each instance, evenly over a cycle
SLOW_CALLS_MIN = 3  # as many late ones are no accident
WHOLE_SLOW_CALLS_MAX = 1  # one late answer happens on any busy machine
_PATIENCE = 2.0  # times what is slow: what takes longer is slow whatever becomes of it, and a look must come to an end


def look_for_slowness(urls: Sequence[str], *, cycle_s: float, slow_s: float) -> Look:
    """Broken when each instance answers half the calls after *slow_s* or later, whole when (nearly) none does."""
    begun = time.monotonic()

    def call(url: str, number: int) -> Reply:
        time.sleep(max(0.0, begun + number * cycle_s / CALLS - time.monotonic()))
        return ask(f"{url}/healthz", timeout_s=_PATIENCE * slow_s)

    with ThreadPoolExecutor(max_workers=CALLS * len(urls)) as pool:
        pending = {url: [pool.submit(call, url, number) for number in range(CALLS)] for url in urls}
        replies = {url: [one.result() for one in calls] for url, calls in pending.items()}
    slow = {url: sum(_is_slow(one, slow_s) for one in calls) for url, calls in replies.items()}
    evidence = {
        url: {"outcomes": sorted({one.failure or "answered" for one in calls}), "late": slow[url], "of": CALLS,
              "took_ms": [round(one.took_ms, 1) for one in calls]}
        for url, calls in replies.items()
    }  # fmt: skip
    return Look(seen=_judged(replies, slow), evidence={"called_directly": evidence, "late_from_ms": slow_s * 1000})


def _is_slow(reply: Reply, slow_s: float) -> bool:
    """Late, or not answered within our patience; one that is refused is not slow but gone."""
    return reply.failure == "no answer" or (not reply.failure and reply.took_ms >= slow_s * 1000)


def _judged(replies: dict[str, list[Reply]], slow: dict[str, int]) -> Seen:
    if all(count >= SLOW_CALLS_MIN for count in slow.values()):
        return Seen.BROKEN
    gone = any(one.failure not in ("", "no answer") for calls in replies.values() for one in calls)
    if not gone and all(count <= WHOLE_SLOW_CALLS_MAX for count in slow.values()):
        return Seen.WHOLE
    return Seen.PARTIAL
