"""How much of a run's wall time is not steady, fault or recovery: what a person waits for and learns nothing from.

Runs an experiment as a user would (a process, timed from outside), reads the phases from its verdict, and prints
where the rest went. Ratios, not absolutes: the machine is noisy.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
STORMPROOF = Path(sys.executable).with_name("stormproof")


def one_run(experiment: str, settings: list[str]) -> dict[str, float]:
    """Seconds of one run, by where they went."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.time()
        done = subprocess.run(
            [STORMPROOF, "run", ROOT / "experiments" / experiment, "--json", "--quiet", "--out", folder,
             *(argument for one in settings for argument in ("--set", one))],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        ended = time.time()
        document = json.loads(done.stdout)
        events = [json.loads(line) for line in (Path(document["run_dir"]) / "events.jsonl").read_text().splitlines()]
    return account(document["windows"], events, begun=begun, ended=ended)


def account(windows: dict[str, Any], events: list[dict[str, Any]], *, begun: float, ended: float) -> dict[str, float]:
    """The wall time split: the phases, and before, between and after them."""

    def at(name: str) -> float:
        return float(next(row["wall_s"] for row in events if row["event"] == name))

    phases = sum(end - start for start, end in windows.values())
    warmup = windows["steady"][0] - next(float(row["at"]) for row in events if row["event"] == "load.started")
    return {
        "wall": ended - begun,
        "phases": phases,
        "lab and plan": at("run.started") - begun,
        "load start": next(float(row["at"]) for row in events if row["event"] == "load.started") - at("run.started"),
        "warm-up": warmup,
        "drain and gather": at("run.ended") - windows["recovery"][1],
        "verdict and report": ended - at("run.ended"),
    }


def main() -> None:
    """Print the split, medians over the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--experiment", default="az-loss")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    chosen = parser.parse_args()
    rows = [one_run(chosen.experiment, chosen.settings) for _ in range(chosen.runs)]
    wall = median(row["wall"] for row in rows)
    print(f"{chosen.experiment}, {chosen.runs} runs, a lab of their own each, medians")
    for name in rows[0]:
        seconds = median(row[name] for row in rows)
        print(f"  {name:<20}{seconds:7.2f} s  {seconds / wall:6.1%}")
    shares = sorted(1 - row["phases"] / row["wall"] for row in rows)
    print(f"not steady, fault or recovery: {median(shares):.1%} of the wall time ({shares[0]:.1%} … {shares[-1]:.1%})")


if __name__ == "__main__":
    main()
