"""Load workers that join over TCP, as from other machines: here from several loopback addresses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from stormproof.errors import LoadError
from stormproof.load.clock_offset import Clocks
from stormproof.load.driver import LoadDriver, LoadPlan
from stormproof.load.live import LiveSli
from stormproof.load.recruit import Posting, serve
from stormproof.load.wire import Aggregate
from stormproof.model.experiment import ArrivalProcess, Load
from stormproof.model.load_listener import LoadListener
from stormproof.record.layout import RunDirectory
from stormproof.record.rows import ROW, ROWS_SUFFIX, part_name
from stormproof.record.samples import read_samples
from support.load_server import LOCUSTFILE, Server, drive, locustfile, until

TOKEN = b"a token that is long enough for this, and secret"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run").create()


@pytest.fixture
def listener(tmp_path: Path) -> LoadListener:
    token = tmp_path / "token"
    token.write_bytes(TOKEN)
    token.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return LoadListener(host="127.0.0.1", port=port, token_file=str(token), join_within_s=20)


@pytest.fixture
def recruit(listener: LoadListener) -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    """`stormproof load worker LOCUSTFILE` from the given address."""
    started: list[subprocess.Popen[str]] = []

    def start(path: str, source: str) -> subprocess.Popen[str]:
        options = ["--connect", listener.address, "--token-file", listener.token_file, "--source", source]
        command = [str(Path(sys.executable).with_name("stormproof")), "load", "worker", path, *options]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def plan(load: Load, url: str, listener: LoadListener) -> LoadPlan:
    return LoadPlan(load=load, base_url=url, duration_s_max=60, seed=1, listener=listener)


@pytest.mark.alone
def test_workers_of_three_addresses_share_one_schedule(
    server: Server,
    run: RunDirectory,
    listener: LoadListener,
    recruit: Callable[[str, str], subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    """Three of 127.0.0.2 to .4 send what one worker sends: the same instants and tasks, each once, all of it kept here.

    What an aggregate calls settled is on disk when it comes; the aggregates feed the stop conditions as ever.
    """
    path = locustfile(tmp_path)
    load = Load(locustfile=path, arrivals_per_s=90, workers=3, process=ArrivalProcess.POISSON)
    processes = [recruit(path, f"127.0.0.{last}") for last in (2, 3, 4)]
    sli = LiveSli(3)
    kept: list[tuple[int, float, int]] = []  # worker, what it calls settled, its rows that are on disk by then

    def take(aggregate: Aggregate) -> None:
        rows = run.samples / f"{part_name(aggregate.worker)}{ROWS_SUFFIX}"
        kept.append((aggregate.worker, aggregate.settled_s or 0.0, rows.stat().st_size // ROW.size))
        sli.add(aggregate)

    driver = LoadDriver(plan(load, server.url, listener), run, on_aggregate=take)
    try:
        start_s = driver.start()
        until(lambda: (sli.settled_until_s() or 0.0) > start_s + 2 or not driver.alive())
        assert driver.failure() is None
        summary = driver.stop()
    finally:
        driver.kill()
    together = read_samples(run)
    alone_run = RunDirectory(tmp_path / "alone").create()
    one = Load(locustfile=path, arrivals_per_s=90, process=ArrivalProcess.POISSON)
    _, alone_s = drive(alone_run, one, server.url, seconds=2)
    alone = read_samples(alone_run)

    assert [process.wait(10) for process in processes] == [0, 0, 0]
    assert {worker.host for worker in summary.workers} == {"127.0.0.2", "127.0.0.3", "127.0.0.4"}
    assert len(together) == summary.sent == sum(worker.rows or 0 for worker in summary.workers)
    # Due in the very instant of the stop, at most one a worker; none before it, as the instants have no gap (below).
    assert all(0 <= worker.offered - worker.sent <= 1 for worker in summary.workers)
    assert set(together["worker"]) == {0, 1, 2}
    n = min(len(alone), len(together))
    assert n > 100
    due = together["scheduled_at"].to_numpy()[:n] - start_s
    assert np.allclose(due, alone["scheduled_at"].to_numpy()[:n] - alone_s, atol=1e-5)
    assert list(together["endpoint"][:n]) == list(alone["endpoint"][:n])
    settled = together.groupby("worker")["scheduled_at"]
    due_of = {int(worker): at.to_numpy() for worker, at in settled}
    assert len(kept) > 30
    assert all(np.count_nonzero(due_of[worker] < settled_s) <= rows for worker, settled_s, rows in kept)
    for worker in summary.workers:
        assert worker.clock_error_ms is not None
        assert 0 < worker.clock_error_ms < 50
        assert worker.wall_offset_ms is not None
        assert abs(worker.wall_offset_ms) < 50
    assert not list(run.samples.glob("*.rows"))
    late_s = np.sort(server.arrived_at[: len(together)]) - together["scheduled_at"].to_numpy()
    assert abs(np.median(late_s)) < 0.1, "they came when they were due, by the conductor's clock"


@pytest.mark.alone
@pytest.mark.parametrize("whose", ["recruit", pytest.param("its worker", marks=pytest.mark.slow)])
def test_a_killed_worker_elsewhere_is_noticed_and_keeps_its_rows(
    server: Server,
    run: RunDirectory,
    listener: LoadListener,
    recruit: Callable[[str, str], subprocess.Popen[str]],
    tmp_path: Path,
    whose: str,
) -> None:
    """`kill -9` of the recruit, or of the worker behind it: the load has failed, at most a second of rows is lost."""
    path = locustfile(tmp_path)
    process = recruit(path, "127.0.0.2")
    driver = LoadDriver(plan(Load(locustfile=path, arrivals_per_s=50), server.url, listener), run)
    try:
        start_s = driver.start()
        (child,) = psutil.Process(process.pid).children()
        until(lambda: time.time() > start_s + 1.5)
        os.kill(process.pid if whose == "recruit" else child.pid, signal.SIGKILL)
        killed_s = time.time()
        until(lambda: not driver.alive(), 5)
        failure = driver.failure()
        summary = driver.stop(0.5)
    finally:
        driver.kill()

    assert failure is not None
    says = "vanished: the connection was closed" if whose == "recruit" else "was killed by signal 9"
    assert f"load worker 0 (127.0.0.2) {says}" in failure
    samples = read_samples(run)
    assert samples["sent_at"].max() > killed_s - 1.0
    assert abs(summary.sent - len(samples)) <= 10
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)
    assert max(server.arrived_at) < killed_s + 1.0


@pytest.mark.alone
@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGKILL, marks=pytest.mark.slow, id="killed"), pytest.param(signal.SIGSTOP, id="frozen")],
)
def test_a_load_elsewhere_ends_with_its_conductor(
    server: Server,
    run: RunDirectory,
    listener: LoadListener,
    recruit: Callable[[str, str], subprocess.Popen[str]],
    tmp_path: Path,
    how: signal.Signals,
) -> None:
    """A conductor that is dead, or only silent: within a second nothing is sent any more, and the recruit says why."""
    script = textwrap.dedent(
        """
        import sys, threading
        from pathlib import Path
        from stormproof.load.driver import LoadDriver, LoadPlan
        from stormproof.model.experiment import Load
        from stormproof.model.load_listener import LoadListener
        from stormproof.record.layout import RunDirectory
        path, url, folder, port, token = sys.argv[1:]
        listener = LoadListener(host="127.0.0.1", port=int(port), token_file=token)
        load = Load(locustfile=path, arrivals_per_s=50)
        plan = LoadPlan(load=load, base_url=url, duration_s_max=60, seed=1, listener=listener)
        LoadDriver(plan, RunDirectory(Path(folder))).start()
        threading.Event().wait(60)
        """
    )
    path = locustfile(tmp_path)
    arguments = [path, server.url, str(run.path), str(listener.port), listener.token_file]
    conductor = subprocess.Popen([sys.executable, "-c", script, *arguments])
    process = recruit(path, "127.0.0.2")
    try:
        until(lambda: len(server.arrived_at) > 50)
        conductor.send_signal(how)
        silent_s = time.time()

        assert process.wait(10) == LoadError.exit_code
        assert process.stderr is not None
        assert "the load was stopped, because its conductor was lost" in process.stderr.read()
        assert max(server.arrived_at) < silent_s + 1.0
    finally:
        conductor.kill()
        conductor.wait()


def turned_away(driver: LoadDriver, posting: Posting) -> tuple[str, str]:
    """What the conductor and the recruit say, when neither gets what it wants."""
    heard: list[str] = []

    def recruit() -> None:
        with pytest.raises(LoadError) as refused:
            serve(posting)
        heard.append(str(refused.value))

    thread = threading.Thread(target=recruit)
    thread.start()
    with pytest.raises(LoadError) as missing:
        driver.start()
    thread.join(10)
    return str(missing.value), heard[0]


@pytest.mark.parametrize(
    ("wrong", "conductor_says", "recruit_says"),
    [
        ("token", "turned away: 127.0.0.1: the other end holds another token", "do not know each other"),
        ("locustfile", "its locustfile is another one: SHA-256", "refused this worker: its locustfile is another one"),
        ("wall clock", "its wall clock is +7.0 s off the conductor's, at most 1 s are allowed", "its wall clock is"),
    ],
)
def test_who_is_unfit_is_turned_away(
    run: RunDirectory, listener: LoadListener, tmp_path: Path, wrong: str, conductor_says: str, recruit_says: str
) -> None:
    """Another token, another locustfile, or another time of day: no load is started."""
    path = locustfile(tmp_path)
    other = tmp_path / "other.py"
    other.write_text(LOCUSTFILE + "\n# changed")
    posting = Posting(
        host="127.0.0.1",
        port=listener.port,
        token=b"another token, just as long as the right one" if wrong == "token" else TOKEN,
        locustfile=other if wrong == "locustfile" else Path(path),
        clocks=Clocks(wall_s=(lambda: time.time() + 7) if wrong == "wall clock" else time.time),
    )
    short = LoadListener(host="127.0.0.1", port=listener.port, token_file=listener.token_file, join_within_s=0.6)
    driver = LoadDriver(plan(Load(locustfile=path, arrivals_per_s=5), "http://127.0.0.1:9", short), run)

    missing, refused = turned_away(driver, posting)

    assert conductor_says in missing
    assert recruit_says in refused
    assert TOKEN.decode() not in missing + refused
    assert not list(run.samples.iterdir())


def test_a_stranger_on_the_port_ends_nothing(run: RunDirectory, listener: LoadListener, tmp_path: Path) -> None:
    """Who connects and says nothing, or nonsense, costs the run nothing but a line; a person can still end the wait."""
    driver = LoadDriver(
        plan(Load(locustfile=locustfile(tmp_path), arrivals_per_s=5), "http://127.0.0.1:9", listener), run
    )
    reasons: list[str] = []

    def stranger() -> None:
        until(lambda: _calls(listener.port, b"") and _calls(listener.port, b"x" * 200))
        reasons.append("SIGINT received")

    thread = threading.Thread(target=stranger)
    thread.start()
    with pytest.raises(LoadError, match="SIGINT received while load workers were awaited"):
        driver.start(interrupted=lambda: reasons[0] if reasons else None)
    thread.join()


def _calls(port: int, says: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(says)
    except ConnectionError:
        return False
    return True


def test_workers_of_other_machines_are_not_sent_to_loopback(
    run: RunDirectory, listener: LoadListener, tmp_path: Path
) -> None:
    """A listener that others can reach, and a workload at 127.0.0.1: they would load themselves."""
    outside = LoadListener(host="192.0.2.1", port=listener.port, token_file=listener.token_file)
    driver = LoadDriver(
        plan(Load(locustfile=locustfile(tmp_path), arrivals_per_s=5), "http://127.0.0.1:9", outside), run
    )

    with pytest.raises(LoadError, match=r"would load themselves: the workload is at http://127\.0\.0\.1:9"):
        driver.start()
