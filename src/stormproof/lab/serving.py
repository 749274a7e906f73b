"""How the lab's own HTTP servers listen: on ports that the supervisor holds, quietly, until the process is ended."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from stormproof.lab.topology import Address, listening_socket

# Longer than Envoy keeps an idle connection (lab/envoy.py): the side that sends is the side that closes.
_KEEP_ALIVE_S = 3600.0


async def serve_until_ended(
    app: web.Application,
    addresses: Sequence[Address],
    *,
    tls: Mapping[Address, ssl.SSLContext] | None = None,
    listening: Callable[[], None] = lambda: None,
) -> None:
    """Serve *app* on every address, on those in *tls* over TLS; returns only when cancelled. *listening* is told."""
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=_KEEP_ALIVE_S)
    await runner.setup()
    try:
        for address in addresses:
            await web.SockSite(runner, listening_socket(address.host, address.port), backlog=512).start()
        for address, context in (tls or {}).items():
            over_tls = listening_socket(address.host, address.port)
            await web.SockSite(runner, over_tls, ssl_context=context).start()
        listening()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
