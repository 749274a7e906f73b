"""The *prices* dependency: a service in the middle, which asks *stock* before it answers, with retries of its own."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator

from aiohttp import web

from stormproof.lab.retrying import CallFailedError, RetryingClient
from stormproof.lab.variants import RetryPolicy

CLIENT_ID = "prices"  # what the arrivals at stock call it


class Prices:
    """The service; keeps the caller's id of the logical call, so that stock can be asked what one call came to."""

    def __init__(self, *, stock_url: str, policy: RetryPolicy) -> None:
        self._stock = RetryingClient(url=stock_url, client_id=CLIENT_ID, policy=policy, rng=random.Random(CLIENT_ID))  # noqa: S311 - jitter, not a secret

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """A clean-up context of the application."""
        async with self._stock:
            yield

    async def answer(self, request: web.Request) -> web.Response:
        """``GET /prices/{product}``; 502 when stock is not to be had."""
        product = request.match_info["product"]
        operation = request.headers.get("x-op-id") or secrets.token_hex(8)
        try:
            stock = await self._stock.get(f"/stock/{product}", operation=operation)
        except CallFailedError as error:
            return web.json_response({"error": str(error)}, status=502)
        # Dearer when it is nearly sold out: why it has to ask.
        return web.json_response({"product": product, "cents": 1290 if stock["left"] > 3 else 1490})
