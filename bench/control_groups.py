"""Claims beside a control group by header: false alarms where nothing differs, coverage, and what the plan promises.

A run is a steady and a fault window of one workload, of whose requests each is the control's by chance; all else the
groups share: bursts, drift, and a *shock* that makes the whole fault window slower. Judged by the public path.

- **A/A**: no effect, and the bound exactly at 1x: refuted and held at most 5 % each, the whole spec refuted at most
  2.5 %, and the truth covered in at least 93 %.
- **invalid**: claims as people make them (0.99x, 1.5x), no effect: how often a check of the control fails by chance.
- **shock**: both groups are 1.3 times slower in the fault: how often is `p50 <= 1.1x` steady refuted, and 1.1x control?
- **seen**: the effect that `stormproof plan` calls visible is planted in the faulted group, and nothing else fails, as
  the plan assumes: refuted four times in five?

    python bench/control_groups.py --runs 2000
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from calibration_run import START_S
from calibration_world import World, draw

from stormproof.analysis.measure import Observations, measure
from stormproof.analysis.population import observed
from stormproof.model.hypothesis import Hypothesis, Phase
from stormproof.model.verdict import Outcome
from stormproof.plan.power import by_chance, power_of
from stormproof.record.samples import CONTROL
from stormproof.spec.hypothesis import parse_hypothesis
from stormproof.verdict.control import control_checks
from stormproof.verdict.decision import decide
from stormproof.verdict.judge import judge_findings
from stormproof.verdict.recorded import Recorded
from stormproof.verdict.timeline import read_timeline

MASTER_SEED = 20_270_117
RATE_PER_S, STEADY_S, FAULT_S = 150, 15.0, 20.0
HEADER, ZONE = "x-stormproof-control", "c"
SHOCK = 1.3
WORLDS = (
    World(name="independent"),
    World(name="sparse", failed_share=0.0005),
    World(name="bursts", failed_share=0.001, burst_share=0.05, burst_failed=0.2, burst_level=0.5),
    World(name="drift", level_sd=0.1),
    World(name="strong-drift", level_sd=0.25),
    World(name="heavy", pareto=2.5),
)
SHARES = (0.2, 0.33)
WINDOWS = {"steady": (START_S, START_S + STEADY_S), "fault": (START_S + STEADY_S, START_S + STEADY_S + FAULT_S)}


def claims(*texts: str) -> tuple[Hypothesis, ...]:
    return tuple(one for text in texts if isinstance(one := parse_hypothesis(text, control_header=HEADER), Hypothesis))


AT_TRUTH = claims(
    "availability during fault >= 1x control",
    "error rate during fault <= 1x control",
    "p50 latency during fault <= 1x control",
    "p99 latency during fault <= 1x control",
    "mean latency during fault <= 1x control",
)
AS_MADE = claims("availability during fault >= 0.99x control", "p99 latency during fault <= 1.5x control")
MILD = claims("p50 latency during fault <= 1.1x steady", "p50 latency during fault <= 1.1x control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What the fault does to the group that it reaches, and what the fault window does to all."""

    latency: float = 1.0
    failed: float = 0.0
    shock: float = 1.0


def run_of(world: World, share: float, rng: np.random.Generator, effect: Effect = Effect()) -> Observations:
    """One run as the judge sees it."""
    steady = draw(world, rng, rate_per_s=RATE_PER_S, duration_s=STEADY_S)
    fault = draw(world, rng, rate_per_s=RATE_PER_S, duration_s=FAULT_S)
    n, n_steady = len(steady.ok) + len(fault.ok), len(steady.ok)
    control = rng.random(n) < share
    during = np.arange(n) >= n_steady
    hit = during & ~control
    latency_ms = np.concatenate((steady.latency_ms, fault.latency_ms)).astype(np.float64)
    latency_ms *= np.where(hit, effect.latency, 1.0) * np.where(during, effect.shock, 1.0)
    ok = np.concatenate((steady.ok, fault.ok)) & ~(hit & (rng.random(n) < effect.failed))
    at = START_S + np.concatenate((steady.offset_s, STEADY_S + fault.offset_s))
    one = pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), ["/"])
    samples = pd.DataFrame({
        "scheduled_at": at, "sent_at": at + 1e-4, "latency_ms": latency_ms, "ok": ok, "endpoint": one,
        "zone": pd.Categorical(np.where(control, ZONE, "a")), CONTROL: control,
    })  # fmt: skip
    return observed(samples, WINDOWS)


TIMELINE = replace(
    read_timeline([{"event": "load.started", "at": START_S, "control": {"share": 0.2, "zone": ZONE}}]), windows=WINDOWS
)


DELIVERED: Counter[tuple[object, ...]] = Counter(
    {("n", "fault", False): 800, ("n", "fault", True): 200, ("zone", True, ZONE): 1, ("zone", False, "a"): 1}
)


def one_run(world: World, share: float, rng: np.random.Generator) -> Counter[str]:
    counts: Counter[str] = Counter(runs=1)
    seen = run_of(world, share, rng)
    for claim in AT_TRUTH:
        estimate = measure(claim, seen)
        if estimate.low is None or estimate.high is None:
            continue
        outcome, name = decide(estimate, claim.op, claim.bound), claim.text.partition(" during")[0]
        counts[f"{name}|judged"] += 1
        counts[f"{name}|covered"] += int(estimate.low <= 1 <= estimate.high)
        counts[f"{name}|{outcome.value}"] += 1
    counts["family"] += any(one.outcome is Outcome.REFUTED for one in judge_findings(seen, AT_TRUTH))
    # What was delivered and routed is by construction here; what is left are the two comparisons.
    checks = control_checks(TIMELINE, Recorded(groups=DELIVERED), seen, AS_MADE)
    counts["invalid"] += any(not check.ok for check in checks)
    shocked = run_of(world, share, rng, Effect(shock=SHOCK))
    for claim in MILD:
        refuted = decide(measure(claim, shocked), claim.op, claim.bound) is Outcome.REFUTED
        counts[f"shock|{'control' if claim.is_beside_control else 'steady'}"] += refuted
    return counts


def seen_by_plan(world: World, share: float, *, runs: int) -> list[str]:
    """How often what the plan calls visible is refuted, claim by claim, judged in one spec."""
    cells, world = [], replace(world, failed_share=0.0, burst_failed=0.0)
    for claim in AS_MADE:
        power = power_of(
            claim, rate_per_s=RATE_PER_S, stretches_s={Phase.STEADY: STEADY_S, Phase.FAULT: FAULT_S},
            claims_by_chance=by_chance(AS_MADE), control_share=share,
        )  # fmt: skip
        if power.ratio_seen is None and power.share_seen is None:
            cells.append(power.warning or "not said")
            continue
        effect = Effect(latency=power.ratio_seen or 1.0, failed=power.share_seen or 0.0)
        refuted = 0
        for run in range(runs):
            rng = np.random.default_rng(
                (MASTER_SEED, 2, zlib.crc32(f"{world.name}/{share}/{claim.text}".encode()), run)
            )
            found = judge_findings(run_of(world, share, rng, effect), AS_MADE)
            refuted += found[AS_MADE.index(claim)].outcome is Outcome.REFUTED
        said = f"{power.ratio_seen:.3g}x" if power.ratio_seen else f"{power.share_seen or 0.0:.2%}"
        cells.append(f"{said}: {refuted / runs:.0%}")
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="false alarms, coverage and power of claims beside a control group")
    parser.add_argument("--runs", type=int, default=2000, help="of each world and share")
    parser.add_argument("--power-runs", type=int, default=300, help="of each planted effect")
    parser.add_argument("--only", default="", help="worlds whose name contains this")
    options = parser.parse_args(arguments)
    begun = time.perf_counter()
    names = [claim.text.partition(" during")[0] for claim in AT_TRUTH]
    print(f"{RATE_PER_S}/s, steady {STEADY_S:g} s, fault {FAULT_S:g} s, {options.runs} runs a row\n")
    print("| world | share | any refuted (≤ 2.5 %) | worst refuted / held at the truth | coverage, worst | invalid |"
          f" shock {SHOCK:g}x: steady / control | plan's availability | plan's p99 |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for world in [one for one in WORLDS if options.only in one.name]:
        for share in SHARES:
            counts: Counter[str] = Counter()
            for run in range(options.runs):
                seed = (MASTER_SEED, 1, zlib.crc32(f"{world.name}/{share}".encode()), run)
                counts.update(one_run(world, share, np.random.default_rng(seed)))
            runs = counts["runs"]
            judged = [name for name in names if counts[f"{name}|judged"]]
            worst = {
                what: max(counts[f"{name}|{what}"] / counts[f"{name}|judged"] for name in judged)
                for what in ("refuted", "held")
            }
            covered = min((counts[f"{name}|covered"] / counts[f"{name}|judged"], name) for name in judged)
            print(
                f"| {world.name} | {share:.0%} | {counts['family'] / runs:.2%}"
                f" | {worst['refuted']:.1%} / {worst['held']:.1%}"
                f" | {covered[0]:.1%} ({covered[1]}) | {counts['invalid'] / runs:.2%}"
                f" | {counts['shock|steady'] / runs:.0%} / {counts['shock|control'] / runs:.1%}"
                f" | {' | '.join(seen_by_plan(world, share, runs=options.power_runs))} |",
                flush=True,
            )
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
