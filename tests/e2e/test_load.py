"""The load generator against a real HTTP server in this process: schedule, stalls, deaths, bad locustfiles."""

from __future__ import annotations

import asyncio
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
from aiohttp import web

from stormproof.errors import LoadError
from stormproof.load.driver import LoadDriver, LoadPlan, LoadSummary
from stormproof.load.live import LiveSli
from stormproof.model.experiment import ArrivalProcess, Load
from stormproof.record.layout import RunDirectory
from stormproof.record.samples import read_samples

LOCUSTFILE = """
    from locust import FastHttpUser, task

    class Shopper(FastHttpUser):
        @task(3)
        def home(self):
            self.client.get("/", name="/")

        @task
        def product(self):
            self.client.get("/product/1", name="/product")
"""


class Server:
    """An HTTP server on a thread of its own. Requests that come in during the stall wait for its end."""

    def __init__(self) -> None:
        self.arrived_at: list[float] = []
        self.stall: tuple[float, float] = (0.0, 0.0)
        self.hang = asyncio.Event()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/hang", self._never)
        app.router.add_route("*", "/error", self._error)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=4096)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _answer(self, _: web.Request) -> web.Response:
        now = time.time()
        self.arrived_at.append(now)
        start, end = self.stall
        if start <= now < end:
            await asyncio.sleep(end - now)
        return web.Response(text="ok", headers={"x-zone": "a"})

    async def _error(self, _: web.Request) -> web.Response:
        return web.Response(status=503, headers={"x-zone": "b"})

    async def _never(self, _: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run").create()


def locustfile(folder: Path, text: str = LOCUSTFILE) -> str:
    path = folder / "load.py"
    path.write_text(textwrap.dedent(text))
    return str(path)


def until(condition: Callable[[], bool], deadline_s: float = 20.0) -> None:
    give_up = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < give_up, "the condition did not come true before the deadline"
        time.sleep(0.02)


def drive(
    run: RunDirectory,
    load: Load,
    url: str,
    *,
    seconds: float,
    seed: int = 1,
    at_start: Callable[[float], None] = lambda start_s: None,
) -> tuple[LoadSummary, float]:
    """Run *load* for *seconds*; its summary and its start."""
    driver = LoadDriver(LoadPlan(load=load, base_url=url, duration_s_max=60, seed=seed), run)
    try:
        start_s = driver.start()
        at_start(start_s)
        until(lambda: time.time() >= start_s + seconds or not driver.alive(), seconds + 20)
        assert driver.failure() is None
        return driver.stop(), start_s
    finally:
        driver.kill()


def test_a_stall_is_seen_by_the_open_model_and_hidden_by_the_closed_one(server: Server, tmp_path: Path) -> None:
    """A planted stall of 1 s in 5: the open model counts who waited; a closed model of the same rate does not.

    At 100/s, the arrivals of the stall's first half second (50) wait more than 0.5 s. The closed model has 5 users
    who think 50 ms: about 100/s while all is well, at most one slow request a user when it is not.
    """
    path = locustfile(tmp_path)

    def stall(start_s: float) -> None:
        server.stall = (start_s + 2.0, start_s + 3.0)

    open_run = RunDirectory(tmp_path / "open").create()
    summary, _ = drive(open_run, Load(locustfile=path, arrivals_per_s=100), server.url, seconds=5, at_start=stall)
    open_samples = read_samples(open_run)

    closed_folder = tmp_path / "closed-files"
    closed_folder.mkdir()
    closed_path = locustfile(
        closed_folder, LOCUSTFILE.replace("@task(3)", "wait_time = lambda self: 0.05\n        @task(3)", 1)
    )
    closed_run = RunDirectory(tmp_path / "closed").create()
    drive(closed_run, Load(locustfile=closed_path, users=5), server.url, seconds=5, at_start=stall)
    closed_samples = read_samples(closed_run)

    assert summary.delivered_share is not None
    assert summary.delivered_share > 0.98
    open_slow = int((open_samples["latency_ms"] > 500).sum())
    closed_slow = int((closed_samples["latency_ms"] > 500).sum())
    assert 40 <= open_slow <= 65
    assert closed_slow <= 5
    assert len(closed_samples) > 250, "the closed model must have made a comparable load, or it proves nothing"
    assert np.quantile(open_samples["latency_ms"], 0.95) > 500
    assert np.quantile(closed_samples["latency_ms"], 0.95) < 500


def test_several_workers_share_one_schedule(server: Server, run: RunDirectory, tmp_path: Path) -> None:
    """Three workers send every arrival of the schedule once, at its instant, and say what was offered and sent."""
    load = Load(locustfile=locustfile(tmp_path), arrivals_per_s=60, workers=3)

    summary, start_s = drive(run, load, server.url, seconds=2)
    samples = read_samples(run)

    indices = np.rint((samples["scheduled_at"].to_numpy() - start_s) * 60).astype(int)
    assert sorted(indices) == list(range(len(indices)))
    assert set(samples["worker"]) == {0, 1, 2}
    assert len(samples) == summary.sent == summary.offered
    assert len(server.arrived_at) == len(samples)
    assert {"/", "/product"} == set(samples["endpoint"])
    assert set(samples["zone"]) == {"a"}
    assert samples["ok"].all()
    assert set(samples["error"]) == {""}
    for worker in summary.as_event():
        assert sum(row[1] for row in worker["per_second"]) == worker["offered"]
        assert sum(row[2] for row in worker["per_second"]) == worker["sent"]
        assert 0 < worker["cpu_share"] < 1.5


def test_the_seed_makes_the_load_repeatable(server: Server, tmp_path: Path) -> None:
    """Two Poisson loads with one seed have the same instants and tasks; another seed has others."""
    load = Load(locustfile=locustfile(tmp_path), arrivals_per_s=50, process=ArrivalProcess.POISSON)

    def plan(name: str, seed: int) -> list[tuple[float, str]]:
        run = RunDirectory(tmp_path / name).create()
        _, start_s = drive(run, load, server.url, seconds=1, seed=seed)
        samples = read_samples(run)
        offsets = (samples["scheduled_at"] - start_s).round(4)
        return list(zip(offsets, samples["endpoint"], strict=True))[:30]

    first, second, other = plan("first", 7), plan("second", 7), plan("other", 8)

    assert len(first) == 30
    assert first == second
    assert first != other


def test_failures_have_short_stable_words(server: Server, run: RunDirectory, tmp_path: Path) -> None:
    """A bad status, a refused connection, no answer in time and the locustfile's own word each say so."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{closed.getsockname()[1]}/refused"
        path = locustfile(
            tmp_path,
            f"""
            from locust import FastHttpUser, HttpUser, task

            class Shopper(FastHttpUser):
                @task
                def error(self):
                    self.client.get("/error", name="error")

                @task
                def hang(self):
                    self.client.get("/hang", name="hang")

                @task
                def refused(self):
                    self.client.get("{refused}", name="refused")

                @task
                def own(self):
                    with self.client.get("/", name="own", catch_response=True) as response:
                        response.failure("too  cheap")

                @task
                def forgiven(self):
                    with self.client.get("/error", name="forgiven", catch_response=True) as response:
                        response.success()

            class Slow(HttpUser):
                @task
                def hang_requests(self):
                    self.client.get("/hang", name="hang requests")

                @task
                def error_requests(self):
                    self.client.get("/error", name="error requests")
            """,
        )
        load = Load(locustfile=path, arrivals_per_s=60, timeout_s=0.5)
        drive(run, load, server.url, seconds=2)

    samples = read_samples(run)
    words = {
        endpoint: {(error, int(status), bool(ok)) for error, status, ok in zip(*columns, strict=True)}
        for endpoint, rows in samples.groupby("endpoint", observed=True)
        for columns in [(rows["error"], rows["status"], rows["ok"])]
    }
    assert words == {
        "error": {("status 503", 503, False)},
        "hang": {("timeout", 0, False)},
        "refused": {("connection refused", 0, False)},
        "own": {("too cheap", 200, False)},
        "forgiven": {("", 503, True)},
        "hang requests": {("timeout", 0, False)},
        "error requests": {("status 503", 503, False)},
    }
    hung = samples.loc[samples["endpoint"] == "hang", "service_ms"]
    assert hung.between(450, 900).all()


def test_a_closed_connection_is_one_sample_and_one_attempt(run: RunDirectory, tmp_path: Path) -> None:
    """A server that closes every connection without an answer sees one connection a sample: no hidden retries."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    accepted = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(4096)
            accepted.append(time.time())
            connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        drive(run, Load(locustfile=locustfile(tmp_path), arrivals_per_s=20, timeout_s=2), url, seconds=1.5)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)

    samples = read_samples(run)
    assert len(samples) > 20
    assert set(samples["error"]) <= {"closed", "reset"}
    assert len(accepted) == len(samples)


def test_a_drip_does_not_outlive_the_timeout(run: RunDirectory, tmp_path: Path) -> None:
    """A body that comes in drops, each within the time-out, still ends when the request's time-out is over."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            try:
                while not stop.wait(0.1):
                    connection.sendall(b".")
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        drive(run, Load(locustfile=locustfile(tmp_path), arrivals_per_s=5, timeout_s=0.5), url, seconds=1.5)
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)

    samples = read_samples(run)
    assert len(samples) >= 5
    assert set(samples["error"]) == {"timeout"}
    assert samples["service_ms"].between(450, 900).all()


def test_live_levels_follow_the_load(server: Server, run: RunDirectory, tmp_path: Path) -> None:
    """The merged aggregates of two workers show rate, availability and latency while the load runs."""
    load = Load(locustfile=locustfile(tmp_path), arrivals_per_s=80, workers=2)
    sli = LiveSli(2)
    driver = LoadDriver(LoadPlan(load=load, base_url=server.url, duration_s_max=60, seed=1), run, on_aggregate=sli.add)
    try:
        start_s = driver.start()
        until(lambda: (sli.complete_until_s() or 0) > start_s + 2.5)
        reading = sli.reading(2.0)
        summary = driver.stop()
    finally:
        driver.kill()

    assert reading is not None
    assert reading.availability == 1.0
    assert 60 < reading.throughput_per_s < 100
    p99 = reading.latency_ms(0.99)
    assert p99 is not None
    assert 0 < p99 < 1000
    assert summary.sent >= reading.sent > 0


def test_the_load_ends_with_its_conductor(server: Server, run: RunDirectory, tmp_path: Path) -> None:
    """SIGKILL of the process that started the load ends the workers, and their rows can be read."""
    script = textwrap.dedent(
        """
        import sys, threading
        from pathlib import Path
        from stormproof.load.driver import LoadDriver, LoadPlan
        from stormproof.model.experiment import Load
        from stormproof.record.layout import RunDirectory
        load = Load(locustfile=sys.argv[1], arrivals_per_s=50, workers=2)
        driver = LoadDriver(
            LoadPlan(load=load, base_url=sys.argv[2], duration_s_max=60, seed=1), RunDirectory(Path(sys.argv[3]))
        )
        driver.start()
        print(*driver.pids(), flush=True)
        threading.Event().wait(60)
        """
    )
    arguments = [locustfile(tmp_path), server.url, str(run.path)]
    conductor = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)
    assert conductor.stdout is not None
    with conductor.stdout:
        workers = [int(pid) for pid in conductor.stdout.readline().split()]
    assert len(workers) == 2
    until(lambda: len(server.arrived_at) > 50)

    conductor.kill()
    conductor.wait()

    until(lambda: not any(psutil.pid_exists(pid) for pid in workers), 10)
    assert len(read_samples(run)) > 20


def test_a_killed_worker_is_noticed_and_keeps_its_rows(server: Server, run: RunDirectory, tmp_path: Path) -> None:
    """`kill -9` of a worker: the driver says so, rows up to the last flush stay, and stop still gives an account."""
    load = Load(locustfile=locustfile(tmp_path), arrivals_per_s=50, workers=2)
    driver = LoadDriver(LoadPlan(load=load, base_url=server.url, duration_s_max=60, seed=1), run)
    try:
        start_s = driver.start()
        until(lambda: time.time() > start_s + 2)
        os.kill(driver.pids()[0], signal.SIGKILL)
        killed_s = time.time()
        until(lambda: not driver.alive())
        failure = driver.failure()
        before = read_samples(run)
        summary = driver.stop()
    finally:
        driver.kill()

    assert failure is not None
    assert "load worker 0 was killed by signal 9" in failure
    mine = before[before["worker"] == 0]
    assert mine["sent_at"].max() > killed_s - 1.0, "at most a second is lost"
    after = read_samples(run)
    assert len(after[after["worker"] == 0]) == len(mine)
    assert not list(run.samples.glob("*.rows"))
    assert [worker.late_share is None for worker in summary.workers] == [True, False]
    assert summary.workers[0].sent > 0


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("import locust\n\nboom = 1 / 0\n", 3, "ZeroDivisionError"),
        ("import locust\ndef broken(:\n", 2, "SyntaxError"),
        ("import sys\nsys.exit('no')\n", 2, "SystemExit"),
        ("from locust import FastHttpUser\n", None, "FastHttpUser"),
        (
            (
                "from locust import FastHttpUser, task\nclass U(FastHttpUser):\n    @task\n    def t(self): pass\n"
                "    def on_start(self):\n        raise KeyError('token')\n"
            ),
            6,
            "KeyError",
        ),
        (
            (
                "from locust import FastHttpUser, TaskSet, task\nclass U(FastHttpUser):\n    @task\n"
                "    class Tour(TaskSet):\n        @task\n        def t(self): pass\n"
            ),
            None,
            "the task set Tour",
        ),
    ],
    ids=["raises", "syntax", "exits", "no users", "on_start", "task set"],
)
def test_a_bad_locustfile_is_one_clear_error(
    run: RunDirectory, tmp_path: Path, text: str, line: int | None, says: str
) -> None:
    """What is wrong with a locustfile is said with its file, its line and the exception, and no worker stays."""
    path = locustfile(tmp_path, text)
    load = Load(locustfile=path, arrivals_per_s=5)
    driver = LoadDriver(LoadPlan(load=load, base_url="http://127.0.0.1:9", duration_s_max=5, seed=1), run)

    with pytest.raises(LoadError) as caught:
        driver.start()

    if line is not None:
        assert f"{path}:{line}: " in caught.value.message
    assert says in caught.value.message
    assert "Traceback" not in str(caught.value)
    assert not any(psutil.pid_exists(pid) for pid in driver.pids())


def test_what_a_locustfile_prints_does_not_disturb_the_load(server: Server, run: RunDirectory, tmp_path: Path) -> None:
    """A locustfile may print; it lands in the log, not between our messages."""
    path = locustfile(tmp_path, LOCUSTFILE.replace("@task(3)", "print('hello from the file')\n\n        @task(3)", 1))

    summary, _ = drive(run, Load(locustfile=path, arrivals_per_s=20), server.url, seconds=1)

    assert summary.sent > 10
    assert "hello from the file" in (run.logs / "load-0.log").read_text()
