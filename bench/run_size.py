"""A run directory of many samples, judged and reported: seconds, CPU seconds and peak memory of each command.

The samples are those of `analysis_size.py`: four workers' parts, two minutes, row groups of 20,000. Each command is a
process of its own, its start-up and imports included; its peak is `ru_maxrss` of it and of its children (with
`--cluster`: of the largest). To see that cost is linear, give several sizes.

    python bench/run_size.py --rows 1_000_000,10_000_000,30_000_000,100_000_000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STORMPROOF = str(Path(sys.executable).parent / "stormproof")
PHASE_S, END_S, START_S = 60.0, 120.0, 1_800_000_000.0
CLAIMS = (
    "availability during fault >= 99.5%",
    "error rate during fault <= 2x steady",
    "p99 latency during fault <= 2x steady",
    "mean latency during fault <= 1.1x steady",
    "throughput during fault >= 0.9x steady",
    "availability of /cart during fault >= 99.5%",
    "share of traffic of /cart during fault <= 40%",
    "time to recover <= 10s",
)
COMMANDS = {
    "analyse": ["analyse", "RUN", "--json"],  # leaves the verdict that a report needs
    "analyse --cluster": ["analyse", "RUN", "--cluster", "--json", "--out", "OUT"],
    "report": ["report", "RUN", "--out", "OUT"],
}


def write_run(folder: Path, rows: int, parts: Path | None) -> None:
    """A run of *rows* samples at *folder*; with *parts*, those, which must be so many."""
    from analysis_size import write

    for name in ("samples", "arrivals", "logs"):
        (folder / name).mkdir(parents=True)
    if parts is None:
        write(folder / "samples", rows)
    else:
        for path in parts.glob("*.parquet"):
            (folder / "samples" / path.name).hardlink_to(path)
    about = {"schema_version": 1, "run_id": "bench", "slug": "bench", "title": "Many samples", "simulated": True}
    (folder / "run.json").write_text(json.dumps(about))
    spec = {
        "title": "Many samples",
        "load": {"locustfile": "load.py", "arrivals": f"{round(rows / END_S)}/s"},
        "timeline": {"steady": "60s", "fault": "58s", "recovery": "2s"},
        "faults": [{"az-loss": {"zone": "a"}}],
        "hypotheses": list(CLAIMS),
    }
    (folder / "spec.yaml").write_text(json.dumps(spec))
    each = int(rows / END_S) - 8  # a row on the edge of a second may be due in the one before
    worker = {
        "worker": 0, "offered": rows, "sent": rows, "completed": rows, "rows": rows, "late_share": 0.0,
        "per_second": [[START_S + second, each, each] for second in range(int(END_S))],
    }  # fmt: skip
    fault = {"fault_id": "1", "kind": "az-loss"}
    events = [
        ("load.started", 0.0, {"model": "open", "warmup_s": 0.0}),
        ("fault.injecting", PHASE_S, fault),
        ("fault.injected", PHASE_S, fault),
        ("fault.felt", PHASE_S + 0.3, fault | {"last_ok_at": START_S + PHASE_S}),
        ("fault.undoing", END_S - 2.5, fault),
        ("fault.gone", END_S - 2, fault),
        ("phase", END_S, {"phase": "ended"}),
        ("load.stopped", END_S, {"workers": [worker]}),
        ("run.ended", END_S, {"undone": True}),
    ]
    lines = [{"event": name, "wall_s": START_S + at, "at": START_S + at, **more} for name, at, more in events]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def measure(command: list[str]) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak MB of *command* and its children."""
    begun = time.perf_counter()
    child = subprocess.Popen([STORMPROOF, *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode < 64, f"{command}: exit code {child.returncode}"
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="commands on a run directory of many samples")
    parser.add_argument("--rows", default="1_000_000,3_000_000,10_000_000,30_000_000", help="comma separated")
    parser.add_argument("--parts", type=Path, help="a folder with the parts of the one size given")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="comma separated")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:  # in a process of its own: what it imports must not count as the commands' memory
        write_run(options.write, int(options.rows), options.parts)
        return
    print("| command | rows | seconds | CPU s | CPU µs a row | peak MB |\n| --- | --- | --- | --- | --- | --- |")
    for rows in (int(one) for one in options.rows.split(",")):
        with tempfile.TemporaryDirectory(prefix="stormproof-bench-") as name:
            run, out = Path(name) / "run", Path(name) / "out"
            arguments = [f"--rows={rows}", f"--write={run}", *([f"--parts={options.parts}"] if options.parts else [])]
            subprocess.run([sys.executable, __file__, *arguments], check=True)
            for title in options.commands.split(","):
                places = {"RUN": str(run), "OUT": str(out)}
                seconds, cpu_s, peak_mb = measure([places.get(word, word) for word in COMMANDS[title]])
                each = f"{cpu_s / rows * 1e6:.2f}"
                print(f"| {title} | {rows:,} | {seconds:.1f} | {cpu_s:.1f} | {each} | {peak_mb:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
