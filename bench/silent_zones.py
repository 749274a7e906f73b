"""When a zone counts as gone silent (`analysis.cause.SILENT_SHARE`): named where it is not, and missed where it is.

Counts of answers are drawn as a run would leave them, three zones that a balancer treats alike, but for a weight of its
own in each window (*uneven*); then it is asked which is silent, at several thresholds, with the test against chance and
without it.

- **false**: no zone went silent: nothing happened, one of a zone's two instances went (the zone answers three fifths of
  what it did), or the whole load fell.
- **missed**: a zone answered nothing for all, four fifths or two thirds of the window.

    python bench/silent_zones.py --runs 400
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stormproof.analysis import cause
from stormproof.analysis.cause import COUNTS, KEY, Evidence, silent_zone

MASTER_SEED = 20_270_119
ZONES = ("a", "b", "c")
# SILENT_SHARE, CHANCE_MAX; first what is in force
TRIED = ((cause.SILENT_SHARE, cause.CHANCE_MAX), *((share, 0.01) for share in (0.3, 0.5, 0.6)), (0.4, 3.0), (0.5, 3.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Answers a second of the endpoint or the whole, seconds of steady and fault, and how uneven the balancer is."""

    per_s: float
    steady_s: float = 15.0
    fault_s: float = 20.0
    uneven: float = 0.0  # coefficient of variation of a zone's weight in one window


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What zone a, and the load as a whole, answer in the fault, of what they did."""

    name: str
    is_silent: bool
    left: float = 1.0  # of zone a's answers; what it does not answer the others do
    load: float = 1.0


FAULTS = (
    Fault(name="nothing", is_silent=False),
    Fault(name="one of two instances", is_silent=False, left=0.6),
    Fault(name="load falls to 60 %", is_silent=False, load=0.6),
    Fault(name="all of the window", is_silent=True, left=0.0),
    Fault(name="four fifths of it", is_silent=True, left=0.2),
    Fault(name="two thirds of it", is_silent=True, left=1 / 3),
)
TRAFFIC = (
    *(Traffic(per_s=per_s) for per_s in (3, 15, 150)),
    Traffic(per_s=15, uneven=0.2),
    Traffic(per_s=150, uneven=0.2),
    Traffic(per_s=15, steady_s=5, fault_s=5),
)


def evidence(fault: Fault, traffic: Traffic, rng: np.random.Generator) -> Evidence:
    """Answers by zone; one in fifty fails, wherever it is."""
    spread = traffic.uneven or 1e-9
    weights = rng.gamma(1 / spread**2, spread**2, (2, len(ZONES)))
    before, during = weights / weights.sum(axis=1, keepdims=True)
    gone = during[0] * (1 - fault.left)
    during = np.concatenate([[during[0] - gone], during[1:] + gone / 2])
    rows = []
    for zone, was, now in zip(ZONES, before, during, strict=True):
        n = int(rng.poisson(traffic.per_s * traffic.fault_s * fault.load * now))
        steady_n = int(rng.poisson(traffic.per_s * traffic.steady_s * was))
        bad = int(rng.binomial(n, 0.02))
        rows += [("/", zone, "", n - bad, 0, steady_n, 0), ("/", zone, "status 503", bad, bad, 0, 0)]
    return Evidence(
        start_s=0.0,
        end_s=traffic.fault_s,
        steady_s=traffic.steady_s,
        cells=pd.DataFrame(rows, columns=[*KEY, *COUNTS]),
        seconds=np.ones(int(traffic.fault_s), dtype=np.int64),
        worst=pd.DataFrame(),
    )


def wrong_share(fault: Fault, traffic: Traffic, *, runs: int) -> list[float]:
    """For each of `TRIED`: how often a zone was said to be silent that is not, or the silent one was not named."""
    wrong: Counter[int] = Counter()
    for run in range(runs):
        rng = np.random.default_rng((MASTER_SEED, FAULTS.index(fault), TRAFFIC.index(traffic), run))
        found = evidence(fault, traffic, rng)
        for number, (cause.SILENT_SHARE, cause.CHANCE_MAX) in enumerate(TRIED):
            wrong[number] += silent_zone(found) != ("a" if fault.is_silent else None)
    return [wrong[number] / runs for number in range(len(TRIED))]


def main() -> None:
    parser = argparse.ArgumentParser(description="when a zone counts as silent: false ones, and silent ones missed")
    parser.add_argument("--runs", type=int, default=400, help="of each fault and traffic")
    options = parser.parse_args()
    begun = time.perf_counter()
    print(f"{options.runs} runs a cell; share of steady's rate, chance allowed (3: any)\n")
    print(f"| fault | answers | {' | '.join(f'{share:g}, {chance:g}' for share, chance in TRIED)} |")
    print(f"| --- | --- | {' | '.join('---' for _ in TRIED)} |")
    for fault in FAULTS:
        for traffic in TRAFFIC:
            said = f"{traffic.per_s:g}/s, {traffic.steady_s:g} + {traffic.fault_s:g} s"
            said += f", uneven {traffic.uneven:g}" if traffic.uneven else ""
            cells = [f"{one:.1%}" for one in wrong_share(fault, traffic, runs=options.runs)]
            kind = "missed" if fault.is_silent else "false"
            print(f"| {kind}: {fault.name} | {said} | {' | '.join(cells)} |", flush=True)
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
