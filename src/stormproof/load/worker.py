"""One load worker: ``python -m stormproof.load.worker CONFIG``. The only process that imports Locust.

Locust is imported first: it patches the process with gevent, which fails after ssl was imported.
"""

from __future__ import annotations

import locust  # isort: skip  # must stay the first import, see above

import dataclasses
import gc
import logging
import os
import random
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import gevent
import gevent.event
import orjson
from gevent.os import make_nonblocking, nb_read
from locust.env import Environment
from locust.util.load_locustfile import load_locustfile

from stormproof.errors import LoadError
from stormproof.kinship import die_with_parent
from stormproof.load import client, wire
from stormproof.load.account import Account
from stormproof.load.instrument import Recorder, RunClock, instrument_clients
from stormproof.load.loop_watch import LoopWatch
from stormproof.load.traffic import ClosedTraffic, OpenTraffic, Traffic, schedule_for, tasks_of
from stormproof.load.warm_up import warm_up
from stormproof.record.rows import RowWriter

log = logging.getLogger("stormproof.load")

# What may wait for a conductor that does not read (stopped in a debugger, say) before aggregates are dropped.
_PENDING_BYTES_MAX = 1 << 20


class Channel:
    """JSON lines to and from the conductor; writing never blocks the load."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        make_nonblocking(read_fd)
        make_nonblocking(write_fd)
        self._pending = bytearray()

    def send(self, message: dict[str, Any]) -> None:
        """Queue *message* and write what fits; an aggregate is dropped when too much is waiting."""
        if len(self._pending) > _PENDING_BYTES_MAX and message["kind"] == wire.AGGREGATE:
            return
        self._pending += orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
        self._write_what_fits()

    def send_last(self, message: dict[str, Any], *, deadline_s: float = 5.0) -> None:
        """`send`, then wait until everything is out."""
        self.send(message)
        give_up = time.monotonic() + deadline_s
        while self._pending and time.monotonic() < give_up:
            gevent.sleep(0.01)
            self._write_what_fits()

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the conductor says, until it closes the stream."""
        buffer = b""
        while chunk := nb_read(self._read_fd, 65536):
            *lines, buffer = (buffer + chunk).split(b"\n")
            yield from (orjson.loads(line) for line in lines)

    def _write_what_fits(self) -> None:
        try:
            while self._pending:
                del self._pending[: os.write(self._write_fd, self._pending)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._pending.clear()  # the conductor is gone; the end of stdin says so too


class Worker:
    """Takes the orders, and every tenth of a second hands over the rows and an aggregate."""

    def __init__(self, channel: Channel, recorder: Recorder, traffic: Traffic, account: Account) -> None:
        self._channel, self._recorder, self._traffic, self._account = channel, recorder, traffic, account
        self._loop = LoopWatch()
        self._start_mono_s: float | None = None
        self._end: gevent.event.AsyncResult = gevent.event.AsyncResult()  # seconds to drain; None: conductor gone

    def run(self) -> None:
        """Until told to stop, or until the conductor is gone."""
        orders = gevent.spawn(self._take_orders)
        ticker = gevent.spawn(self._tick)
        self._channel.send({"kind": wire.READY})
        drain_s = self._end.get()
        stopped_mono_s = self._traffic.stop(drain_s or 0.0)
        ticker.kill()
        orders.kill()
        self._hand_over()
        if self._recorder.failure is not None:
            self._channel.send_last({"kind": wire.FAILED, "message": self._recorder.failure})
        elif self._start_mono_s is not None:
            self._recorder.rows.close()
            recorder = self._recorder
            totals = self._account.totals(
                stopped_mono_s, recorder.sent_mono_s, recorder.lateness_s, self._traffic.tasks_ended
            )
            totals = dataclasses.replace(totals, **self._loop.totals())
            self._channel.send_last({"kind": wire.DONE, "totals": totals.as_dict()})

    def _take_orders(self) -> None:
        for message in self._channel.messages():
            if message["kind"] == wire.START and self._start_mono_s is None:
                clock = RunClock(start_mono_s=message["mono_s"], start_s=message["wall_s"])
                self._start_mono_s = clock.start_mono_s
                self._account.begin(clock.start_mono_s, clock.start_s)
                self._loop.begin(clock.start_mono_s, clock.start_s)
                self._recorder.begin(clock)
                self._traffic.start(clock)
            elif message["kind"] == wire.STOP:
                self._end.set(message["drain_s"])
        if not self._end.ready():
            self._end.set(None)

    def _tick(self) -> None:
        due = time.monotonic()
        while self._recorder.failure is None:
            due += wire.AGGREGATE_EVERY_S
            gevent.sleep(max(0.0, due - time.monotonic()))
            due = self._loop.tick(due, time.monotonic())
            self._hand_over()
        self._end.set(0.0)

    def _hand_over(self) -> None:
        """Rows to the operating system, an aggregate to the conductor."""
        try:
            self._recorder.rows.flush()
        except OSError as error:
            self._recorder.failure = f"samples could not be written: {error}"
        now = time.monotonic()
        if self._start_mono_s is not None and now > self._start_mono_s:
            settled_mono_s = self._traffic.settled_mono_s(now)
            aggregate = self._account.aggregate(now, len(self._recorder.sent_mono_s), settled_mono_s=settled_mono_s)
            self._channel.send(aggregate.to_message())


def load_users(config: wire.WorkerConfig) -> list[type]:
    """The user classes of the locustfile, made ready for this load. `LoadError` names the file and the line."""
    path = config.locustfile
    try:
        users, _shapes = load_locustfile(path)
    except (Exception, SystemExit) as error:  # a locustfile may raise anything; it becomes one clear message
        line = _line_in(path, error)
        raise LoadError(
            f"{path}{f':{line}' if line else ''}: the locustfile could not be loaded: {type(error).__name__}: {error}",
            hint=f"`python {Path(path).name}` in its folder shows the whole traceback",
        ) from error
    if not users:
        raise LoadError(f"{path}: expected a class derived from locust.FastHttpUser (or HttpUser), got none")
    for user_class in users.values():
        user_class.host = config.base_url
        user_class.network_timeout = user_class.connection_timeout = config.timeout_s
    return list(users.values())


def prepare(config: wire.WorkerConfig) -> tuple[Recorder, Traffic, Account]:
    """Load the locustfile, draw the schedule, open the rows, make the users."""
    environment = Environment(user_classes=load_users(config), events=locust.events, host=config.base_url)
    open_model = config.arrivals_per_s is not None
    tasks = tasks_of(environment.user_classes) if open_model else []
    schedule = schedule_for(config, tasks) if open_model else None
    account = Account(config.worker, schedule)
    has_control = config.control_header is not None
    rows = RowWriter(Path(config.samples_folder), config.worker, on_flush=account.take, has_control=has_control)
    recorder = Recorder(rows, environment.events.request)
    client.install()
    instrument_clients(recorder, environment.user_classes, timeout_s=config.timeout_s, open_model=open_model)
    environment.events.init.fire(environment=environment, runner=None, web_ui=None)
    if schedule is None:
        return recorder, ClosedTraffic(environment, config), account
    traffic = OpenTraffic(environment, tasks, schedule, recorder, control_header=config.control_header)
    return recorder, traffic, account


def main(argv: list[str]) -> int:
    """Run one worker to its end; 0 when it ended as told."""
    config = wire.WorkerConfig.from_json(Path(argv[1]).read_bytes())
    if config.parent_pid is not None:
        # SIGKILL: a locustfile in an endless loop hears nothing else. At most one flush interval of rows is lost.
        # Where there is no such signal, and besides, the end of stdin ends the load.
        die_with_parent(config.parent_pid)
    channel = Channel(0, _take_stdout())
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a stall holds rate x timeout sockets open
    log.info("open files: at most %s (was %s)", hard, soft)
    random.seed(f"{config.seed}/worker/{config.worker}")  # what the tasks themselves draw
    try:
        recorder, traffic, account = prepare(config)
    except Exception as error:  # noqa: BLE001  # on_start and __init__ of the locustfile may raise anything
        message = str(error) if isinstance(error, LoadError) else _start_message(config.locustfile, error)
        traceback.print_exc()
        channel.send_last({"kind": wire.FAILED, "message": message})
        return 1
    warm_up()
    gc.collect()
    gc.freeze()  # Locust and the schedule never die: a full collection would stop the load for nothing
    Worker(channel, recorder, traffic, account).run()
    return 0 if recorder.failure is None else 1


def _start_message(locustfile: str, error: Exception) -> str:
    line = _line_in(locustfile, error)
    return f"{locustfile}{f':{line}' if line else ''}: the load could not start: {type(error).__name__}: {error}"


def _line_in(path: str, error: BaseException) -> int | None:
    """The innermost line of the file at *path* that *error* went through."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno
    line: int | None = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _take_stdout() -> int:
    """Keep the real stdout for the protocol; what a locustfile prints goes to the log."""
    protocol_fd = os.dup(1)
    os.dup2(2, 1)
    return protocol_fd


if __name__ == "__main__":
    sys.exit(main(sys.argv))
