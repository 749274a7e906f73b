"""What recording every request costs: Locust with our recorder against Locust without it.

One Locust process (FastHttpUser, closed model, no wait) drives an Envoy that answers by itself. The recorder is
switched on and off every interval, in pairs of random order, so that both arms share the machine's noise. Goal: at
most 2 % more CPU a request (median of the pairs, at least 40 of them), upper end of its 95 % interval at most 4 %.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """The medians of both arms and of the pairs' ratios, with a 95 % interval (percentile bootstrap of pairs)."""

    pairs: int
    cpu_us_plain: float  # CPU µs a request
    cpu_us_recorded: float
    per_s_plain: float  # requests a second
    per_s_recorded: float
    cpu_ratio: float  # recorded / plain
    cpu_ratio_low: float
    cpu_ratio_high: float
    throughput_ratio: float
    throughput_ratio_low: float
    throughput_ratio_high: float


def measure(*, pairs: int, users: int, interval_s: float, seed: int) -> Overhead:
    """Run the comparison; one Envoy and one Locust process, about 2 x pairs x interval_s seconds."""
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
    return summarise(
        np.array([[pair["plain"]["cpu_us"], pair["recorded"]["cpu_us"]] for pair in rounds]),
        np.array([[pair["plain"]["per_s"], pair["recorded"]["per_s"]] for pair in rounds]),
        seed=seed,
    )


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


def table(result: Overhead) -> str:
    """The result for people."""
    met = result.cpu_ratio <= GOAL_MEDIAN and result.cpu_ratio_high <= GOAL_HIGH
    cpu = f"{result.cpu_ratio:.3f} ({result.cpu_ratio_low:.3f}…{result.cpu_ratio_high:.3f})"
    rate = f"{result.throughput_ratio:.3f} ({result.throughput_ratio_low:.3f}…{result.throughput_ratio_high:.3f})"
    return "\n".join(
        [
            f"{result.pairs} pairs               plain   recorded   ratio (95 % interval)",
            f"CPU µs a request      {result.cpu_us_plain:8.1f}   {result.cpu_us_recorded:8.1f}   {cpu}",
            f"requests a second     {result.per_s_plain:8.0f}   {result.per_s_recorded:8.0f}   {rate}",
            f"goal: median <= {GOAL_MEDIAN}, upper end <= {GOAL_HIGH}: {'met' if met else 'not met'}"
            + ("" if result.pairs >= 40 else " (fewer than 40 pairs: only a look)"),
        ]
    )


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
