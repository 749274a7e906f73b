"""The conductor's side of the load: starts the workers, agrees on an instant, listens, stops, collects.

Imports no locust. Not for use inside a gevent process: it converts rows with pyarrow and reads in threads.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from stormproof.errors import LoadError
from stormproof.load import wire
from stormproof.model.experiment import Load
from stormproof.record.layout import RunDirectory
from stormproof.record.samples import convert_rows

READY_DEADLINE_S = 60.0  # importing Locust takes a second or two, several times that on a busy machine
START_AHEAD_S = 0.3  # from the order to the common start: every worker must have read it by then
STOP_GRACE_S = 10.0  # beyond the drain: totals, the last rows
LOG_LINES_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What to drive, at whom, for how long at most."""

    load: Load
    base_url: str
    duration_s_max: float  # the load ends by itself after this
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary:
    """What became of the load, worker by worker."""

    workers: tuple[wire.WorkerTotals, ...]

    @property
    def offered(self) -> int:
        """Arrivals that were due, all workers."""
        return sum(worker.offered for worker in self.workers)

    @property
    def sent(self) -> int:
        """Arrivals that were sent, all workers."""
        return sum(worker.sent for worker in self.workers)

    @property
    def delivered_share(self) -> float | None:
        """sent / offered; None when nothing was due."""
        return self.sent / self.offered if self.offered else None

    def as_event(self) -> list[dict[str, Any]]:
        """The field `workers` of the event `load.stopped`."""
        return [worker.as_dict() for worker in self.workers]


class LoadDriver:
    """One load, from start to stop. *on_aggregate* is called from reader threads, ten times a second a worker.

    *env* is the whole environment of the workers, as in `subprocess`; None: this process's own.
    """

    def __init__(
        self,
        plan: LoadPlan,
        run: RunDirectory,
        *,
        env: Mapping[str, str] | None = None,
        on_aggregate: Callable[[wire.Aggregate], None] | None = None,
    ) -> None:
        self._plan, self._run = plan, run
        self._env = dict(os.environ if env is None else env)
        self._env.pop("LOCUST_SKIP_MONKEY_PATCH", None)  # would leave the worker without gevent
        self._on_aggregate = on_aggregate
        self._workers: list[_WorkerHandle] = []
        self._stopping = False

    def start(self) -> float:
        """Start the workers; Unix seconds of the common start, a moment ahead. `LoadError` when one cannot."""
        assert not self._workers, "a driver drives one load"
        try:
            for worker in range(self._plan.load.workers):
                self._workers.append(_WorkerHandle(self._config(worker), self._run, self._env, self._on_aggregate))
            self._wait_ready()
        except BaseException:  # also Ctrl-C: no worker outlives a load that did not start
            self.kill()
            raise
        # One anchor for all: the monotonic clock is the machine's, so workers need not agree on anything else.
        start_mono_s, start_s = time.monotonic() + START_AHEAD_S, time.time() + START_AHEAD_S
        for handle in self._workers:
            handle.send({"kind": wire.START, "mono_s": start_mono_s, "wall_s": start_s})
        return start_s

    def stop(self, drain_s: float | None = None) -> LoadSummary:
        """No new arrivals; wait for those in flight, *drain_s* or the time-out and a second; rows → Parquet.

        Requests that the drain cuts off have no sample. Never raises for a worker that died: its totals are what
        its aggregates told, and its rows are kept up to the last flush.
        """
        drain_s = self._plan.load.timeout_s + 1.0 if drain_s is None else drain_s
        self._stopping = True
        for handle in self._workers:
            handle.send({"kind": wire.STOP, "drain_s": drain_s})
        deadline = time.monotonic() + drain_s + STOP_GRACE_S
        for handle in self._workers:
            handle.wait_ended(deadline)
        self.kill()
        convert_rows(self._run.samples)
        return LoadSummary(workers=tuple(handle.account() for handle in self._workers))

    def kill(self) -> None:
        """End all workers now. Rows stay as they are; `stop` may still be called."""
        self._stopping = True
        for handle in self._workers:
            handle.kill()

    def alive(self) -> bool:
        """Whether every worker runs."""
        return bool(self._workers) and all(handle.alive() for handle in self._workers)

    def failure(self) -> str | None:
        """Why a worker died or gave up by itself, with the last lines of its log; None when none did."""
        if self._stopping:
            return next((handle.told_failure for handle in self._workers if handle.told_failure), None)
        return next((reason for handle in self._workers if (reason := handle.failure())), None)

    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [handle.pid for handle in self._workers]

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_DEADLINE_S
        for handle in self._workers:
            if not handle.wait_ready(deadline):
                late = f"load worker {handle.number} was not ready within {READY_DEADLINE_S:g} s"
                raise LoadError(handle.failure() or late, hint=f"the whole log: {handle.log_path}")

    def _config(self, worker: int) -> wire.WorkerConfig:
        load = self._plan.load
        return wire.WorkerConfig(
            worker=worker,
            workers=load.workers,
            locustfile=load.locustfile,
            base_url=self._plan.base_url.rstrip("/"),
            timeout_s=load.timeout_s,
            duration_s_max=self._plan.duration_s_max,
            seed=self._plan.seed,
            samples_folder=str(self._run.samples),
            arrivals_per_s=load.arrivals_per_s,
            users=load.users,
            process=load.process,
            # Linux sends the death signal when the *thread* that made the child ends, not the process
            parent_pid=os.getpid() if threading.current_thread() is threading.main_thread() else None,
        )


class _WorkerHandle:
    """One worker process and what it said."""

    def __init__(
        self,
        config: wire.WorkerConfig,
        run: RunDirectory,
        env: Mapping[str, str],
        on_aggregate: Callable[[wire.Aggregate], None] | None,
    ) -> None:
        self.number = config.worker
        self.log_path = run.logs / f"load-{config.worker}.log"
        config_path = run.logs / f"load-{config.worker}.json"
        config_path.write_bytes(config.to_json())
        self._on_aggregate = on_aggregate
        self._ready, self._ended = threading.Event(), threading.Event()
        self._totals: wire.WorkerTotals | None = None
        self._seen = {"offered": 0, "sent": 0, "ended": 0}
        self._seen_per_second: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        self.told_failure: str | None = None
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own module, by our own interpreter
                [sys.executable, "-m", "stormproof.load.worker", str(config_path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(env),
                start_new_session=True,  # Ctrl-C is the conductor's; it drains the load in order
            )
        self._reader = threading.Thread(target=self._listen, name=f"load-{config.worker}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, message: Mapping[str, Any]) -> None:
        """Give an order; a worker that is gone cannot take it, which `failure` tells."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))
            self._process.stdin.flush()

    def wait_ready(self, deadline_mono_s: float) -> bool:
        """Whether it is ready to start before the deadline; returns early when it ended instead."""
        self._ready.wait(max(0.0, deadline_mono_s - time.monotonic()))
        return self._ready.is_set() and not self._ended.is_set()

    def wait_ended(self, deadline_mono_s: float) -> None:
        """Wait until it ended and everything it said was read, at most until the deadline."""
        self._ended.wait(max(0.0, deadline_mono_s - time.monotonic()))

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
        return self._process.poll() is None and self.told_failure is None

    def failure(self) -> str | None:
        """Why it is of no use any more."""
        if self.told_failure is not None:
            return self.told_failure
        code = self._process.poll()
        if code is None:
            return None
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"load worker {self.number} {how}{_tail(self.log_path)}"

    def account(self) -> wire.WorkerTotals:
        """Its own totals, or what its aggregates told when it died before it could give them."""
        if self._totals is not None:
            return self._totals
        offered, sent = self._seen_per_second
        return wire.WorkerTotals(
            worker=self.number,
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

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(orjson.JSONDecodeError):  # a line cut off by kill -9
                self._take(orjson.loads(line))
        self._process.wait()
        self._ended.set()
        self._ready.set()

    def _take(self, message: dict[str, Any]) -> None:
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
                self.told_failure = message["message"]
            case unknown:
                raise AssertionError(f"a worker said {unknown!r}")


def _tail(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:] if path.exists() else []
    return "; the last lines of its log:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
