"""Ending a fault early: how often a decision that may be taken at any time is false, and what it saves.

Each run is a fault phase that is looked at twice a second, as `stormproof run` does with `until: decided`. The evidence
is that of `stormproof.analysis.sequence`. A decision is false when it contradicts the truth at *any* look:

- **so far**: the truth is the mean chance of the window up to that look, given its bursts and levels, and the bound is
  exactly there at every look. This is what is guaranteed.
- **long run**: the bound is what the workload would come to for ever. A window with more, or fewer, bursts than most
  is decided for what it is; nothing here guarantees otherwise, and the table says how often.

    python bench/early_decision.py --runs 2000
"""

from __future__ import annotations

import argparse
import math
import zlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from calibration_world import BASE_MS, SLOT_S, Effect, Window, World, below, draw
from scipy import special

from stormproof.analysis.estimate import ALPHA_SIDE
from stormproof.analysis.sequence import evidence_against_at_least, evidence_against_at_most

MASTER_SEED = 20_270_116
RATE_PER_S, AT_MOST_S = 150, 60
LOOK_S, FIRST_LOOK_S = 0.5, 5.0
ENOUGH = -math.log(ALPHA_SIDE)
LOOKS = np.arange(round(FIRST_LOOK_S / LOOK_S), round(AT_MOST_S / LOOK_S) + 1)  # in half seconds
SIZES = np.rint(LOOKS * LOOK_S * RATE_PER_S).astype(np.int64)  # requests at each look
SLOTS = np.rint(LOOKS * LOOK_S / SLOT_S).astype(np.int64)
WORLDS = (
    World(name="independent"),
    World(name="sparse", failed_share=0.0005),
    World(name="bursts", failed_share=0.001, burst_share=0.05, burst_failed=0.2, burst_level=0.5),
    World(name="drift", level_sd=0.1),
    World(name="strong-drift", level_sd=0.25),
)
SAVED_AT = (0.0, 0.0005, 0.001, 0.002, 0.01, 0.02, 0.05, 0.33)  # true shares that fail, against a bound of 0.5 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """One share that a claim is about: who hits, and the truth at each look."""

    hit: np.ndarray
    so_far: np.ndarray  # mean chance up to each look
    long_run: float


def shares(world: World, window: Window, bound_log: float) -> dict[str, Hits]:
    """Requests that fail, and requests slower than the long run's p99."""
    in_burst = window.levels > 0 if world.burst_share else np.zeros(len(window.levels), dtype=bool)
    failing = np.where(in_burst, world.burst_failed, world.failed_share)
    slower = 1 - below(world, bound_log - window.levels)
    return {
        "failed": Hits(hit=~window.ok, so_far=_mean_so_far(failing), long_run=world.failed),
        "slower than p99": Hits(
            hit=window.latency_ms > BASE_MS * math.exp(bound_log), so_far=_mean_so_far(slower), long_run=0.01
        ),
    }


def false_decisions(hits: Hits) -> Counter[str]:
    """Whether one run is ever decided against the truth: of both truths, both ways; and by looking again and again."""
    k = np.cumsum(hits.hit)[SIZES - 1].astype(np.float64)
    n = SIZES.astype(np.float64)
    counts: Counter[str] = Counter(runs=1)
    for name, truth in (("so far", hits.so_far), ("long run", np.full(len(n), hits.long_run))):
        counts[f"{name}|held"] = int((evidence_against_at_least(k, n, truth) >= ENOUGH).any())
        counts[f"{name}|refuted"] = int((evidence_against_at_most(k, n, truth) >= ENOUGH).any())
    # Clopper–Pearson at every look, which is made for one: P(Bin(n, truth) <= k) and P(Bin(n, truth) >= k).
    counts["fixed|held"] = int((special.bdtr(k, SIZES, hits.so_far) <= ALPHA_SIDE).any())
    more = np.where(k > 0, special.bdtrc(np.maximum(k - 1, 0), SIZES, hits.so_far), 1.0)
    counts["fixed|refuted"] = int((more <= ALPHA_SIDE).any())
    return counts


def decided_after_s(rng: np.random.Generator, failed: float, *, bound: float = 0.005) -> float:
    """When `error rate <= bound` is decided if *failed* is the true share; the longest time when it is not."""
    hit = rng.random(RATE_PER_S * AT_MOST_S) < failed
    k, n, p = np.cumsum(hit)[SIZES - 1].astype(np.float64), SIZES.astype(np.float64), np.full(len(SIZES), bound)
    decided = (evidence_against_at_least(k, n, p) >= ENOUGH) | (evidence_against_at_most(k, n, p) >= ENOUGH)
    return float(LOOKS[np.argmax(decided)] * LOOK_S) if decided.any() else float(AT_MOST_S)


def long_run_p99(world: World) -> float:
    """The logarithm of p99 over the base latency, over all levels that the world goes through."""
    if world.burst_share:
        levels, weights = np.array([0.0, world.burst_level]), np.array([1 - world.burst_share, world.burst_share])
    else:
        levels = world.level_sd * special.ndtri((np.arange(2000) + 0.5) / 2000)
        weights = np.full(2000, 1 / 2000)
    low, high = -2.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float(weights @ below(world, middle - levels)) < 0.99 else (low, middle)
    return (low + high) / 2


def _mean_so_far(chances: np.ndarray) -> np.ndarray:
    return np.asarray((np.cumsum(chances) / np.arange(1, len(chances) + 1))[SLOTS - 1])


def main() -> None:
    parser = argparse.ArgumentParser(description="false decisions under continuous looking, and the time saved")
    parser.add_argument("--runs", type=int, default=2000, help="of each world, and of each true share")
    options = parser.parse_args()
    print(f"{RATE_PER_S}/s, {AT_MOST_S} s, a look every {LOOK_S} s from {FIRST_LOOK_S} s on, {options.runs} runs a row")
    print("\n| world | share that | so far: held / refuted | long run: held / refuted | looked at again and again |")
    print("| --- | --- | --- | --- | --- |")
    for world in WORLDS:
        bound_log = long_run_p99(world)
        counts: dict[str, Counter[str]] = {}
        for run in range(options.runs):
            rng = np.random.default_rng((MASTER_SEED, zlib.crc32(world.name.encode()), run))
            window = draw(world, rng, rate_per_s=RATE_PER_S, duration_s=AT_MOST_S, effect=Effect())
            for name, hits in shares(world, window, bound_log).items():
                counts.setdefault(name, Counter()).update(false_decisions(hits))
        for name, count in counts.items():
            cells = [
                f"{count[f'{truth}|held'] / count['runs']:.3f} / {count[f'{truth}|refuted'] / count['runs']:.3f}"
                for truth in ("so far", "long run", "fixed")
            ]
            print(f"| {world.name} | {name} | {' | '.join(cells)} |", flush=True)
    print("\n| true share that fails | decided after, median s | 90 % by, s | decided in 60 s |")
    print("| --- | --- | --- | --- |")
    for failed in SAVED_AT:
        rng = np.random.default_rng((MASTER_SEED, round(failed * 1e6)))
        taken = np.array([decided_after_s(rng, failed) for _ in range(options.runs)])
        done = np.mean(taken < AT_MOST_S)
        print(f"| {failed:.2%} | {np.median(taken):.1f} | {np.quantile(taken, 0.9):.1f} | {done:.1%} |", flush=True)


if __name__ == "__main__":
    main()
