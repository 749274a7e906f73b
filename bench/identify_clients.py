"""Does the retry probe tell real clients apart, live? Ten trials with each shop, and botocore as it is installed.

In a lab of its own, for each trial: break a dependency through its proxy, let the clients run into it for some seconds,
put it back, and identify them from nothing but what arrived in that time.

- `cart` answers 503: the naive shop retries by hand, at once; the hardened one through botocore, once.
- `stock` answers 503: the naive shop retries every 0.2 s; the hardened one with full jitter, and a budget.
  Each trial begins with as many successes as a budget needs to be full again.
- `cart` throttled: a fleet of boto3 clients with botocore's own `standard` retries and nothing set. What they must be
  found to do is read from the installed botocore, which changes it from version to version.

Exit code 0 only when every trial came out right and no wrong answer had a confidence of 0.9 or more.

    python bench/identify_clients.py --trials 10
    python bench/identify_clients.py --only botocore --keep /tmp/arrivals   # what arrived, a Parquet file a trial
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore
import pandas as pd
from botocore.retries import standard

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from stormprobes.retry_with_jitter import identify_retries
from stormproof.faults import dependency_error, throttling
from stormproof.faults.direct import open_direct
from stormproof.faults.protocol import Fault
from stormproof.lab.cart import read_table
from stormproof.record.arrivals import parse_line
from support.lab import RunningLab, running_lab

SURE = 0.9
TRIAL_S = 5.0
# Before each trial. Of stock a budget of 16 retries a process has to fill, by a tenth of one a success: 960 successes
# for six processes, four a page; faster pages would be more than stock can serve.
REFILL_S = {"cart": 6.0, "stock": 20.0}
LOG_FLUSH_S = 1.0  # Envoy writes its log every 200 ms
PAGES_PER_S = 12
FLEET, CALLS_EACH = 24, 5
WITHIN = 0.15  # of the base


@contextlib.contextmanager
def broken(fault: Fault) -> Iterator[None]:
    """The dependency, broken until the block ends."""
    fault.identify()
    prior = fault.prior()
    fault.act()
    try:
        yield
    finally:
        fault.revert(prior)


def arrivals_during(lab: RunningLab, dependency: str, drive: Callable[[], None], fault: Fault) -> pd.DataFrame:
    """What arrived at *dependency* while it was broken and *drive* ran."""
    log = Path(str(lab.environment.dependencies[dependency].access_log))
    start = log.stat().st_size if log.exists() else 0
    with broken(fault):
        drive()
    deadline = time.monotonic() + LOG_FLUSH_S
    while time.monotonic() < deadline:  # the last lines are still on their way
        time.sleep(0.05)
    with log.open("rb") as file:
        file.seek(start)
        rows = [row for line in file if (row := parse_line(line, dependency)) is not None and not row["canary"]]
    return pd.DataFrame(rows)


def pages(lab: RunningLab, path: Callable[[], str], *, seconds: float) -> Callable[[], None]:
    """A driver: a page every 1/PAGES_PER_S seconds, each in a thread, as customers do not wait for each other."""

    def ask() -> None:
        url = f"{lab.environment.base_url}{path()}"
        with contextlib.suppress(urllib.error.URLError, OSError), open_direct(url, timeout_s=20) as answer:
            answer.read()  # an error page is what is expected

    def drive() -> None:
        threads = []
        started = time.monotonic()
        for number in range(int(seconds * PAGES_PER_S)):
            time.sleep(max(0.0, started + number / PAGES_PER_S - time.monotonic()))
            threads.append(threading.Thread(target=ask, daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join(timeout=20)

    return drive


def fleet(lab: RunningLab) -> Callable[[], None]:
    """A driver: boto3 clients of the cart's table with botocore's own retries, each with an identity."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    def call(number: int) -> None:
        client = boto3.client(
            "dynamodb",
            region_name=lab.environment.aws.region,
            endpoint_url=lab.environment.dependencies["cart"].url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(proxies={}, user_agent_appid=f"fleet-{number}", retries={"mode": "standard"}),
        )
        for _ in range(CALLS_EACH):
            with contextlib.suppress(ClientError):  # given up, as it should
                read_table(client, f"c{number}")

    def drive() -> None:
        threads = [threading.Thread(target=call, args=(number,), daemon=True) for number in range(FLEET)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)

    return drive


def expected_of_botocore() -> tuple[int, float]:
    """Attempts at most, and the ceiling of the first wait in seconds, of a throttled DynamoDB call, as installed."""
    most = standard._SERVICE_MAX_ATTEMPTS.get("dynamodb", standard.DEFAULT_MAX_ATTEMPTS)  # noqa: SLF001 - said nowhere else
    config = getattr(standard.ExponentialBackoff, "_DEFAULT_BACKOFF_CONFIG", {})
    return int(most), float(config.get("throttling_base_scale", 1.0))


def short(reading: Mapping[str, Any]) -> str:
    """A reading on one line."""
    sure = reading["confidence"]
    words = [f"{key}={reading[key]} ({sure.get(key, 0):.2f})" for key in ("family", "jitter", "attempts_max", "base_s")]
    words += [f"{key}={reading[key]} ({sure.get(key, 0):.2f})" for key in ("multiplier", "budget")]
    return f"{', '.join(words)}, amplification={reading['amplification']:.2f}, n={reading['n_ops']}"


def surely(reading: Mapping[str, Any], key: str, *values: object) -> bool:
    """Whether the probe says one of *values* for *key*, and is sure."""
    return reading[key] in values and reading["confidence"][key] >= SURE


def is_naive_cart(reading: Mapping[str, Any]) -> bool:
    """Four attempts, and nothing sure of their pauses that is not so: at once, as far as a busy process can."""
    return surely(reading, "attempts_max", 4) and not surely(reading, "family", *OTHER_THAN_IMMEDIATE)


def is_hardened_cart(reading: Mapping[str, Any]) -> bool:
    """At most one retry, and not surely an immediate one."""
    return reading["attempts_max"] <= 2 and not surely(reading, "family", "immediate")  # type: ignore[no-any-return]


def is_naive_stock(reading: Mapping[str, Any]) -> bool:
    """Ten attempts, no budget; where the pauses are told for sure, 0.2 s without jitter."""
    told = surely(reading, "family", "fixed") and surely(reading, "jitter", "none")
    right = not told or abs(reading["base_s"] / 0.2 - 1) <= WITHIN
    wrong = reading["confidence"]["family"] >= SURE and reading["family"] != "fixed"
    return surely(reading, "attempts_max", 10) and surely(reading, "budget", False) and right and not wrong


def is_hardened_stock(reading: Mapping[str, Any]) -> bool:
    """Jitter, and a budget."""
    return surely(reading, "jitter", "full") and surely(reading, "budget", True)


OTHER_THAN_IMMEDIATE = ("none", "fixed", "linear", "quadratic", "fibonacci", "exponential")
SHOPS: tuple[tuple[str, str, Callable[[], str], Mapping[str, Callable[[Mapping[str, Any]], bool]]], ...] = (
    (
        "cart",
        "/cart",
        lambda: f"/cart/c{random.randint(1, 400)}",
        {"naive": is_naive_cart, "hardened": is_hardened_cart},
    ),
    (
        "stock",
        "/stock",
        lambda: f"/stock?products={','.join(map(str, random.sample(range(1, 25), 4)))}",
        {"naive": is_naive_stock, "hardened": is_hardened_stock},
    ),
)


def kept(rows: pd.DataFrame, folder: Path | None, name: str) -> pd.DataFrame:
    """*rows*, also written to *folder* if there is one: `stormproof probe retries FILE` reads them again."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(folder / f"{name}.parquet")
    return rows


def shops(lab: RunningLab, variant: str, *, trials: int, keep: Path | None, only: str | None) -> int:
    """Trials with the shop of *lab*; how many came out wrong."""
    wrong = 0
    for dependency, _, path, judges in SHOPS:
        if only not in {None, dependency}:
            continue
        for trial in range(1, trials + 1):
            resolved = dependency_error.resolve(
                dependency_error.Arguments(dependency=dependency), lab.environment, fault_id=f"{trial}-error"
            )
            fault = dependency_error.bind(resolved.target, resolved.configuration)
            # Successes: a budget that the trial before emptied fills again.
            pages(lab, path, seconds=REFILL_S[dependency])()
            rows = arrivals_during(lab, dependency, pages(lab, path, seconds=TRIAL_S), fault)
            reading = identify_retries(kept(rows, keep, f"{dependency}-{variant}-{trial}"))
            right = judges[variant](reading)
            others = [name for name, judge in judges.items() if name != variant and judge(reading)]
            right = right and not others
            wrong += not right
            print(f"{dependency:<6} {variant:<9} {trial:>2}  {'right' if right else 'WRONG'}  {short(reading)}")
            sys.stdout.flush()
    return wrong


def botocore_fleet(lab: RunningLab, *, trials: int, keep: Path | None) -> int:
    """Trials with the fleet; how many came out wrong."""
    most, base_s = expected_of_botocore()
    print(f"botocore {botocore.__version__}: {most} attempts, U(0, {base_s:g} s · 2ⁿ) when throttled")
    wrong = 0
    for trial in range(1, trials + 1):
        resolved = throttling.resolve(
            throttling.Arguments.model_validate({"dependency": "cart", "rate": "1/s"}),
            lab.environment,
            fault_id=f"{trial}-throttling",
        )
        fault = throttling.bind(resolved.target, resolved.configuration)
        rows = arrivals_during(lab, "cart", fleet(lab), fault)
        reading = identify_retries(kept(rows, keep, f"cart-botocore-{trial}"))
        right = (
            surely(reading, "family", "exponential")
            and surely(reading, "jitter", "full")
            and surely(reading, "attempts_max", most)
            and abs(reading["base_s"] / base_s - 1) <= WITHIN
            and abs((reading["multiplier"] or 2.0) / 2.0 - 1) <= WITHIN
        )
        wrong += not right
        print(f"cart   botocore  {trial:>2}  {'right' if right else 'WRONG'}  {short(reading)}")
        sys.stdout.flush()
    return wrong


def main() -> int:
    """Print a line a trial; 1 when one came out wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--fleet-trials", type=int, default=10)
    parser.add_argument("--only", choices=("naive", "hardened", "botocore"))
    parser.add_argument("--dependency", choices=("cart", "stock"))
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    chosen = parser.parse_args()
    wrong = 0
    for variant in ("naive", "hardened"):
        if chosen.only not in {None, variant} and not (variant == "hardened" and chosen.only == "botocore"):
            continue
        for lab in running_lab(variant):
            if chosen.only != "botocore":
                wrong += shops(lab, variant, trials=chosen.trials, keep=chosen.keep, only=chosen.dependency)
            if variant == "hardened" and chosen.only in {None, "botocore"}:
                wrong += botocore_fleet(lab, trials=chosen.fleet_trials, keep=chosen.keep)
    print(json.dumps({"wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
