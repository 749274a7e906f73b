"""How late one load worker sends: uniform arrivals at several rates, at an Envoy that answers by itself.

The worker is the real one (`stormproof.load.driver`), so this is what a run gets. Median of the repetitions.

What a rate asks of a machine is told beside a named peer in the same run: Locust's FastHttpUser as it comes, 32 users
that never wait, at the same Envoy. On the machine of the goal (p99 of at most 2 ms at 4,000 a second) the peer made
8,805 requests a second, so the goal is 45 % of the peer; `--shares` asks for such parts of what it makes here.

    python bench/arrival_lateness.py --rates 200 500 1000 2000 --shares 0.25 0.45 --seconds 10 --repeat 10
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import recorder_overhead
from echo_envoy import echo_envoy

from stormproof.load.driver import LoadDriver, LoadPlan
from stormproof.load.wire import WorkerTotals
from stormproof.model.experiment import Load
from stormproof.record.layout import RunDirectory

PEER_ROUNDS = 8
LOCUSTFILE = """
from locust import FastHttpUser, task


class Caller(FastHttpUser):
    @task
    def call(self):
        self.client.get("/", name="/")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """Medians over the repetitions at one rate."""

    rate_per_s: float
    repetitions: int
    sent_share: float  # sent / offered
    late_share: float  # later than 100 ms
    lateness_ms_p50: float
    lateness_ms_p99: float
    lateness_ms_max: float
    cpu_share: float  # of one core


def measure(*, rates_per_s: list[float], seconds: float, repeat: int) -> list[Lateness]:
    """One row a rate; repetitions go round the rates, so that a noisy minute hits all of them."""
    totals: dict[float, list[WorkerTotals]] = {rate: [] for rate in rates_per_s}
    with echo_envoy() as url, tempfile.TemporaryDirectory(prefix="stormproof-bench-") as folder:
        locustfile = Path(folder) / "load.py"
        locustfile.write_text(LOCUSTFILE)
        for repetition in range(repeat):
            for rate in rates_per_s:
                run = RunDirectory(Path(folder) / f"{rate:g}-{repetition}").create()
                totals[rate].append(_drive(run, str(locustfile), url, rate, seconds))
    return [_summarise(rate, rows) for rate, rows in totals.items()]


def _drive(run: RunDirectory, locustfile: str, url: str, rate_per_s: float, seconds: float) -> WorkerTotals:
    load = Load(locustfile=locustfile, arrivals_per_s=rate_per_s)
    driver = LoadDriver(LoadPlan(load=load, base_url=url, duration_s_max=seconds + 60, seed=1), run)
    try:
        start_s = driver.start()
        time.sleep(max(0.0, start_s + seconds - time.time()))
        (worker,) = driver.stop().workers
    finally:
        driver.kill()
    return worker


def _summarise(rate_per_s: float, rows: list[WorkerTotals]) -> Lateness:
    def median(name: str) -> float:
        return statistics.median(getattr(row, name) for row in rows)

    return Lateness(
        rate_per_s=rate_per_s,
        repetitions=len(rows),
        sent_share=statistics.median(row.sent / row.offered for row in rows),
        late_share=median("late_share"),
        lateness_ms_p50=median("lateness_ms_p50"),
        lateness_ms_p99=median("lateness_ms_p99"),
        lateness_ms_max=median("lateness_ms_max"),
        cpu_share=median("cpu_share"),
    )


def peer_per_s() -> float:
    """Requests a second of a plain FastHttpUser load of 32 users, here and now; about 25 s."""
    rounds = recorder_overhead.measure(pairs=PEER_ROUNDS, users=32, interval_s=1.0, seed=1)
    return rounds["recorded"].per_s_plain


def table(rows: list[Lateness], peer: float) -> str:
    """The result for people; *peer* in requests a second."""
    head = "arrivals/s  of peer    sent     late    p50 ms   p99 ms   max ms   CPU"
    lines = [
        f"{row.rate_per_s:10.0f}  {row.rate_per_s / peer:7.0%}  {row.sent_share:6.1%}  {row.late_share:6.2%}  "
        f"{row.lateness_ms_p50:7.2f}  {row.lateness_ms_p99:7.2f}  {row.lateness_ms_max:7.1f}  {row.cpu_share:4.0%}"
        for row in rows
    ]
    return "\n".join([head, *lines, f"median of {rows[0].repetitions}; the peer made {peer:.0f} requests a second"])


def main() -> None:
    parser = argparse.ArgumentParser(description="lateness of uniform arrivals from one worker")
    parser.add_argument("--rates", type=float, nargs="+", default=[200, 500, 1000, 2000, 4000])
    parser.add_argument("--shares", type=float, nargs="*", default=[0.25, 0.45], help="of what the peer makes")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeat", type=int, default=10)
    options = parser.parse_args()
    peer = peer_per_s()
    rates = sorted({*options.rates, *(round(share * peer) for share in options.shares)})
    print(table(measure(rates_per_s=rates, seconds=options.seconds, repeat=options.repeat), peer))


if __name__ == "__main__":
    main()
