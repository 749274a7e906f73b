"""The *stock* dependency: says how many there are, with a capacity that can be overrun, as every real service's can.

`WORKERS` at a time, `SERVICE_S` each: 80 answers a second. What comes while all are busy waits in line, up to
`LINE_MAX`; beyond, it is refused. A caller that has given up waiting still has its place in the line, and its answer
costs as much as any other: work that nobody waits for is what keeps an overrun service overrun.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

WORKERS = 2
SERVICE_S = 0.025
LINE_MAX = 100


class Stock:
    """The service; one for the process that serves it."""

    def __init__(self, *, workers: int = WORKERS, service_s: float = SERVICE_S, line_max: int = LINE_MAX) -> None:
        self._service_s, self._line_max = service_s, line_max
        self._workers = asyncio.Semaphore(workers)
        self._waiting = 0

    async def answer(self, request: web.Request) -> web.Response:
        """``GET /stock/{product}``."""
        if self._waiting >= self._line_max:
            return web.json_response({"error": "too many wait already"}, status=503)
        self._waiting += 1
        # The work is done whether or not the caller still waits: aiohttp does not cancel what somebody left.
        await self._work()
        return web.json_response({"product": request.match_info["product"], "left": 7})

    async def _work(self) -> None:
        try:
            async with self._workers:
                await asyncio.sleep(self._service_s)
        finally:
            self._waiting -= 1
