"""The Locust process of `recorder_overhead.py`: switches our recorder on and off, says what a round cost.

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
from stormproof.load.loop_watch import LoopWatch
from stormproof.load.wire import AGGREGATE_EVERY_S
from stormproof.load.worker import Channel
from stormproof.record.rows import RowWriter


class Shopper(locust.FastHttpUser):
    @locust.task
    def home(self) -> None:
        self.client.get("/", name="/")


class Arms:
    """One Locust under load, and what can be switched on in it."""

    def __init__(self, folder: Path, url: str, users: int) -> None:
        self.channel = Channel(0, 1)
        self.account = Account(0, None)
        recorded_event = EventHook()  # begin() adds the listener that the worker would have
        self.recorder = Recorder(RowWriter(folder, 0, on_flush=self.account.take), recorded_event)
        instrument_clients(self.recorder, [Shopper], timeout_s=10.0, open_model=False)
        self.context, self.feed = Shopper.__dict__["context"], HTTPSocketPoolResponse.feed
        clock = RunClock(start_mono_s=time.monotonic(), start_s=time.time())
        self.account.begin(clock.start_mono_s, clock.start_s)
        self.recorder.begin(clock)
        self.loop = LoopWatch()
        self.loop.begin(clock.start_mono_s, clock.start_s)
        (self.on_request,) = recorded_event._handlers  # noqa: SLF001
        environment = Environment(user_classes=[Shopper], host=url, events=locust.events)
        self.request = environment.events.request
        before = list(self.request._handlers)  # noqa: SLF001
        self.runner = environment.create_local_runner()
        (self.statistics,) = [one for one in self.request._handlers if one not in before]  # noqa: SLF001
        gc.collect()
        gc.freeze()
        self.runner.start(users, spawn_rate=users)
        gevent.sleep(1.0)
        del Shopper.context, HTTPSocketPoolResponse.feed  # what is left is Locust's own

    def switch(self, arm: str, *, on: bool) -> None:
        """Locust as it comes; our recorder beside its statistics; our recorder in their place, as in a load worker."""
        if arm == "plain":
            return
        (self.request.add_listener if on else self.request.remove_listener)(self.on_request)
        if arm == "recorded":
            (self.request.remove_listener if on else self.request.add_listener)(self.statistics)
        if on:
            Shopper.context, HTTPSocketPoolResponse.feed = self.context, self.feed
        else:
            del Shopper.context, HTTPSocketPoolResponse.feed

    def interval(self, arm: str, seconds: float) -> dict[str, float]:
        """CPU µs a request and requests a second of one arm over an interval."""
        self.switch(arm, on=True)
        gevent.sleep(0.1)  # requests of the other arm are over
        self.tick()
        counted, rows = self.runner.stats.total.num_requests, 0
        cpu_s, at = time.process_time(), time.monotonic()
        until = at + seconds
        while time.monotonic() < until:
            gevent.sleep(AGGREGATE_EVERY_S)
            if arm != "plain":
                rows += self.tick()
        cpu_s, elapsed_s = time.process_time() - cpu_s, time.monotonic() - at
        requests = rows if arm == "recorded" else self.runner.stats.total.num_requests - counted
        self.switch(arm, on=False)
        return {"cpu_us": cpu_s / requests * 1e6, "per_s": requests / elapsed_s}

    def tick(self) -> int:
        """Rows to the file and an aggregate to the conductor, as the worker's tick does; how many requests it told."""
        now_mono_s = time.monotonic()
        self.loop.tick(now_mono_s, now_mono_s)
        self.recorder.rows.flush()
        aggregate = self.account.aggregate(time.monotonic(), 0)
        self.channel.send(aggregate.to_message())
        return aggregate.ended


def main() -> None:
    order = json.loads(sys.argv[1])
    arms = Arms(Path(order["folder"]), order["url"], order["users"])
    draw = random.Random(order["seed"])
    for _ in range(order["pairs"]):
        names = ["plain", "beside", "recorded"]
        draw.shuffle(names)
        arms.channel.send_last({"kind": "pair", **{name: arms.interval(name, order["interval_s"]) for name in names}})
    arms.runner.quit()


if __name__ == "__main__":
    main()
