"""When the load itself fails: its conductor dies, a worker dies, the locustfile is bad."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stormproof.errors import LoadError
from stormproof.load.driver import LoadDriver, LoadPlan
from stormproof.model.experiment import Load
from stormproof.record.layout import RunDirectory
from stormproof.record.samples import read_samples
from support.load_server import LOCUSTFILE, Server, drive, locustfile, until


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run").create()


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


@pytest.mark.alone
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


def test_a_locustfile_that_ends_the_test_ends_the_load(server: Server, run: RunDirectory, tmp_path: Path) -> None:
    """`StopTest` is a failure of the load with its reason, not a silence."""
    path = locustfile(
        tmp_path,
        """
        from locust import FastHttpUser, task
        from locust.exception import StopTest

        class Shopper(FastHttpUser):
            @task
            def home(self):
                self.client.get("/", name="/")
                raise StopTest("enough is enough")
        """,
    )
    driver = LoadDriver(
        LoadPlan(load=Load(locustfile=path, arrivals_per_s=10), base_url=server.url, duration_s_max=60, seed=1), run
    )
    try:
        driver.start()
        until(lambda: not driver.alive())
        failure = driver.failure()
        driver.stop()
    finally:
        driver.kill()

    assert failure is not None
    assert "the locustfile ended the test: enough is enough" in failure
    assert len(read_samples(run)) >= 1
