"""The HTTP dependencies of the shop, *recommendations*, *reviews*, *stock* and *prices*: one process, a port each.

``python -m stormproof.lab.dependency FOLDER``, with the lab's topology in the folder. They never fail by themselves
(*stock* can be overrun): whatever goes wrong with a dependency in the lab is done by the proxy in front of it, where it
can be seen and undone. The endpoints that fail always, to which the proxy can be told to send requests, live here too.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from stormproof.lab.bad_endpoints import serve_no_names, serve_resets
from stormproof.lab.parameters import CURRENT_KEY, KEY_HEADER
from stormproof.lab.prices import Prices
from stormproof.lab.serving import serve_until_ended
from stormproof.lab.state import LabFolder
from stormproof.lab.stock import Stock
from stormproof.lab.tls import write_certificates
from stormproof.lab.topology import Topology, tls_path
from stormproof.lab.variants import variant_named

PRODUCT_COUNT = 24


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def _recommendations(request: web.Request) -> web.Response:
    if request.headers.get(KEY_HEADER, CURRENT_KEY) != CURRENT_KEY:
        return web.json_response({"error": "the key is not valid any more"}, status=403)
    # Stable per customer: the same customer is recommended the same things.
    seed = sum(request.query.get("user", "").encode())
    return web.json_response({"products": [(seed + step * 7) % PRODUCT_COUNT + 1 for step in range(4)]})


async def _reviews(request: web.Request) -> web.Response:
    return web.json_response({"product": request.match_info["product"], "stars": 4})


def dependency_app(prices: Prices) -> web.Application:
    """All of them; which one is meant is the port's business."""
    app = web.Application()
    app.cleanup_ctx.append(prices.running)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/recommendations", _recommendations)
    app.router.add_get("/reviews/{product}", _reviews)
    app.router.add_get("/stock/{product}", Stock().answer)
    app.router.add_get("/prices/{product}", prices.answer)
    return app


async def _serve(topology: Topology, directory: Path) -> None:
    contexts = write_certificates(tls_path(directory))
    tls = {address: contexts[certificate] for certificate, address in topology.tls.items()}
    policy = variant_named(topology.variant).calls.prices_of_stock
    prices = Prices(stock_url=topology.proxies["stock"].url, policy=policy)
    async with await serve_resets(topology.resetter), await serve_no_names(topology.resolver):
        await serve_until_ended(dependency_app(prices), list(topology.backends.values()), tls=tls)


def main(arguments: Sequence[str]) -> None:
    """Serve until the process is ended."""
    folder = LabFolder(path=Path(arguments[0]))
    topology = Topology.from_document(json.loads(folder.topology.read_bytes()))
    asyncio.run(_serve(topology, folder.path))


if __name__ == "__main__":
    main(sys.argv[1:])
