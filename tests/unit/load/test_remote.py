"""The conductor's end of a worker elsewhere: what it is sent, what is kept of what it sends, and what is refused."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from stormproof.load import wire
from stormproof.load.clock_offset import ClockOffset, Exchange
from stormproof.load.peer import MESSAGE, NAMES, ROWS, Peer, call_on, greet
from stormproof.load.remote import RemoteWorker
from stormproof.record.layout import RunDirectory
from stormproof.record.rows import ROW

TOKEN = b"0123456789abcdef0123456789abcdef"
CONFIG = wire.WorkerConfig(
    worker=1, workers=2, locustfile="/here/load.py", base_url="http://127.0.0.1:9", timeout_s=1.0, duration_s_max=5.0,
    seed=7, samples_folder="/here/samples", arrivals_per_s=10.0, parent_pid=1,
)  # fmt: skip


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[RemoteWorker, Peer]]:
    """A worker whose monotonic clock is 100 s ahead: the conductor's end, and its own."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
        called = pool.submit(call_on, theirs, TOKEN, within_s=2, send_within_s=2)
        peer = greet(ours, TOKEN, within_s=2, send_within_s=2)
        other = called.result()
    clock = ClockOffset()
    clock.note(Exchange(offset_s=100.0, uncertainty_s=0.001, wall_offset_s=0.2))
    worker = RemoteWorker(CONFIG, RunDirectory(tmp_path / "run").create(), peer, clock, None)
    yield worker, other
    worker.kill()
    other.close()


def heard(other: Peer, kind: str) -> dict[str, object]:
    """The next message of *kind*; beats are passed over."""
    while (message := other.receive_message(2))["kind"] != kind:
        assert message["kind"] == wire.BEAT
    return message


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_start_is_told_by_the_clock_of_the_worker(both: tuple[RemoteWorker, Peer]) -> None:
    """Our instant 5 is its 105; the wall time is ours, because the rows are to bear it. No path of ours is sent."""
    worker, other = both
    config = heard(other, wire.CONFIG)["config"]
    worker.start(5.0, 1_000.0)

    assert heard(other, wire.START) == {"kind": "start", "mono_s": 105.0, "wall_s": 1_000.0}
    assert isinstance(config, dict)
    assert config["worker"] == 1
    assert not {"locustfile", "samples_folder", "parent_pid"} & config.keys()


def test_rows_are_there_before_what_follows_them(both: tuple[RemoteWorker, Peer], tmp_path: Path) -> None:
    """Names and rows are appended as they come; once it is ready, all before is on disk."""
    worker, other = both
    other.send(NAMES, b'{"worker": 1}\n')
    other.send(ROWS, bytes(3 * ROW.size))
    other.send(ROWS, bytes(ROW.size))
    other.send_message({"kind": wire.READY})

    assert worker.told.wait_ready(time.monotonic() + 5)
    samples = tmp_path / "run" / "samples"
    assert (samples / "part-001.rows").stat().st_size == 4 * ROW.size
    assert (samples / "part-001.names.jsonl").read_bytes() == b'{"worker": 1}\n'
    assert worker.failure() is None


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        (ROWS, bytes(ROW.size + 1), "no whole number of rows"),
        (MESSAGE, orjson.dumps({"kind": "ready", "worker": 0}), "is worker 1 and speaks for 0"),
        (MESSAGE, b'{"kind": "dance"}', "nobody understands"),
        (MESSAGE, b"[]", "nobody understands"),
        (MESSAGE, orjson.dumps({"kind": "failed", "message": "no sockets"}), "(127.0.0.1): no sockets"),
        (MESSAGE, orjson.dumps({"kind": "ended", "code": -9, "log": "a\nlast words"}), "signal 9; the last lines"),
    ],
)
def test_a_worker_that_is_ill_has_failed(
    both: tuple[RemoteWorker, Peer], kind: bytes, content: bytes, says: str
) -> None:
    """Half a row, another's number, unknown words, its own word, its end: each is said, with who and where it is."""
    worker, other = both
    other.send(kind, content)

    until(worker.failure)
    failure = worker.failure() or ""
    assert failure.startswith("load worker 1 (127.0.0.1)")
    assert says in failure
    assert not worker.alive()
