"""The Locust process of `recorder_overhead.py`: switches our recorder on and off, says what a pair cost.

On is all that a load worker does for its samples: the stamp, the listener, the bounded response, and every tenth of a
second the rows to a file and an aggregate to the process that started this one, over the worker's own channel.
"""

from __future__ import annotations

import locust  # isort: skip  # patches the process, so it must come first

import gc
import json
import random
import sys
import time
from pathlib import Path

import gevent
from geventhttpclient.response import HTTPSocketPoolResponse
from locust.env import Environment
from locust.event import EventHook

from stormproof.load.account import Account
from stormproof.load.instrument import Recorder, RunClock, instrument_clients
from stormproof.load.wire import AGGREGATE_EVERY_S
from stormproof.load.worker import Channel
from stormproof.record.rows import RowWriter


class Shopper(locust.FastHttpUser):
    @locust.task
    def home(self) -> None:
        self.client.get("/", name="/")


def main() -> None:
    order = json.loads(sys.argv[1])
    channel = Channel(0, 1)
    account = Account(0, None)
    recorded_event = EventHook()  # begin() adds the listener that the worker would have
    recorder = Recorder(RowWriter(Path(order["folder"]), 0, on_flush=account.take), recorded_event)
    instrument_clients(recorder, [Shopper], timeout_s=10.0, open_model=False)
    context, feed = Shopper.__dict__["context"], HTTPSocketPoolResponse.feed
    clock = RunClock(start_mono_s=time.monotonic(), start_s=time.time())
    account.begin(clock.start_mono_s, clock.start_s)
    recorder.begin(clock)
    (on_request,) = recorded_event._handlers  # noqa: SLF001
    environment = Environment(user_classes=[Shopper], host=order["url"], events=locust.events)
    runner = environment.create_local_runner()
    gc.collect()
    gc.freeze()
    runner.start(order["users"], spawn_rate=order["users"])
    gevent.sleep(1.0)
    total = runner.stats.total  # Locust's own count, in both arms; the start makes a new one
    del Shopper.context, HTTPSocketPoolResponse.feed  # what is left is Locust's own

    def interval(arm: str) -> dict[str, float]:
        if arm == "recorded":
            Shopper.context, HTTPSocketPoolResponse.feed = context, feed
            environment.events.request.add_listener(on_request)
        gevent.sleep(0.1)  # requests of the other arm are over
        requests, cpu_s, at = total.num_requests, time.process_time(), time.monotonic()
        until = at + order["interval_s"]
        while time.monotonic() < until:
            gevent.sleep(AGGREGATE_EVERY_S)
            if arm == "recorded":  # as the worker's tick does
                recorder.rows.flush()
                channel.send(account.aggregate(time.monotonic(), 0).to_message())
        requests, cpu_s, elapsed_s = total.num_requests - requests, time.process_time() - cpu_s, time.monotonic() - at
        if arm == "recorded":
            environment.events.request.remove_listener(on_request)
            del Shopper.context, HTTPSocketPoolResponse.feed
        return {"cpu_us": cpu_s / requests * 1e6, "per_s": requests / elapsed_s}

    draw = random.Random(order["seed"])
    for _ in range(order["pairs"]):
        arms = ["plain", "recorded"]
        draw.shuffle(arms)
        channel.send_last({"kind": "pair", **{arm: interval(arm) for arm in arms}})
    runner.quit()


if __name__ == "__main__":
    main()
