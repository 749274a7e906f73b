"""A real HTTP server that can stall, and what it takes to drive a load at it."""

from __future__ import annotations

import asyncio
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from stormproof.load.driver import LoadDriver, LoadPlan, LoadSummary
from stormproof.model.control import HeaderControl
from stormproof.model.experiment import Load
from stormproof.record.layout import RunDirectory

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


CONTROL_HEADER = "x-stormproof-control"


class Server:
    """An HTTP server on a thread of its own. Requests that come in during the stall wait for its end."""

    def __init__(self) -> None:
        self.arrived_at: list[float] = []
        self.marks: list[tuple[str, str | None]] = []  # path, and what the header of the control group said
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
        self._loop.run_until_complete(self._end())

    async def _end(self) -> None:
        """No task is left: of a handler whose client has hung up the runner does not know any more."""
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

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

    async def _answer(self, request: web.Request) -> web.Response:
        now = time.time()
        self.arrived_at.append(now)
        self.marks.append((request.path, request.headers.get(CONTROL_HEADER)))
        start, end = self.stall
        if start <= now < end:
            await asyncio.sleep(end - now)
        return web.Response(text="ok", headers={"x-zone": "a"})

    async def _error(self, _: web.Request) -> web.Response:
        return web.Response(status=503, headers={"x-zone": "b"})

    async def _never(self, _: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()


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
    control: HeaderControl | None = None,
    at_start: Callable[[float], None] = lambda start_s: None,
) -> tuple[LoadSummary, float]:
    """Run *load* for *seconds*; its summary and its start."""
    driver = LoadDriver(LoadPlan(load=load, base_url=url, duration_s_max=60, seed=seed, control=control), run)
    try:
        start_s = driver.start()
        at_start(start_s)
        until(lambda: time.time() >= start_s + seconds or not driver.alive(), seconds + 20)
        assert driver.failure() is None
        return driver.stop(), start_s
    finally:
        driver.kill()
