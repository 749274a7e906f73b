"""Simulated nights of one experiment: four claims and what a run was made of, with a step or a weaker fault planted.

A claim's number is its level times the noise from night to night; its interval is that of a run. Nights count from 1.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stormproof.analysis.proportion import clopper_pearson
from stormproof.history.entry import FindingEntry, RunEntry
from stormproof.history.measure import FAULT, GENERATOR, LOAD, Measure
from stormproof.model.verdict import Outcome

FIRST = dt.datetime(2026, 9, 1, 2, 0, tzinfo=dt.UTC)
REQUESTS = 3000
P99, AVAILABILITY = "p99 latency during fault <= 300ms", "availability during fault >= 99.5%"
DETECT, RECOVER = "time to detect <= 3s", "time to recover <= 10s"
MET = "1-dependency-latency: calls that met it"
NOISES = ("normal", "heavy", "dependent")  # from night to night: normal, Student's t with 4, AR(1) with 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """What changes for good, or for some nights; nights from 1, *last* included."""

    first: int
    last: int = 10_000
    latency: float = 1.0  # times the p99
    failed: float = 1.0  # times the share of failures
    met: float = 1.0  # times the share of calls that meet the fault
    load: float = 1.0
    cpu: float = 1.0
    version: str = ""


def simulated(
    nights: int, *, seed: int, noise: str = "normal", sd: float = 0.05, planted: Sequence[Planted] = ()
) -> list[RunEntry]:
    """*nights* runs, a night each; *sd* is the noise of the logarithm of the p99 from night to night."""
    rng = np.random.default_rng(seed)
    moves = {name: _noise(noise, nights, rng) for name in ("p99", "failed", "detect", "load", "cpu", "met", "lasted")}
    return [
        _run(night, {name: float(series[night - 1]) for name, series in moves.items()}, sd, planted, rng)
        for night in range(1, nights + 1)
    ]


def _noise(kind: str, nights: int, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Of variance one."""
    if kind == "heavy":
        return rng.standard_t(4, size=nights) / math.sqrt(2)
    steps = rng.normal(size=nights)
    if kind == "dependent":
        for night in range(1, nights):
            steps[night] = 0.4 * steps[night - 1] + math.sqrt(1 - 0.4**2) * steps[night]
    return steps


def _run(
    night: int, move: dict[str, float], sd: float, planted: Sequence[Planted], rng: np.random.Generator
) -> RunEntry:
    now = [one for one in planted if one.first <= night <= one.last]
    times = {name: math.prod(getattr(one, name) for one in now) for name in ("latency", "failed", "met", "load", "cpu")}
    p99 = 120.0 * times["latency"] * math.exp(sd * move["p99"])
    failed = rng.binomial(REQUESTS, min(1.0, 0.0008 * times["failed"] * math.exp(0.3 * move["failed"])))
    low, high = clopper_pearson(REQUESTS - failed, REQUESTS)
    slow = 1.0 if rng.random() < 0.3 else 0.0
    detect = 0.15 * math.exp(0.25 * move["detect"])
    findings = (
        _finding(AVAILABILITY, ">=", 0.995, 1 - failed / REQUESTS, low, high, "share"),
        _finding(P99, "<=", 300.0, p99, p99 * 0.95, p99 * 1.06, "ms"),
        _finding(DETECT, "<=", 3.0, detect, max(0.0, detect - 0.12), detect, "s", n=1),
        _finding(RECOVER, "<=", 10.0, slow, max(0.0, slow - 1), slow + 1, "s", n=1),
    )
    measures = (
        Measure(kind=FAULT, name=MET, value=min(1.0, 0.9 * times["met"] + 0.01 * move["met"]), unit="share"),
        Measure(kind=FAULT, name="1-dependency-latency: in force", value=20 + 0.05 * move["lasted"], unit="s"),
        Measure(kind=GENERATOR, name="CPU of the busiest worker", unit="share",
                value=0.2 * times["cpu"] * math.exp(0.1 * move["cpu"])),
        Measure(kind=LOAD, name="requests sent in the fault phase", unit="/s",
                value=150 * times["load"] + 0.2 * move["load"]),
    )  # fmt: skip
    at = FIRST + dt.timedelta(days=night - 1)
    version = next((one.version for one in reversed(now) if one.version), "v1")
    return RunEntry(
        run_id=f"{at:%Y%m%dT%H%M%SZ}-slow-cart-{night:04x}", slug="slow-cart", title="The shop sells with a slow cart",
        environment="staging", variant="", simulated=True, conditions="c0ffee", started_at=at.timestamp(),
        ended_at=at.timestamp() + 60, verdict=Outcome.HELD, reasons=("All 4 claims held.",), workload_version=version,
        topology_digest="t1", experiment_commit="", verdict_sha256=f"{night:064x}",
        directory="slow-cart/simulated", findings=findings, measures=measures,
    )  # fmt: skip


def _finding(
    claim: str, op: str, bound: float, estimate: float, low: float, high: float, unit: str, *, n: int = REQUESTS
) -> FindingEntry:
    holds = (low >= bound, high < bound) if op == ">=" else (high <= bound, low > bound)
    verdict = Outcome.HELD if holds[0] else Outcome.REFUTED if holds[1] else Outcome.INCONCLUSIVE
    return FindingEntry(
        claim=claim, verdict=verdict, estimate=estimate, low=low, high=high, steady=None, n=n, unit=unit, op=op,
        bound=bound, method="simulated", reason="", found=None,
    )  # fmt: skip
