"""Five claims on many samples: ours with intervals, general engines with point estimates alone, and the raw scan.

Each arm is a process of its own (start-up and imports are not counted, peak memory is), in rounds of random order over
the same Parquet parts: four workers' parts, row groups of 20,000 as the recorder writes them, rows in the order in
which requests ended. pandas, polars and duckdb compute availability, p50, p99 and throughput of both phases, exactly
and without an interval; duckdb and polars come with `pip install -e .[bench]`, and are left out where they are not.

    python bench/analysis_size.py --rows 10_000_000 --rounds 5
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PARTS = 4
PHASE_S = 60.0
START_S = 1_800_000_000.0
WINDOWS = {"steady": (START_S, START_S + PHASE_S), "fault": (START_S + PHASE_S, START_S + 2 * PHASE_S)}
CLAIMS = (
    "availability during fault >= 99.5%",
    "error rate during fault <= 2x steady",
    "p99 latency during fault <= 2x steady",
    "p50 latency during fault <= 30ms",
    "throughput during fault >= 0.9x steady",
)
COLUMNS = ["scheduled_at", "latency_ms", "ok"]
ARMS = ("scan", "ours", "ours, 1 thread", "pandas", "polars", "duckdb")


def write(folder: Path, rows: int) -> None:
    """Parts of all ten columns, a million rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from stormproof.record.samples import ROW_GROUP_ROWS, samples_schema

    rng = np.random.default_rng(7)
    each = rows // PARTS
    for part in range(PARTS):
        with pq.ParquetWriter(folder / f"part-{part}.parquet", samples_schema(), compression="zstd") as writer:
            for first in range(0, each, 1_000_000):
                at = np.arange(first, min(first + 1_000_000, each)) / each * 2 * PHASE_S
                latency_ms = np.exp(3 + 0.3 * rng.normal(size=len(at)))
                order = np.argsort(at + latency_ms / 1000)
                ok = rng.random(len(at)) > 0.002
                text = pa.array(np.asarray(["/", "/product", "/cart"], dtype=object)[np.arange(len(at)) % 3])
                words = pa.array([""]).dictionary_encode().take(pa.array(np.zeros(len(at), dtype=np.int32)))
                columns = [
                    pa.array(START_S + at[order]),
                    pa.array(START_S + at[order]),
                    pa.array(latency_ms[order].astype(np.float32)),
                    pa.array(latency_ms[order].astype(np.float32)),
                    pa.array(np.where(ok, 200, 503).astype(np.int16)),
                    pa.array(ok),
                    text.dictionary_encode(),
                    text.dictionary_encode(),
                    words,
                    pa.array(np.full(len(at), part, dtype=np.int16)),
                ]
                writer.write_table(
                    pa.Table.from_arrays(columns, schema=samples_schema()), row_group_size=ROW_GROUP_ROWS
                )


def scan(parts: list[Path]) -> object:
    """The same columns through the same reader, and nothing done with them."""
    from concurrent.futures import ThreadPoolExecutor

    import pyarrow.parquet as pq

    def read(path: Path) -> int:
        with pq.ParquetFile(path) as file:
            return sum(len(batch) for batch in file.iter_batches(batch_size=1 << 19, columns=COLUMNS))

    with ThreadPoolExecutor(max_workers=2) as pool:
        return sum(pool.map(read, parts))


def ours(parts: list[Path], *, threads: int = 2) -> object:
    """All of it: estimates, intervals, verdicts, reasons."""
    from stormproof.analysis.stream import observe
    from stormproof.spec.hypothesis import parse_hypothesis
    from stormproof.verdict.judge import judge_findings

    claims = [parse_hypothesis(text) for text in CLAIMS]
    found = judge_findings(observe(parts, WINDOWS, claims, threads=threads), claims)
    assert all(one.low is not None for one in found), found
    return [one.estimate for one in found]


def with_pandas(parts: list[Path]) -> object:
    import pandas as pd

    frame = pd.concat([pd.read_parquet(path, columns=COLUMNS) for path in parts], ignore_index=True)
    found = []
    for start_s, end_s in WINDOWS.values():
        phase = frame[(frame["scheduled_at"] >= start_s) & (frame["scheduled_at"] < end_s)]
        found += [phase["ok"].mean(), *phase["latency_ms"].quantile([0.5, 0.99]), phase["ok"].sum() / PHASE_S]
    return [float(one) for one in found]


def with_polars(parts: list[Path]) -> object:
    import polars as pl

    phases = [
        pl.scan_parquet([str(path) for path in parts])
        .filter(pl.col("scheduled_at").ge(start_s) & pl.col("scheduled_at").lt(end_s))
        .select(
            pl.col("ok").mean().alias("availability"),
            pl.col("latency_ms").quantile(0.5).alias("p50"),
            pl.col("latency_ms").quantile(0.99).alias("p99"),
            (pl.col("ok").sum() / PHASE_S).alias("throughput"),
        )
        for start_s, end_s in WINDOWS.values()
    ]
    return [one.row(0) for one in pl.collect_all(phases)]


def with_duckdb(parts: list[Path]) -> object:
    import duckdb

    edge_s = WINDOWS["fault"][0]
    query = f"""
        SELECT scheduled_at >= {edge_s} AS fault, avg(ok::INT), quantile_disc(latency_ms, [0.5, 0.99]),
               sum(ok::INT) / {PHASE_S}
        FROM read_parquet({[str(path) for path in parts]!r})
        WHERE scheduled_at >= {START_S} AND scheduled_at < {WINDOWS["fault"][1]} GROUP BY 1 ORDER BY 1"""
    with duckdb.connect(config={"threads": 2}) as connection:
        return connection.execute(query).fetchall()


def child(arm: str, folder: Path) -> None:
    """One arm, once, after its imports are warm; prints seconds, CPU seconds and peak MB."""
    parts = sorted(folder.glob("*.parquet"))
    run = {
        "scan": scan,
        "ours": ours,
        "ours, 1 thread": lambda paths: ours(paths, threads=1),
        "pandas": with_pandas,
        "polars": with_polars,
        "duckdb": with_duckdb,
    }[arm]
    tiny = folder / "tiny"
    run(sorted(tiny.glob("*.parquet")))
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    run(parts)
    seconds, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    status = Path("/proc/self/status").read_text()  # ru_maxrss would be that of whoever forked us, if larger
    peak_mb = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "peak_mb": peak_mb}))


def main() -> None:
    parser = argparse.ArgumentParser(description="five claims on many samples, by several engines")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arms", default=",".join(ARMS).replace(", 1", " 1"), help="comma separated")
    parser.add_argument("--child", nargs=2, metavar=("ARM", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]))
        return
    wanted = {one.replace(" 1", ", 1") for one in options.arms.split(",")}
    arms = [
        arm
        for arm in ARMS
        if arm in wanted and (arm not in {"polars", "duckdb"} or importlib.util.find_spec(arm) is not None)
    ]
    seen: dict[str, list[dict[str, float]]] = {arm: [] for arm in arms}
    with tempfile.TemporaryDirectory(prefix="stormproof-bench-") as name:
        folder = Path(name)
        (folder / "tiny").mkdir()
        write(folder, options.rows)
        write(folder / "tiny", 40_000)
        order = random.Random(1)
        for _ in range(options.rounds):
            for arm in order.sample(arms, len(arms)):
                command = [sys.executable, __file__, "--child", arm, name]
                seen[arm].append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    print(table(options.rows, seen))


def table(rows: int, seen: dict[str, list[dict[str, float]]]) -> str:
    """Medians, and multiples of the raw scan: of elapsed time, and of CPU time, which other processes disturb less."""
    medians = {
        arm: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for arm, runs in seen.items() if runs
    }
    base = medians.get("scan")
    lines = [
        f"{rows:,} rows, {len(next(iter(seen.values())))} rounds",
        "| engine | seconds | × scan | CPU s | × scan | peak MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for arm, one in medians.items():
        times, cpu = (f"{one[key] / base[key]:.1f}" if base else "" for key in ("seconds", "cpu_s"))
        lines.append(f"| {arm} | {one['seconds']:.2f} | {times} | {one['cpu_s']:.2f} | {cpu} | {one['peak_mb']:,.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
