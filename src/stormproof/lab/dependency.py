"""The HTTP dependencies of the shop, *recommendations* and *reviews*: one process, a port each.

``python -m stormproof.lab.dependency NAME=HOST:PORT …``. It answers at once and never fails by itself: whatever goes
wrong with a dependency in the lab is done by the proxy in front of it, where it can be seen and undone.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from aiohttp import web

from stormproof.lab.serving import serve_until_ended
from stormproof.lab.topology import Address

PRODUCT_COUNT = 24


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def _recommendations(request: web.Request) -> web.Response:
    # Stable per customer: the same customer is recommended the same things.
    seed = sum(request.query.get("user", "").encode())
    return web.json_response({"products": [(seed + step * 7) % PRODUCT_COUNT + 1 for step in range(4)]})


async def _reviews(request: web.Request) -> web.Response:
    return web.json_response({"product": request.match_info["product"], "stars": 4})


def dependency_app() -> web.Application:
    """Both dependencies; which one is meant is the port's business."""
    app = web.Application()
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/recommendations", _recommendations)
    app.router.add_get("/reviews/{product}", _reviews)
    return app


def main(arguments: Sequence[str]) -> None:
    """Serve each ``NAME=HOST:PORT`` until the process is ended."""
    addresses = []
    for argument in arguments:
        host, _, port = argument.partition("=")[2].rpartition(":")
        addresses.append(Address(host=host, port=int(port)))
    asyncio.run(serve_until_ended(dependency_app(), addresses))


if __name__ == "__main__":
    main(sys.argv[1:])
