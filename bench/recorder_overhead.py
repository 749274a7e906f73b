"""What recording every request costs: Locust with our recorder against Locust without it.

One Locust process (FastHttpUser, closed model, no wait) drives an Envoy that answers by itself. Three arms of an
interval each, in rounds of random order, so that all share the machine's noise:

plain     Locust as it comes, with its own statistics
recorded  our recorder in the place of those statistics, which nobody reads in a run: what a load worker does
beside    our recorder beside them: what the recorder would cost a Locust that keeps its own count too

Goal, of a load worker: at most 2 % more CPU a request than plain (median of at least 40 pairs), upper end of its 95 %
interval at most 4 %.

    python bench/recorder_overhead.py --pairs 40
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

GOAL_MEDIAN, GOAL_HIGH = 1.02, 1.04
RESAMPLES = 10_000
ARMS = ("recorded", "beside")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """The medians of both arms and of the pairs' ratios, with a 95 % interval (percentile bootstrap of pairs)."""

    pairs: int
    cpu_us_plain: float  # CPU µs a request
    cpu_us_recorded: float  # of the arm
    per_s_plain: float  # requests a second
    per_s_recorded: float
    cpu_ratio: float  # arm / plain
    cpu_ratio_low: float
    cpu_ratio_high: float
    throughput_ratio: float
    throughput_ratio_low: float
    throughput_ratio_high: float


def measure(*, pairs: int, users: int, interval_s: float, seed: int) -> dict[str, Overhead]:
    """Each arm against plain; one Envoy and one Locust process, about 3 x pairs x interval_s seconds."""
    from echo_envoy import echo_envoy

    with echo_envoy() as url, tempfile.TemporaryDirectory(prefix="stormproof-bench-") as folder:
        order = {"url": url, "folder": folder, "pairs": pairs, "users": users, "interval_s": interval_s, "seed": seed}
        child = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("recorder_child.py")), json.dumps(order)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
        )
    messages = [json.loads(line) for line in child.stdout.splitlines()]
    rounds = [message for message in messages if message["kind"] == "pair"]  # the others are aggregates
    assert len(rounds) == pairs
    return {
        arm: summarise(
            np.array([[one["plain"]["cpu_us"], one[arm]["cpu_us"]] for one in rounds]),
            np.array([[one["plain"]["per_s"], one[arm]["per_s"]] for one in rounds]),
            seed=seed,
        )
        for arm in ARMS
    }


def summarise(cpu_us: np.ndarray, per_s: np.ndarray, *, seed: int) -> Overhead:
    """Both arrays have one row a pair and the columns plain, recorded."""
    cpu, cpu_low, cpu_high = paired_ratio(cpu_us, seed=seed)
    rate, rate_low, rate_high = paired_ratio(per_s, seed=seed)
    return Overhead(
        pairs=len(cpu_us),
        cpu_us_plain=float(np.median(cpu_us[:, 0])),
        cpu_us_recorded=float(np.median(cpu_us[:, 1])),
        per_s_plain=float(np.median(per_s[:, 0])),
        per_s_recorded=float(np.median(per_s[:, 1])),
        cpu_ratio=cpu,
        cpu_ratio_low=cpu_low,
        cpu_ratio_high=cpu_high,
        throughput_ratio=rate,
        throughput_ratio_low=rate_low,
        throughput_ratio_high=rate_high,
    )


def paired_ratio(values: np.ndarray, *, seed: int) -> tuple[float, float, float]:
    """Median of second / first over the pairs, with the 95 % percentile bootstrap interval (pairs resampled)."""
    ratios = values[:, 1] / values[:, 0]
    picks = np.random.default_rng(seed).integers(0, len(ratios), size=(RESAMPLES, len(ratios)))
    low, high = np.quantile(np.median(ratios[picks], axis=1), [0.025, 0.975])
    return float(np.median(ratios)), float(low), float(high)


def table(results: dict[str, Overhead]) -> str:
    """The results for people."""
    lines = [f"{results['recorded'].pairs} pairs against plain        plain        arm   ratio (95 % interval)"]
    for arm, one in results.items():
        cpu = f"{one.cpu_ratio:.3f} ({one.cpu_ratio_low:.3f}…{one.cpu_ratio_high:.3f})"
        rate = f"{one.throughput_ratio:.3f} ({one.throughput_ratio_low:.3f}…{one.throughput_ratio_high:.3f})"
        lines.append(f"{arm:<9} CPU µs a request   {one.cpu_us_plain:8.1f}   {one.cpu_us_recorded:8.1f}   {cpu}")
        lines.append(f"{'':<9} requests a second  {one.per_s_plain:8.0f}   {one.per_s_recorded:8.0f}   {rate}")
    worker = results["recorded"]
    met = worker.cpu_ratio <= GOAL_MEDIAN and worker.cpu_ratio_high <= GOAL_HIGH
    few = "" if worker.pairs >= 40 else " (fewer than 40 pairs: only a look)"
    lines.append(f"goal: median <= {GOAL_MEDIAN}, upper end <= {GOAL_HIGH}: {'met' if met else 'not met'}{few}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU that our recorder adds to Locust, as a paired ratio")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds an arm")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(table(measure(pairs=options.pairs, users=options.users, interval_s=options.interval, seed=options.seed)))


if __name__ == "__main__":
    main()
