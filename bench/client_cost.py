"""What one request costs a load worker's client: FastHttpUser's own against the one that works things out once.

One process, both clients, the same Envoy that answers by itself, 32 greenlets that never wait; intervals of either in
turns, in random order, so that both share the machine's noise. Goal: at most three quarters of the CPU (median of the
pairs, with a 95 % interval from a percentile bootstrap of the pairs).

    python bench/client_cost.py --pairs 40
"""

from __future__ import annotations

import locust  # isort: skip  # patches the process, so it must come first

import argparse
import gc
import random
import statistics
import time

import gevent
import numpy as np
from echo_envoy import echo_envoy
from geventhttpclient.connectionpool import ConnectionPool
from locust import FastHttpUser
from locust.env import Environment
from recorder_overhead import paired_ratio

from stormproof.load import client

GREENLETS = 32
GOAL = 0.75


class Caller(FastHttpUser):
    """Has no task: its client is called by us."""

    concurrency = GREENLETS


def sessions(url: str) -> dict[str, tuple[object, object]]:
    """Each arm's client, with what asks whether a connection is open."""
    Caller.host = url
    environment = Environment(user_classes=[Caller], events=locust.events, host=url)
    stock_look, stock = ConnectionPool._is_socket_alive, Caller(environment).client  # noqa: SLF001
    client.install()
    return {"stock": (stock, stock_look), "spared": (Caller(environment).client, client.is_open)}


def interval(session: object, look: object, seconds: float) -> tuple[float, float]:
    """CPU µs a request, requests a second."""
    ConnectionPool._is_socket_alive = look  # noqa: SLF001
    counts, until = [0], time.monotonic() + seconds

    def call() -> None:
        while time.monotonic() < until:
            session.get("/", name="/")
            counts[0] += 1

    cpu_s, at = time.process_time(), time.monotonic()
    gevent.joinall([gevent.spawn(call) for _ in range(GREENLETS)])
    return (time.process_time() - cpu_s) / counts[0] * 1e6, counts[0] / (time.monotonic() - at)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--interval", type=float, default=0.6, metavar="S")
    parser.add_argument("--seed", type=int, default=1)
    order = parser.parse_args()
    draw = random.Random(order.seed)
    rounds = []
    with echo_envoy() as url:
        arms = sessions(url)
        gc.collect()
        gc.freeze()
        for pair in range(order.pairs + 1):
            names = ["stock", "spared"]
            draw.shuffle(names)
            one = {name: interval(*arms[name], order.interval) for name in names}
            if pair:  # the first one opened the connections
                rounds.append(one)
    cpu_us = np.array([[one["stock"][0], one["spared"][0]] for one in rounds])
    ratio, low, high = paired_ratio(cpu_us, seed=order.seed)
    for column, name in enumerate(("stock", "spared")):
        per_s = statistics.median(one[name][1] for one in rounds)
        print(f"{name:7} {np.median(cpu_us[:, column]):6.1f} µs of CPU a request, {per_s:6.0f} requests a second")
    met = "met" if ratio <= GOAL else "not met"
    print(f"spared / stock: {ratio:.3f} ({low:.3f} … {high:.3f}) over {len(rounds)} pairs; goal {GOAL}: {met}")


if __name__ == "__main__":
    main()
