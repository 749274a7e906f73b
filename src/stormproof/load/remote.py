"""The conductor's end of a load worker on another machine: its rows land in our run directory as they happen."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import orjson

from stormproof.errors import LoadError
from stormproof.load import wire
from stormproof.load.clock_offset import ClockOffset, exchange
from stormproof.load.handle import OnAggregate, Told, how_it_ended, said_last
from stormproof.load.peer import MESSAGE, NAMES, Peer
from stormproof.record.layout import RunDirectory
from stormproof.record.rows import NAMES_SUFFIX, ROW, ROWS_SUFFIX, part_name

# What only the worker's own machine knows.
PATHS = ("locustfile", "samples_folder", "parent_pid")


class RemoteWorker:
    """One worker that has joined. Rows come before the aggregate that counts them, so `settled_s` holds here, too."""

    def __init__(
        self,
        config: wire.WorkerConfig,
        run: RunDirectory,
        peer: Peer,
        clock: ClockOffset,
        on_aggregate: OnAggregate | None,
    ) -> None:
        self.number, self.host = config.worker, peer.host
        self.log_path = run.logs / f"load-{config.worker}.log"
        self.told = Told(config.worker, on_aggregate)
        self._peer, self._clock = peer, clock
        self._lost: str | None = None
        self._closing = threading.Event()
        stem = run.samples / part_name(config.worker)
        self._names, self._rows = (
            os.open(f"{stem}{suffix}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            for suffix in (NAMES_SUFFIX, ROWS_SUFFIX)
        )
        fields = {name: value for name, value in asdict(config).items() if name not in PATHS}
        self.send({"kind": wire.CONFIG, "config": fields})
        self._threads = [
            threading.Thread(target=target, name=f"load-{config.worker}", daemon=True)
            for target in (self._listen, self._beat)
        ]
        for thread in self._threads:
            thread.start()

    def start(self, mono_s: float, wall_s: float) -> None:
        """As `WorkerHandle`: our instant on *its* monotonic clock, under our name for it."""
        self.send({"kind": wire.START, "mono_s": mono_s + self._clock.start.offset_s, "wall_s": wall_s})

    def send(self, message: Mapping[str, Any]) -> None:
        """As `WorkerHandle`."""
        try:
            self._peer.send_message(message)
        except LoadError as error:
            self._lose(str(error))

    def kill(self) -> None:
        """Let go of it: a worker without a conductor ends its load at once."""
        self._closing.set()
        with contextlib.suppress(LoadError):
            self._peer.send_message({"kind": wire.BYE})
        self._peer.close()
        for thread in self._threads:
            thread.join(timeout=5.0)

    def alive(self) -> bool:
        """As `WorkerHandle`."""
        return not self.told.has_ended and self.told.failure is None

    def failure(self) -> str | None:
        """As `WorkerHandle`."""
        if self.told.failure is not None:
            return f"load worker {self.number} ({self.host}): {self.told.failure}"
        return f"load worker {self.number} ({self.host}) {self._lost}" if self._lost is not None else None

    def account(self) -> wire.WorkerTotals:
        """As `WorkerHandle`, with where it was and what its clocks were."""
        start = self._clock.start
        return replace(
            self.told.account(),
            worker=self.number,
            host=self.host,
            wall_offset_ms=round(start.wall_offset_s * 1000, 3),
            clock_uncertainty_ms=round(start.uncertainty_s * 1000, 3),
            clock_error_ms=round(self._clock.error_s * 1000, 3),
        )

    def _listen(self) -> None:
        try:
            while True:
                kind, content = self._peer.receive(wire.SILENCE_OF_WORKER_S)
                if kind == MESSAGE:
                    self._take(orjson.loads(content), time.monotonic())
                else:
                    self._append(kind, content)
        except LoadError as error:
            self._lose(f"vanished: {error}")
        except OSError as error:
            self._lose(f"wrote samples that could not be kept: {error}")
        except (KeyError, TypeError, ValueError, AssertionError) as error:  # of another version, or ill
            self._lose(f"said what nobody understands: {type(error).__name__}: {error}")
        finally:
            self.told.no_more()
            for descriptor in (self._rows, self._names):
                os.close(descriptor)  # made durable as Parquet

    def _take(self, message: Mapping[str, Any], heard_mono_s: float) -> None:
        if message["kind"] == wire.BEAT:
            asked, mono_s, wall_s = float(message["asked_mono_s"]), time.monotonic(), time.time()
            self._clock.note(exchange(asked, message, heard_mono_s, mono_s=mono_s, wall_s=wall_s))
        elif message["kind"] == wire.ENDED:
            log = str(message["log"])
            self.log_path.write_text(log, encoding="utf-8")
            if not self._closing.is_set():
                self._lost = self._lost or f"{how_it_ended(int(message['code']))}{said_last(log.splitlines()[-8:])}"
            self.told.no_more()
        elif message.get("worker", self.number) == self.number:
            self.told.take(message)
        else:
            raise ValueError(f"it is worker {self.number} and speaks for {message['worker']}")

    def _append(self, kind: bytes, content: bytes) -> None:
        if kind != NAMES and len(content) % ROW.size:
            raise ValueError(f"{len(content)} bytes are no whole number of rows of {ROW.size}")
        left = memoryview(content)
        while left:
            left = left[os.write(self._names if kind == NAMES else self._rows, left) :]

    def _beat(self) -> None:
        while not self._closing.wait(wire.BEAT_EVERY_S):
            self.send({"kind": wire.BEAT, "asked_mono_s": time.monotonic()})

    def _lose(self, why: str) -> None:
        if not self._closing.is_set() and not self.told.has_ended:
            self._lost = self._lost or why
            self.told.no_more()
