"""One synthetic run, judged by the public path; what is counted of it.

`measure` and `judge_findings` are what `stormproof.judge` and `stormproof analyse` call; only the parsing of the claims
is done once, and the bound is put at the truth of each run.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from calibration_world import NONE, Effect, Window, World, draw
from kayenta_judge import is_high, per_second

from stormproof.analysis.estimate import Estimate
from stormproof.analysis.latency import quantile
from stormproof.analysis.measure import Observations, measure
from stormproof.analysis.proportion import share
from stormproof.analysis.ratio import ratio
from stormproof.model.hypothesis import Hypothesis
from stormproof.model.verdict import Outcome
from stormproof.spec.hypothesis import parse_hypothesis
from stormproof.verdict.decision import decide
from stormproof.verdict.judge import judge_findings

START_S = 1_800_000_000.0
ABSOLUTE = {
    "availability": parse_hypothesis("availability during fault >= 99%"),
    "p50": parse_hypothesis("p50 latency during fault <= 1s"),
    "p99": parse_hypothesis("p99 latency during fault <= 1s"),
    "mean": parse_hypothesis("mean latency during fault <= 1s"),
    "throughput": parse_hypothesis("throughput during fault >= 1/s"),
}
RELATIVE = {
    "availability x": parse_hypothesis("availability during fault >= 1x steady"),
    "error rate x": parse_hypothesis("error rate during fault <= 1x steady"),
    "p50 x": parse_hypothesis("p50 latency during fault <= 1x steady"),
    "p99 x": parse_hypothesis("p99 latency during fault <= 1x steady"),
    "mean x": parse_hypothesis("mean latency during fault <= 1x steady"),
    "throughput x": parse_hypothesis("throughput during fault >= 1x steady"),
}
# The specs of the comparison, and of the question how often a run in which all is true has a refuted claim.
FAMILY = ("availability", "availability x", "error rate x", "p50 x", "p99 x", "mean x")
COMPARED = (
    parse_hypothesis("availability during fault >= 99.5%"),
    parse_hypothesis("error rate during fault <= 1x steady"),
    parse_hypothesis("p50 latency during fault <= 1x steady"),
    parse_hypothesis("p99 latency during fault <= 1x steady"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind of run: both windows of one length."""

    world: World
    rate_per_s: float
    duration_s: float
    effect: Effect = NONE

    @property
    def key(self) -> str:
        """A name for files and seeds."""
        effect = "" if self.effect == NONE else f"-x{self.effect.latency:g}-f{self.effect.failed:g}"
        outage = f"-o{self.effect.outage_s:g}" if self.effect.outage_s else ""
        return f"{self.world.name}-{self.rate_per_s:g}ps-{self.duration_s:g}s{effect}{outage}"


def draw_run(cell: Cell, rng: np.random.Generator) -> tuple[Window, Window, Observations]:
    """A steady and a fault window after one another, as the judge sees them."""
    ask = {"rate_per_s": cell.rate_per_s, "duration_s": cell.duration_s}
    steady, fault = draw(cell.world, rng, **ask), draw(cell.world, rng, **ask, effect=cell.effect)
    n = len(steady.ok) + len(fault.ok)
    none = pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), ["/"])
    samples = pd.DataFrame(
        {
            "scheduled_at": START_S + np.concatenate((steady.offset_s, cell.duration_s + fault.offset_s)),
            "latency_ms": np.concatenate((steady.latency_ms, fault.latency_ms)),
            "ok": np.concatenate((steady.ok, fault.ok)),
            "endpoint": none,
            "zone": none,
        }
    )
    edge_s = START_S + cell.duration_s
    windows = {"steady": (START_S, edge_s), "fault": (edge_s, edge_s + cell.duration_s)}
    return steady, fault, Observations(samples=samples, windows=windows)


def claims_at_the_truth(cell: Cell, fault: Window) -> dict[str, Hypothesis]:
    """Every claim with its bound exactly where the truth of this run is."""
    good = 1 - cell.world.failed
    good_fault = good * (1 - cell.effect.failed)
    truths = {
        "availability": fault.availability,
        "p50": fault.quantile_ms(0.5),
        "p99": fault.quantile_ms(0.99),
        "mean": fault.mean_ms,
        "throughput": fault.throughput_per_s,
        "availability x": good_fault / good,
        "error rate x": (1 - good_fault) / (1 - good) if good < 1 else math.nan,
        "p50 x": cell.effect.latency,
        "p99 x": cell.effect.latency,
        "mean x": cell.effect.latency,
        "throughput x": good_fault / good,
    }
    claims = ABSOLUTE | RELATIVE
    return {name: replace(claims[name], bound=bound) for name, bound in truths.items() if math.isfinite(bound)}


def calibrate(cell: Cell, rng: np.random.Generator) -> Counter[str]:
    """Counts of one run: every claim at its truth, alone and together."""
    counts: Counter[str] = Counter(runs=1)
    _, fault, seen = draw_run(cell, rng)
    claims = claims_at_the_truth(cell, fault)
    for name, claim in claims.items():
        estimate = measure(claim, seen)
        counts.update({f"{name}|{what}": much for what, much in _counts_of(claim, estimate).items()})
        if estimate.low is not None and (alike := _independent(name, seen)) is not None:
            ours, theirs = _width(estimate), _width(alike)
            if math.isfinite(ours) and math.isfinite(theirs) and theirs > 0:
                counts.update({f"{name}|width": ours / theirs, f"{name}|widths": 1})
    family = [claims[name] for name in FAMILY if name in claims]
    outcomes = [finding.outcome for finding in judge_findings(seen, family)]
    counts["family|refuted"] += Outcome.REFUTED in outcomes
    return counts


def compare(cell: Cell, rng: np.random.Generator) -> Counter[str]:
    """Counts of one run: who raises an alarm, ours with one spec of four claims, Kayenta's on three series."""
    steady, fault, seen = draw_run(cell, rng)
    found = judge_findings(seen, COMPARED)
    before, after = (
        per_second(one.offset_s, one.latency_ms, one.ok, duration_s=cell.duration_s) for one in (steady, fault)
    )
    theirs = [is_high(before[name], after[name]) for name in before]
    return Counter(
        runs=1,
        ours=any(one.outcome is Outcome.REFUTED for one in found),
        held=all(one.outcome is Outcome.HELD for one in found),
        kayenta=any(theirs),
    )


def _counts_of(claim: Hypothesis, estimate: Estimate) -> dict[str, int]:
    if estimate.low is None or estimate.high is None:
        return {"none": 1}
    outcome = decide(estimate, claim.op, claim.bound)
    # A bound that was computed is known to a part in a million; constant values lie on it.
    slack = 1e-6 * abs(claim.bound)
    return {
        "judged": 1,
        "covered": int(estimate.low - slack <= claim.bound <= estimate.high + slack),
        "above": int(estimate.low - slack > claim.bound),
        "below": int(estimate.high + slack < claim.bound),
        "held": int(outcome is Outcome.HELD),
        "refuted": int(outcome is Outcome.REFUTED),
        "open": int(math.isinf(estimate.high)),
    }


def _independent(name: str, seen: Observations) -> Estimate | None:
    """What the interval would be if requests were independent: Clopper–Pearson, order statistics, and their ratio."""
    fault, steady = (seen.requests(seen.windows[phase]) for phase in ("fault", "steady"))
    match name:
        case "availability":
            return share(fault.n_ok, fault.n)
        case "availability x":
            return ratio(share(fault.n_ok, fault.n), share(steady.n_ok, steady.n))
        case "p50 x" | "p99 x":
            p = 0.5 if name == "p50 x" else 0.99
            return ratio(quantile(fault, p), quantile(steady, p))
    return None


def _width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low
