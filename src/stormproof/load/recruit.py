"""The other machine's side: joins a conductor, runs one load worker as a child, hands on what it says and writes.

The worker is the one of every load (`load.worker`), with pipes and a folder as everywhere: nothing of this is in its
way. Its rows are read from the folder after each flush and go out before the aggregate that counts them. Imports no
locust.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_connection
from typing import Any

import orjson

from stormproof.errors import LoadError, UnavailableError
from stormproof.load import wire
from stormproof.load.clock_offset import Clocks
from stormproof.load.handle import spawn
from stormproof.load.muster import identity_of
from stormproof.load.peer import MESSAGE, NAMES, ROWS, Peer, call_on
from stormproof.record.rows import NAMES_SUFFIX, ROW, ROWS_SUFFIX, part_name

CALL_AGAIN_S = 0.25
LOG_BYTES_MAX = 1 << 16
CHUNK_BYTES = ROW.size * 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """Where to report, with what."""

    host: str
    port: int
    token: bytes
    locustfile: Path
    source: str | None = None  # the address of this machine to call from
    wait_s: float = 60.0  # for a conductor that is not there yet
    clocks: Clocks = field(default_factory=Clocks)


class Spool:
    """The two growing files of a worker, and how much of them has been sent."""

    def __init__(self, folder: Path, worker: int) -> None:
        stem = folder / part_name(worker)
        self._names, self._rows = stem.with_suffix(NAMES_SUFFIX), stem.with_suffix(ROWS_SUFFIX)
        self._sent = {NAMES: 0, ROWS: 0}

    def ship(self, peer: Peer) -> None:
        """Send what is new and whole. `LoadError` as from `Peer.send`."""
        # How many rows there are before any name is read: a text is written before the first row that uses it.
        rows_bytes = _size(self._rows) // ROW.size * ROW.size
        self._send(peer, NAMES, self._names, _size(self._names))
        self._send(peer, ROWS, self._rows, rows_bytes)

    def _send(self, peer: Peer, kind: bytes, path: Path, end: int) -> None:
        if end == self._sent[kind]:
            return
        with path.open("rb") as file:
            file.seek(self._sent[kind])
            while (left := end - self._sent[kind]) > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
                peer.send(kind, chunk)
                self._sent[kind] += len(chunk)


class _Child:
    """The worker process and the thread that hands on what it says."""

    def __init__(self, peer: Peer, config: wire.WorkerConfig, folder: Path) -> None:
        self._peer, self._spool = peer, Spool(folder, config.worker)
        self._log = folder / "worker.log"
        config_path = folder / "config.json"
        config_path.write_bytes(config.to_json())
        self.process = spawn(config_path, self._log, os.environ)
        self.has_ended = threading.Event()  # and all that it left was sent
        self._thread = threading.Thread(target=self._relay, name="load-relay", daemon=True)
        self._thread.start()

    def order(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.process.stdin.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))
            self.process.stdin.flush()

    def end(self) -> None:
        """Kill it, if it still runs: whoever watches the load is gone, or has seen enough."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._thread.join(timeout=5.0)

    def _relay(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(LoadError):  # the receiving thread hears of it, too, and ends the worker
            for line in self.process.stdout:
                self._spool.ship(self._peer)
                self._peer.send(MESSAGE, line)
            code = self.process.wait()
            self._spool.ship(self._peer)
            log = self._log.read_bytes()[-LOG_BYTES_MAX:].decode(errors="replace")
            self._peer.send_message({"kind": wire.ENDED, "code": code, "log": log})
            self.has_ended.set()


class _Duty:
    """What a recruit does for one conductor."""

    def __init__(self, peer: Peer, posting: Posting, folder: Path) -> None:
        self._peer, self._posting, self._folder = peer, posting, folder
        self.child: _Child | None = None

    def do(self) -> None:
        """As told, until the conductor has all that it wants. `LoadError` when it refuses us, or is lost."""
        clocks = self._posting.clocks
        while (message := self._peer.receive_message(wire.SILENCE_OF_CONDUCTOR_S))["kind"] != wire.BYE:
            self._obey(message, {"heard_mono_s": clocks.mono_s(), "heard_wall_s": clocks.wall_s()})

    def _obey(self, message: Mapping[str, Any], heard: Mapping[str, float]) -> None:
        match message["kind"]:
            case wire.BEAT:
                self._peer.send_message({**message, **heard, "sent_mono_s": self._posting.clocks.mono_s()})
            case wire.CONFIG if self.child is None:
                config = _config(message["config"], self._posting, self._folder)
                self.child = _Child(self._peer, config, self._folder)
            case wire.START | wire.STOP if self.child is not None:
                self.child.order(message)
            case wire.REFUSED:
                raise LoadError(f"the conductor at {self._peer.host} refused this worker: {message['reason']}")
            case unknown:
                raise LoadError(f"the conductor at {self._peer.host} said {unknown!r}, which means nothing here")


def serve(posting: Posting) -> None:
    """Take part in one load, from joining to its end.

    Raises `UnavailableError` when no conductor is there in time, `LoadError` when it refuses us, or is lost.
    """
    identity = identity_of(posting.locustfile)
    peer = _call(posting)
    folder = Path(tempfile.mkdtemp(prefix="stormproof-load-"))
    duty = _Duty(peer, posting, folder)
    try:
        peer.send_message({"kind": wire.HELLO, "identity": identity})
        duty.do()
    except LoadError as error:
        if duty.child is None:
            raise
        duty.child.end()  # first: nobody sees any more what the load does
        raise LoadError(f"the load was stopped, because its conductor was lost: {error}") from error
    finally:
        if duty.child is not None:
            duty.child.end()
        peer.close()
        shutil.rmtree(folder, ignore_errors=True)
    if duty.child is None or not duty.child.has_ended.is_set():
        raise LoadError(f"the conductor at {peer.host} let go of this worker before the load was over")


def _config(fields: Mapping[str, Any], posting: Posting, folder: Path) -> wire.WorkerConfig:
    """The worker's configuration with the paths of this machine."""
    ours = {"locustfile": str(posting.locustfile), "samples_folder": str(folder), "parent_pid": _parent_pid()}
    return wire.WorkerConfig.from_json(orjson.dumps({**fields, **ours}))


def _parent_pid() -> int | None:
    # Linux sends the death signal when the thread that made the child ends
    return os.getpid() if threading.current_thread() is threading.main_thread() else None


def _call(posting: Posting) -> Peer:
    deadline = time.monotonic() + posting.wait_s
    source = None if posting.source is None else (posting.source, 0)
    while True:
        try:
            connection = create_connection((posting.host, posting.port), timeout=5.0, source_address=source)
            break
        except OSError as error:
            # an address that is not ours will not become so
            if error.errno == errno.EADDRNOTAVAIL or time.monotonic() > deadline:
                raise UnavailableError(
                    f"no conductor answers at {posting.host}:{posting.port}: {error.strerror or error}",
                    hint="it listens from the start of the run until all its workers are there",
                ) from error
            time.sleep(CALL_AGAIN_S)
    try:
        return call_on(connection, posting.token, within_s=5.0, send_within_s=wire.SILENCE_OF_CONDUCTOR_S)
    except LoadError as error:
        connection.close()
        raise LoadError(
            f"{posting.host}:{posting.port} and this worker do not know each other: {error}",
            hint="the token file must have the same content on both machines",
        ) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # the worker has not got that far
        return 0
