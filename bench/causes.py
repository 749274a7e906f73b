"""Which thresholds of a cause are right: how often one is named where there is none, and found where it was planted.

Counts are drawn as a refuted run would leave them (`analysis.cause.Evidence`), over four endpoints of unlike traffic
and three zones; then `find` is asked with several thresholds: `MOST` of the excess over steady,
`WORSE_FACTOR` times as bad as the rest, and more than `CHANCE_MAX` would explain.

- **none**: all requests are hit alike, by many failures or by few, with or without failures in steady, also where one
  endpoint has nearly all of the traffic: whatever is named is false.
- **planted**: an endpoint, a zone or an error has the failures, beside those that the rest has anyway; found, missed,
  or another one named.

    python bench/causes.py --runs 400
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from stormproof.analysis import cause
from stormproof.analysis.cause import COUNTS, KEY, Evidence, find

MASTER_SEED = 20_270_118
STEADY_S, FAULT_S, RATE_PER_S = 15.0, 20.0, 150
ENDPOINTS = {"/": 0.5, "/product": 0.25, "/cart": 0.15, "/price": 0.1}
ONE_ENDPOINT = {"/": 0.94, "/product": 0.03, "/cart": 0.02, "/price": 0.01}
ZONES = ("a", "b", "c")
ERRORS = ("timeout", "reset", "status 503")
# MOST, WORSE_FACTOR, CHANCE_MAX; first what is in force, then its neighbours.
IN_FORCE = (cause.MOST, cause.WORSE_FACTOR, cause.CHANCE_MAX)
TRIED = (IN_FORCE, (0.7, 3.0, 1.0), (0.6, 3.0, 0.01), (0.8, 3.0, 0.01), (0.9, 3.0, 0.01), (0.7, 1.5, 0.01))
COLUMNS = ("endpoint", "zone", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Who fails how often: in the fault, and (*base*) always."""

    name: str
    base: float = 0.0
    everywhere: float = 0.0
    at: dict[str, str] = field(default_factory=dict)  # a column → the value that fails more
    there: float = 0.0  # the chance of what *at* names, beside the others
    errors: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)
    traffic: dict[str, float] = field(default_factory=lambda: ENDPOINTS)

    @property
    def planted(self) -> dict[str, str]:
        """What may be named."""
        named = ERRORS[int(np.argmax(self.errors))] if max(self.errors) > 0.8 else None
        return self.at | ({"error": named} if named else {})


NONE = (
    Fault(name="a third fails", everywhere=0.33),
    Fault(name="5 % fail", everywhere=0.05),
    Fault(name="1 % fails", everywhere=0.01),
    Fault(name="0.3 % fail", everywhere=0.003),
    Fault(name="5 % fail, 1 % always", base=0.01, everywhere=0.05),
    Fault(name="1 % fails, 1 % always", base=0.01, everywhere=0.01),
    Fault(name="A/A: 1 % always", base=0.01),
    Fault(name="1 % fails, one endpoint has 94 %", everywhere=0.01, traffic=ONE_ENDPOINT),
)
PLANTED = (
    Fault(name="endpoint of 10 %, half fails", at={"endpoint": "/price"}, there=0.5),
    Fault(name="endpoint of 10 %, 5 % fail", at={"endpoint": "/price"}, there=0.05),
    Fault(name="endpoint of 50 %, 5 % fail", at={"endpoint": "/"}, there=0.05),
    Fault(name="endpoint of 15 %, a fifth; 1 % always", base=0.01, at={"endpoint": "/cart"}, there=0.2),
    Fault(name="endpoint of 15 %, a fifth; others 0.5 %", everywhere=0.005, at={"endpoint": "/cart"}, there=0.2),
    Fault(name="endpoint of 15 %, a fifth; others 1 %", everywhere=0.01, at={"endpoint": "/cart"}, there=0.2),
    Fault(name="zone, 5 % fail", at={"zone": "a"}, there=0.05),
    Fault(name="zone, 5 % fail; 1 % always", base=0.01, at={"zone": "a"}, there=0.05),
    Fault(name="zone, a fifth; others 2 %", everywhere=0.02, at={"zone": "a"}, there=0.2),
    Fault(name="error 90 %, 5 % fail", everywhere=0.05, errors=(0.9, 0.05, 0.05)),
)


def evidence(fault: Fault, rng: np.random.Generator) -> Evidence:
    """The counts of one run."""
    rows = []
    for endpoint, part in fault.traffic.items():
        for zone in ZONES:
            n, steady_n = (int(rng.poisson(RATE_PER_S * long * part / len(ZONES))) for long in (FAULT_S, STEADY_S))
            is_there = all({"endpoint": endpoint, "zone": zone}[column] == value for column, value in fault.at.items())
            chance = 1 - (1 - fault.base) * (1 - fault.everywhere) * (1 - fault.there * (is_there and bool(fault.at)))
            bad = rng.multinomial(int(rng.binomial(n, chance)), fault.errors)
            steady_bad = rng.multinomial(int(rng.binomial(steady_n, fault.base)), (1 / 3, 1 / 3, 1 / 3))
            rows.append((endpoint, zone, "", n - bad.sum(), 0, steady_n - steady_bad.sum(), 0))
            rows += [
                (endpoint, zone, error, *[count] * 2, *[before] * 2)
                for error, count, before in zip(ERRORS, bad.tolist(), steady_bad.tolist(), strict=True)
                if count or before
            ]
    cells = pd.DataFrame(rows, columns=[*KEY, *COUNTS])
    seconds = np.bincount(rng.integers(0, int(FAULT_S), int(cells["bad"].sum())), minlength=int(FAULT_S))
    worst = pd.DataFrame()
    return Evidence(start_s=0.0, end_s=FAULT_S, steady_s=STEADY_S, cells=cells, seconds=seconds, worst=worst)


def outcomes(fault: Fault, *, runs: int) -> dict[tuple[float, float, float], Counter[str]]:
    """Thresholds → how many of *runs* named something wrong, found what was planted, or neither."""
    counts: dict[tuple[float, float, float], Counter[str]] = {}
    number = [*NONE, *PLANTED].index(fault)
    for run in range(runs):
        found = evidence(fault, np.random.default_rng((MASTER_SEED, number, run)))
        if not found.cells["bad"].sum():
            continue
        for tried in TRIED:
            cause.MOST, cause.WORSE_FACTOR, cause.CHANCE_MAX = tried
            named = find(found)
            said = {one: value for one in COLUMNS if (value := getattr(named, one)) is not None}
            wrong = any(fault.planted.get(column) != value for column, value in said.items())
            hit = bool(fault.planted) and fault.planted.items() <= said.items()
            counts.setdefault(tried, Counter()).update(runs=1, wrong=wrong, hit=hit and not wrong)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description="thresholds of a cause: false ones, and planted ones found")
    parser.add_argument("--runs", type=int, default=400, help="of each fault")
    options = parser.parse_args()
    found = {fault.name: outcomes(fault, runs=options.runs) for fault in (*NONE, *PLANTED)}
    print(f"{options.runs} runs a fault; wrong: something was named that is no cause\n")
    print(f"| most, times as bad, chance | {' | '.join(', '.join(f'{x:g}' for x in one) for one in TRIED)} |")
    print(f"| --- | {' | '.join('---' for _ in TRIED)} |")
    for what, faults in (("wrong", NONE), ("hit", PLANTED), ("wrong", PLANTED)):
        for fault in faults:
            cells = [found[fault.name][pair] for pair in TRIED]
            shown = [f"{one[what] / max(one['runs'], 1):.1%}" for one in cells]
            print(f"| {what}: {fault.name} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
