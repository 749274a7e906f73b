"""What a load generator that is not at ease adds to p99, and whether the checks of a run see it.

The real worker at an Envoy that answers by itself, so all that is above the first row is the generator's own doing.
Its locustfile computes for a while on every request (*burn*, of one core), or holds the event loop up now and then
without using CPU (*stall*), as a disk or a machine without CPU to give does. *Own* is what the verdict takes for the
worker's own share of p99 (`analysis.own_lag`), beside what it was. Seeded; on a machine that does nothing else.

    python bench/load_validity.py --seconds 8
    python bench/load_validity.py --seconds 8 --after-ms 100 --only poisson
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from echo_envoy import echo_envoy

from stormproof.analysis.own_lag import LagFold, own_lag
from stormproof.load.driver import LoadDriver, LoadPlan
from stormproof.model.experiment import ArrivalProcess, Load
from stormproof.record.layout import RunDirectory
from stormproof.record.samples import read_samples
from stormproof.verdict.generator import CPU_SHARE_MAX, LOOP_LATE_SHARE_MAX, strain

if TYPE_CHECKING:
    import pandas as pd

RATE_PER_S = 200
SETTLE_S = 1.0
ANSWER_MS = 1.0  # what Envoy takes, on top of --after-ms
LOCUSTFILE = """
import json, pathlib, random, time
import gevent.monkey
from locust import FastHttpUser, task

ASKED = json.loads(pathlib.Path(__file__).with_name("asked.json").read_text())
sleep = gevent.monkey.get_original("time", "sleep")
draw = random.Random(ASKED["seed"])
due = [time.monotonic() + ASKED["every_s"] * draw.uniform(0.5, 1.5)]


class Caller(FastHttpUser):
    @task
    def call(self):
        until = time.thread_time() + ASKED["burn_ms"] / 1000
        while time.thread_time() < until:
            pass
        if ASKED["stall_ms"] and time.monotonic() > due[0]:
            due[0] = time.monotonic() + ASKED["every_s"] * draw.uniform(0.5, 1.5)
            sleep(ASKED["stall_ms"] / 1000)
        self.client.get("/", name="/")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unease:
    """What the locustfile does to its worker."""

    burn_share: float = 0.0  # of one core, beside what sending costs
    stall_ms: float = 0.0
    every_s: float = 1.0  # from one stall to the next, on average
    process: ArrivalProcess = ArrivalProcess.UNIFORM

    @property
    def name(self) -> str:
        if self.stall_ms:
            return f"stall {self.stall_ms:g} ms every {self.every_s:g} s"
        return f"burn {self.burn_share:.0%}, {self.process.value}"


UNEASE = (
    Unease(),
    *(Unease(burn_share=share) for share in (0.3, 0.5, 0.6, 0.7, 0.8)),
    *(Unease(burn_share=share, process=ArrivalProcess.POISSON) for share in (0.0, 0.5, 0.6, 0.7, 0.8)),
    Unease(stall_ms=60, every_s=0.5),
    Unease(stall_ms=120, every_s=2),
    Unease(stall_ms=150, every_s=1),
    Unease(stall_ms=250, every_s=4),
    Unease(stall_ms=250, every_s=2),
    Unease(stall_ms=400, every_s=4),
    Unease(stall_ms=600, every_s=8),
)


def one(folder: Path, url: str, unease: Unease, seconds: float, seed: int) -> dict[str, float]:
    """The worker's account and what it measured."""
    run = RunDirectory(folder / "run").create()
    locustfile = folder / "load.py"
    locustfile.write_text(LOCUSTFILE)
    asked = {
        "burn_ms": unease.burn_share * 1000 / RATE_PER_S, "stall_ms": unease.stall_ms, "every_s": unease.every_s,
        "seed": seed,
    }  # fmt: skip
    (folder / "asked.json").write_text(json.dumps(asked))
    load = Load(locustfile=str(locustfile), arrivals_per_s=RATE_PER_S, process=unease.process)
    driver = LoadDriver(LoadPlan(load=load, base_url=url, duration_s_max=seconds + 60, seed=seed), run)
    try:
        start_s = driver.start()
        time.sleep(max(0.0, start_s + seconds - time.time()))
        (worker,) = driver.stop().workers
    finally:
        driver.kill()
    window = (start_s + SETTLE_S, start_s + seconds)
    samples = read_samples(run)
    inside = samples[samples["scheduled_at"].between(*window)]
    cpu, late = strain([worker.as_dict()], window) or (float("nan"), float("nan"))
    p50, p90, p99 = np.quantile(inside["latency_ms"], [0.5, 0.9, 0.99])
    sent_late = float(np.mean(inside["sent_at"] - inside["scheduled_at"] > 0.1))
    own = p99 - np.quantile(without_own(samples, window, worker.loop_per_second or ())[inside.index], 0.99)
    return {
        "own": float(own),
        "cpu": cpu,
        "late": late,
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "sent_late": sent_late,
    }


def without_own(samples: pd.DataFrame, window: tuple[float, float], ticks: Any) -> pd.Series[float]:
    """The latencies less what the worker may have added, as the verdict reckons them."""
    fold = LagFold(start_s=window[0], end_s=window[1] + 10)
    sent = fold.empty()
    fold.note(sent, *(samples[name].to_numpy() for name in ("scheduled_at", "sent_at", "worker")))
    less: pd.Series[float] = own_lag(fold.start_s, sent, {0: ticks}).less_of(samples)["latency_ms"]
    return less


def main() -> None:
    parser = argparse.ArgumentParser(description="what an overloaded or stalled load worker adds to p99")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--after-ms", type=int, default=0, help="how long the target takes to answer")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    options = parser.parse_args()
    print(f"{RATE_PER_S}/s; the checks allow {CPU_SHARE_MAX:.0%} of a core and {LOOP_LATE_SHARE_MAX:.1%} late ticks\n")
    print(
        "| unease | CPU | ticks > 100 ms late | sent > 100 ms late | p50 ms | p90 ms | p99 ms | added ms | reckoned ms"
        " | all invalid |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with echo_envoy(after_ms=options.after_ms) as url:
        for unease in (one for one in UNEASE if options.only in one.name):
            for repetition in range(options.repeat):
                with tempfile.TemporaryDirectory(prefix="stormproof-bench-") as folder:
                    found = one(Path(folder), url, unease, options.seconds, options.seed + repetition)
                seen = found["cpu"] > CPU_SHARE_MAX or found["late"] > LOOP_LATE_SHARE_MAX
                print(
                    f"| {unease.name} | {found['cpu']:.0%} | {found['late']:.1%} | {found['sent_late']:.1%}"
                    f" | {found['p50']:.1f} | {found['p90']:.1f} | {found['p99']:.1f}"
                    f" | {found['p99'] - options.after_ms - ANSWER_MS:.1f} | {found['own']:.1f}"
                    f" | {'yes' if seen else ''} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
