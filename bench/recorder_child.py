"""The Locust process of `recorder_overhead.py`: switches our recorder on and off, prints a JSON line a pair."""

from __future__ import annotations

import locust  # isort: skip  # patches the process, so it must come first

import gc
import json
import random
import sys
import time
from pathlib import Path

import gevent
import geventhttpclient.client
from locust.env import Environment
from locust.event import EventHook

from stormproof.load.account import Account
from stormproof.load.instrument import Recorder, RunClock, instrument_clients
from stormproof.record.rows import RowWriter


class Shopper(locust.FastHttpUser):
    @locust.task
    def home(self) -> None:
        self.client.get("/", name="/")


def main() -> None:
    order = json.loads(sys.argv[1])
    plain = Shopper.context, geventhttpclient.client.HTTPSocketPoolResponse
    account = Account(0, None)
    recorded_event = EventHook()  # begin() adds the listener that the worker would have
    recorder = Recorder(RowWriter(Path(order["folder"]), 0, on_flush=account.take), recorded_event)
    instrument_clients(recorder, [Shopper], timeout_s=10.0, open_model=False)
    recorded = Shopper.context, geventhttpclient.client.HTTPSocketPoolResponse
    recorder.begin(RunClock(start_mono_s=time.monotonic(), start_s=time.time()))
    (on_request,) = recorded_event._handlers  # noqa: SLF001
    environment = Environment(user_classes=[Shopper], host=order["url"], events=locust.events)
    count = [0]

    def count_request(**_: object) -> None:
        count[0] += 1

    environment.events.request.add_listener(count_request)  # in both arms
    runner = environment.create_local_runner()
    gc.collect()
    gc.freeze()
    runner.start(order["users"], spawn_rate=order["users"])
    gevent.sleep(1.0)

    def interval(arm: str) -> dict[str, float]:
        Shopper.context, geventhttpclient.client.HTTPSocketPoolResponse = recorded if arm == "recorded" else plain
        if arm == "recorded":
            environment.events.request.add_listener(on_request)
        gevent.sleep(0.1)  # requests of the other arm are over
        requests, cpu_s, at = count[0], time.process_time(), time.monotonic()
        until = at + order["interval_s"]
        while time.monotonic() < until:
            gevent.sleep(0.1)
            if arm == "recorded":
                recorder.rows.flush()  # and an aggregate, as the worker's tick does
                account.aggregate(time.monotonic(), 0)
        requests, cpu_s, elapsed_s = count[0] - requests, time.process_time() - cpu_s, time.monotonic() - at
        if arm == "recorded":
            environment.events.request.remove_listener(on_request)
        return {"cpu_us": cpu_s / requests * 1e6, "per_s": requests / elapsed_s}

    draw = random.Random(order["seed"])
    for _ in range(order["pairs"]):
        arms = ["plain", "recorded"]
        draw.shuffle(arms)
        print(json.dumps({arm: interval(arm) for arm in arms}), flush=True)
    runner.quit()


if __name__ == "__main__":
    main()
