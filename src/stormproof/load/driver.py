"""The conductor's side of the load: starts or awaits the workers, agrees on an instant, listens, stops, collects.

Imports no locust. Not for use inside a gevent process: it converts rows with pyarrow and reads in threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stormproof.errors import LoadError
from stormproof.load import wire
from stormproof.load.handle import LocalWorker, OnAggregate, WorkerHandle
from stormproof.load.muster import Muster, identity_of
from stormproof.load.remote import RemoteWorker
from stormproof.load.token import read_token
from stormproof.model.control import HeaderControl
from stormproof.model.experiment import Load
from stormproof.model.load_listener import LoadListener
from stormproof.record.layout import RunDirectory
from stormproof.record.samples import convert_rows

READY_DEADLINE_S = 60.0  # importing Locust takes a second or two, several times that on a busy machine
START_AHEAD_S = 0.3  # from the order to the common start: every worker must have read it by then
START_AHEAD_REMOTE_S = 1.0  # the same over a network
STOP_GRACE_S = 10.0  # beyond the drain: totals, the last rows


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What to drive, at whom, for how long at most."""

    load: Load
    base_url: str
    duration_s_max: float  # the load ends by itself after this
    seed: int
    control: HeaderControl | None = None  # whom a header sends past the fault
    listener: LoadListener | None = None  # where all the workers come from; None: they are started here


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
        on_aggregate: OnAggregate | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._plan, self._run = plan, run
        self._env = dict(os.environ if env is None else env)
        self._on_aggregate, self._say = on_aggregate, say or (lambda _: None)
        self._workers: list[WorkerHandle] = []
        self._stopping = False

    def start(self, *, interrupted: Callable[[], str | None] = lambda: None) -> float:
        """Start the workers, or await those of other machines; Unix seconds of the common start, a moment ahead.

        `LoadError` when one cannot, or is missing, or while they are awaited *interrupted* gives a reason to stop.
        """
        assert not self._workers, "a driver drives one load"
        listener = self._plan.listener
        try:
            if listener is None:
                for worker in range(self._plan.load.workers):
                    self._workers.append(LocalWorker(self._config(worker), self._run, self._env, self._on_aggregate))
            else:
                self._muster(listener, interrupted)
            self._wait_ready()
        except BaseException:  # also Ctrl-C: no worker outlives a load that did not start
            self.kill()
            raise
        # One anchor for all: the monotonic clock is the machine's, so workers on it need not agree on anything else.
        ahead_s = START_AHEAD_S if listener is None else START_AHEAD_REMOTE_S
        start_mono_s, start_s = time.monotonic() + ahead_s, time.time() + ahead_s
        for handle in self._workers:
            handle.start(start_mono_s, start_s)
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
            handle.told.wait_ended(deadline)
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
            return next((handle.told.failure for handle in self._workers if handle.told.failure), None)
        return next((reason for handle in self._workers if (reason := handle.failure())), None)

    def pids(self) -> list[int]:
        """The process ids of the workers on this machine that we have started."""
        return [handle.pid for handle in self._workers if isinstance(handle, LocalWorker)]

    def _muster(self, listener: LoadListener, interrupted: Callable[[], str | None]) -> None:
        """Take in as many workers of other machines as the load has, in the order in which they come."""
        host = urlsplit(self._plan.base_url).hostname or ""
        if not listener.is_loopback and (host == "localhost" or host.startswith("127.") or host == "::1"):
            raise LoadError(
                f"load workers of other machines would load themselves: the workload is at {self._plan.base_url}",
                hint="an address of the workload that they can reach, or workers on this machine only",
            )
        token, identity = read_token(Path(listener.token_file)), identity_of(Path(self._plan.load.locustfile))
        with Muster(listener, token, identity) as muster:
            count = self._plan.load.workers
            self._say(
                f"awaiting {count} load worker{'s'[: count != 1]} at {replace(listener, port=muster.port).address}"
            )
            deadline = time.monotonic() + listener.join_within_s
            for worker in range(count):
                joined = muster.next_worker(deadline, interrupted=interrupted)
                self._workers.append(
                    RemoteWorker(self._config(worker), self._run, joined.peer, joined.clock, self._on_aggregate)
                )
                self._say(f"joined   load worker {worker} of {joined.peer.host}")

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_DEADLINE_S
        for handle in self._workers:
            if not handle.told.wait_ready(deadline):
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
            control_header=self._plan.control.header if self._plan.control else None,
            control_share=self._plan.control.share if self._plan.control else 0.0,
            # Linux sends the death signal when the *thread* that made the child ends, not the process
            parent_pid=os.getpid() if threading.current_thread() is threading.main_thread() else None,
        )
