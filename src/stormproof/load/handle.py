"""The conductor's end of one load worker: what it was told, and what it said; here one that is a child of ours."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import orjson

from stormproof.load import wire
from stormproof.record.layout import RunDirectory

LOG_LINES_SHOWN = 8

OnAggregate = Callable[[wire.Aggregate], None]


class WorkerHandle(Protocol):
    """What the driver needs of a worker, wherever it is."""

    number: int
    log_path: Path
    told: Told

    def start(self, mono_s: float, wall_s: float) -> None:
        """Begin at this instant of our monotonic clock, which our wall clock calls *wall_s*."""

    def send(self, message: Mapping[str, Any]) -> None:
        """Give an order; a worker that is gone cannot take it, which `failure` tells."""

    def kill(self) -> None:
        """End it, if it still runs, and let go of it."""

    def alive(self) -> bool:
        """Whether it runs and has not given up."""

    def failure(self) -> str | None:
        """Why it is of no use any more."""

    def account(self) -> wire.WorkerTotals:
        """Its own totals, or what its aggregates told when it died before it could give them."""


class Told:
    """What one worker has said so far. One thread takes it in, others ask."""

    def __init__(self, number: int, on_aggregate: OnAggregate | None) -> None:
        self._number, self._on_aggregate = number, on_aggregate
        self._ready, self._ended = threading.Event(), threading.Event()
        self._totals: wire.WorkerTotals | None = None
        self._seen = {"offered": 0, "sent": 0, "ended": 0}
        self._seen_per_second: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        self.failure: str | None = None

    def take(self, message: Mapping[str, Any]) -> None:
        """Take in one message."""
        match message["kind"]:
            case wire.READY:
                self._ready.set()
            case wire.AGGREGATE:
                aggregate = wire.Aggregate.from_message(message)
                for name in self._seen:
                    self._seen[name] += getattr(aggregate, name)
                second = int(aggregate.to_s)
                self._seen_per_second[0][second] += aggregate.offered
                self._seen_per_second[1][second] += aggregate.sent
                if self._on_aggregate is not None:
                    self._on_aggregate(aggregate)
            case wire.DONE:
                self._totals = wire.WorkerTotals(**message["totals"])
            case wire.FAILED:
                self.failure = message["message"]
            case unknown:
                raise AssertionError(f"a worker said {unknown!r}")

    def no_more(self) -> None:
        """It has ended: there is nothing left to wait for."""
        self._ended.set()
        self._ready.set()

    @property
    def has_ended(self) -> bool:
        """Whether everything that it said was taken in."""
        return self._ended.is_set()

    def wait_ready(self, deadline_mono_s: float) -> bool:
        """Whether it is ready to start before the deadline; returns early when it ended instead."""
        self._ready.wait(max(0.0, deadline_mono_s - time.monotonic()))
        return self._ready.is_set() and not self._ended.is_set()

    def wait_ended(self, deadline_mono_s: float) -> None:
        """Wait until it ended and everything it said was read, at most until the deadline."""
        self._ended.wait(max(0.0, deadline_mono_s - time.monotonic()))

    def account(self) -> wire.WorkerTotals:
        """As `WorkerHandle.account`."""
        if self._totals is not None:
            return self._totals
        offered, sent = self._seen_per_second
        return wire.WorkerTotals(
            worker=self._number,
            offered=self._seen["offered"],
            sent=self._seen["sent"],
            completed=self._seen["ended"],
            late_share=None,
            lateness_ms_p50=None,
            lateness_ms_p99=None,
            lateness_ms_max=None,
            cpu_share=None,
            per_second=[[second, offered[second], sent[second]] for second in sorted(offered | sent)],
        )


class LocalWorker:
    """One worker process on this machine."""

    def __init__(
        self,
        config: wire.WorkerConfig,
        run: RunDirectory,
        env: Mapping[str, str],
        on_aggregate: OnAggregate | None,
    ) -> None:
        self.number = config.worker
        self.log_path = run.logs / f"load-{config.worker}.log"
        config_path = run.logs / f"load-{config.worker}.json"
        config_path.write_bytes(config.to_json())
        self.told = Told(config.worker, on_aggregate)
        self._process = spawn(config_path, self.log_path, env)
        self._reader = threading.Thread(target=self._listen, name=f"load-{config.worker}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def start(self, mono_s: float, wall_s: float) -> None:
        """As `WorkerHandle`: the monotonic clock is the machine's, so it is the worker's, too."""
        self.send({"kind": wire.START, "mono_s": mono_s, "wall_s": wall_s})

    def send(self, message: Mapping[str, Any]) -> None:
        """As `WorkerHandle`."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))
            self._process.stdin.flush()

    def kill(self) -> None:
        """End it, if it still runs, and let go of its pipes."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=5.0)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()

    def alive(self) -> bool:
        """Whether the process runs and has not given up."""
        return self._process.poll() is None and self.told.failure is None

    def failure(self) -> str | None:
        """As `WorkerHandle`."""
        if self.told.failure is not None:
            return self.told.failure
        code = self._process.poll()
        if code is None:
            return None
        return f"load worker {self.number} {how_it_ended(code)}{said_last(tail_of(self.log_path))}"

    def account(self) -> wire.WorkerTotals:
        """As `WorkerHandle`."""
        return self.told.account()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(orjson.JSONDecodeError):  # a line cut off by kill -9
                self.told.take(orjson.loads(line))
        self._process.wait()
        self.told.no_more()


def spawn(config_path: Path, log_path: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The worker process of *config_path*, with pipes for what it is told and says."""
    clean = {name: value for name, value in env.items() if name != "LOCUST_SKIP_MONKEY_PATCH"}  # it needs gevent
    with log_path.open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # our own module, by our own interpreter
            [sys.executable, "-m", "stormproof.load.worker", str(config_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=clean,
            start_new_session=True,  # Ctrl-C is the conductor's; it drains the load in order
        )


def how_it_ended(code: int) -> str:
    """An exit code of `subprocess` in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def tail_of(path: Path) -> list[str]:
    """The last lines of a log."""
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:] if path.exists() else []


def said_last(lines: list[str]) -> str:
    """The end of a message that shows them."""
    return "; the last lines of its log:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
