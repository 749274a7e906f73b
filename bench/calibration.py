"""Calibration: how often the intervals contain the truth, and how often a true claim is refuted.

Seeded, resumable and safe to run many times at once: each chunk of runs has its own seed and its own file, written
whole; a chunk that is there is not made again. `--runs 100 --only drift` runs a small part.

    python bench/calibration.py --runs 2000
    python bench/calibration.py --report          # the tables from what is there, as Markdown
"""

from __future__ import annotations

import argparse
import json
import os
import random
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from calibration_report import report
from calibration_run import Cell, calibrate, compare
from calibration_world import Effect, World

MASTER_SEED = 20_270_115
CHUNK = 50  # runs a file
ROUND = 5  # chunks of a cell before the next cell's turn
WORLDS = (
    World(name="independent"),
    World(name="sparse", failed_share=0.0005),
    World(name="bursts", failed_share=0.001, burst_share=0.05, burst_failed=0.2, burst_level=0.5),
    World(name="drift", level_sd=0.1),
    World(name="strong-drift", level_sd=0.25),
    World(name="heavy", pareto=2.5),
    World(name="heaviest", pareto=1.5),
)
RATES_PER_S = (10, 100, 1000)
DURATIONS_S = (10, 30, 120, 600)
REQUESTS_MAX = 300_000  # of a window, unless --big: 1,000/s for 10 minutes takes half a second a run

# The worlds of the comparison fail so rarely that "availability >= 99.5 %" is true of them.
COMPARED_WORLDS = (
    World(name="independent", failed_share=0.001),
    World(name="no-errors", failed_share=0.0),
    World(name="bursts", failed_share=0.0, burst_share=0.02, burst_failed=0.1, burst_level=0.3),
    World(name="drift", failed_share=0.001, level_sd=0.1),
    World(name="heavy", failed_share=0.001, pareto=2.5),
)
EFFECTS = (
    Effect(),
    Effect(latency=1.1),
    Effect(latency=1.25),
    Effect(latency=1.5),
    Effect(latency=2.0),
    Effect(failed=0.002),
    Effect(failed=0.005),
    Effect(failed=0.01),
    Effect(failed=0.02),
    Effect(failed=0.05),
    Effect(outage_s=1.0),
    Effect(outage_s=2.0),
)


def coverage_cells(*, big: bool) -> list[Cell]:
    """The grid, cheap ones first; and a planted effect at one rate and length."""
    cells = [
        Cell(world=world, rate_per_s=rate, duration_s=duration)
        for world in WORLDS
        for rate in RATES_PER_S
        for duration in DURATIONS_S
        if big or rate * duration <= REQUESTS_MAX
    ]
    cells += [
        Cell(world=world, rate_per_s=100, duration_s=30, effect=Effect(latency=1.5, failed=0.01)) for world in WORLDS
    ]
    return sorted(cells, key=lambda cell: cell.rate_per_s * cell.duration_s)


def comparison_cells() -> list[Cell]:
    """A/A and planted regressions, 30 s at 150/s."""
    return [
        Cell(world=world, rate_per_s=150, duration_s=30, effect=effect)
        for world in COMPARED_WORLDS
        for effect in EFFECTS
    ]


def make(folder: Path, table: str, cells: list[Cell], one: Callable[..., Counter[str]], *, runs: int) -> None:
    """Every chunk that is not there yet, in an order of this process's own."""
    (folder / table).mkdir(parents=True, exist_ok=True)
    order = random.Random(os.getpid())
    chunks = range(-(-runs // CHUNK))
    # A little of every cell first: a suite that is cut short has said something about each.
    for start in range(0, len(chunks), ROUND):
        for cell in cells:
            todo = list(chunks[start : start + ROUND])
            order.shuffle(todo)
            for chunk in todo:
                path = folder / table / f"{cell.key}.{chunk:04d}.json"
                if not path.exists():
                    _make_chunk(path, table, cell, one, chunk)


def _make_chunk(path: Path, table: str, cell: Cell, one: Callable[..., Counter[str]], chunk: int) -> None:
    counts: Counter[str] = Counter()
    for run in range(CHUNK):
        seed = (MASTER_SEED, zlib.crc32(f"{table}/{cell.key}".encode()), chunk, run)
        counts.update(one(cell, np.random.default_rng(seed)))
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(counts, sort_keys=True))
    temporary.replace(path)


def gather(folder: Path, table: str, cells: list[Cell]) -> dict[Cell, Counter[str]]:
    """The counts of each cell, all its chunks added."""
    found = {}
    for cell in cells:
        counts: Counter[str] = Counter()
        for path in sorted((folder / table).glob(f"{cell.key}.[0-9]*.json")):
            counts.update(json.loads(path.read_text()))
        if counts["runs"]:
            found[cell] = counts
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="coverage, false alarms and power of the judge, on synthetic runs")
    parser.add_argument("--runs", type=int, default=2000, help="of each cell")
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--table", choices=("coverage", "comparison"), help="only this one")
    parser.add_argument("--big", action="store_true", help="windows of 600,000 requests too (hours)")
    parser.add_argument("--folder", type=Path, default=Path("build/calibration"), help="where chunks are kept")
    parser.add_argument("--report", action="store_true", help="run nothing")
    options = parser.parse_args()
    tables = {"coverage": (coverage_cells(big=options.big), calibrate), "comparison": (comparison_cells(), compare)}
    gathered = {}
    for table, (cells, one) in tables.items():
        if options.table in {None, table}:
            chosen = [cell for cell in cells if options.only in cell.key]
            if not options.report:
                make(options.folder, table, chosen, one, runs=options.runs)
            gathered[table] = gather(options.folder, table, chosen)
    print(report(gathered))


if __name__ == "__main__":
    main()
