"""The table of "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015) made again: who waits how, at what cost.

Contending clients each update one row once, by optimistic concurrency: read the version, write with it, and when
somebody else was faster, wait and start again. Every message takes |N(10, 2)| ms; base 5 ms, cap 2 s; the n-th
failure waits, with v = min(cap, base · 2ⁿ):

=============  =====================================================
none           0
exponential    v
full           U(0, v)
equal          v/2 + U(0, v/2)
decorrelated   s = min(cap, U(base, 3 · s)), s₀ = base
=============  =====================================================

Simulated time, no processes and no clock: the same seed gives the same table on any machine. Per kind and number of
clients the medians over the trials: how long until all were through, and how many writes that took. Exit code 0 only
when each is as near to the reference figures (100 clients, the same model) as TIME_OFF_MAX and WRITES_OFF_MAX say.

    python bench/backoff_table.py --trials 100 --seed 1
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BASE_MS, CAP_MS = 5.0, 2000.0
MESSAGE_MS_MEAN, MESSAGE_MS_SD = 10.0, 2.0
# Medians at 100 clients: time in ms, writes. Plain exponential waits are by far the slowest and have the widest spread.
REFERENCE = {
    "none": (2045, 2416),
    "exponential": (62071, 1808),
    "full": (5138, 794),
    "equal": (6621, 812),
    "decorrelated": (4033, 1008),
}
REFERENCE_CLIENTS = 100
# Shares. Time is that of the last of a hundred clients: from trial to trial it differs by 11 to 15 %, and how many
# trials the reference is the median of is not known.
TIME_OFF_MAX, WRITES_OFF_MAX = 0.15, 0.05

Waits = Iterator[float]  # before each retry, ms, without an end


def exponential(failure: int) -> float:
    """The ceiling of the wait after the *failure*-th failure, ms."""
    return float(min(CAP_MS, BASE_MS * 2 ** min(failure, 32)))


def none(_: random.Random) -> Waits:
    """At once."""
    while True:
        yield 0.0


def plain(_: random.Random) -> Waits:
    """The ceiling itself: who failed together comes back together."""
    failure = 0
    while True:
        failure += 1
        yield exponential(failure)


def full(rng: random.Random) -> Waits:
    """Anything up to the ceiling."""
    failure = 0
    while True:
        failure += 1
        yield rng.uniform(0.0, exponential(failure))


def equal(rng: random.Random) -> Waits:
    """Half of the ceiling, and anything up to the other half."""
    failure = 0
    while True:
        failure += 1
        half = exponential(failure) / 2
        yield half + rng.uniform(0.0, half)


def decorrelated(rng: random.Random) -> Waits:
    """Up to three times the wait before."""
    sleep = BASE_MS
    while True:
        sleep = min(CAP_MS, rng.uniform(BASE_MS, sleep * 3))
        yield sleep


KINDS: dict[str, Callable[[random.Random], Waits]] = {
    "none": none,
    "exponential": plain,
    "full": full,
    "equal": equal,
    "decorrelated": decorrelated,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contention:
    """What became of one crowd of clients."""

    took_ms: float
    writes: int


def contend(clients: int, waits: Callable[[random.Random], Waits], rng: random.Random) -> Contention:
    """*clients* that want to update one row at once, until each has."""

    def message_ms() -> float:
        return abs(rng.normalvariate(MESSAGE_MS_MEAN, MESSAGE_MS_SD))

    pauses = [waits(rng) for _ in range(clients)]
    version = writes = 0
    # What arrives when: (instant, client, version it writes with); None asks for the version.
    due: list[tuple[float, int, int | None]] = [(message_ms(), client, None) for client in range(clients)]
    heapq.heapify(due)
    end_ms = 0.0
    while due:
        now, client, written = heapq.heappop(due)
        if written is None:
            heapq.heappush(due, (now + message_ms() + message_ms(), client, version))
            continue
        writes += 1
        back_ms = now + message_ms()  # the answer
        if written == version:
            version += 1
            end_ms = back_ms
            continue
        heapq.heappush(due, (back_ms + message_ms() + next(pauses[client]), client, None))
    return Contention(took_ms=end_ms, writes=writes)


def medians(clients: int, kind: str, *, trials: int, seed: int) -> tuple[float, float]:
    """Time in ms and writes, each the median over *trials*."""
    runs = [contend(clients, KINDS[kind], random.Random(f"{seed} {kind} {clients} {trial}")) for trial in range(trials)]
    return statistics.median(run.took_ms for run in runs), statistics.median(run.writes for run in runs)


def off_by(found: tuple[float, float], kind: str) -> tuple[float, float]:
    """How far time and writes are from the reference, as shares of it."""
    time_ms, writes = REFERENCE[kind]
    return found[0] / time_ms - 1, found[1] / writes - 1


def main() -> int:
    """Print the table; 1 when a figure is not the reference's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 20, 50, REFERENCE_CLIENTS])
    chosen = parser.parse_args()
    started, wrong = time.monotonic(), 0
    print(f"{'clients':>7}  {'back-off':<13}{'time ms':>9}{'writes':>8}   reference")
    for clients in chosen.clients:
        for kind in KINDS:
            found = medians(clients, kind, trials=chosen.trials, seed=chosen.seed)
            beside = ""
            if clients == REFERENCE_CLIENTS:
                time_off, writes_off = off_by(found, kind)
                wrong += abs(time_off) > TIME_OFF_MAX or abs(writes_off) > WRITES_OFF_MAX
                beside = "{:>9,}{:>8,}".format(*REFERENCE[kind]) + f"   {time_off:+.1%}, {writes_off:+.1%}"
            print(f"{clients:>7}  {kind:<13}{found[0]:>9,.0f}{found[1]:>8,.0f}{beside}")
    print(f"{chosen.trials} trials each, seed {chosen.seed}, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
