"""One shop process: a web server that sells, on the address of one EC2 instance of the lab.

Every answer says which zone, instance and release gave it. ``GET /healthz`` is shallow in both variants: it says that
the process answers, nothing of its dependencies (a deep check would take all six out when a shared dependency fails).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from aiohttp import web

from stormproof.lab.builds import BUILDS, FIRST, Build
from stormproof.lab.cart import Cart, CartAnswer, CartFailedError, HardenedCart, NaiveCart, cart_client
from stormproof.lab.dependency import PRODUCT_COUNT
from stormproof.lab.recommendations import Recommendations, RecommendationsFailedError
from stormproof.lab.serving import serve_until_ended
from stormproof.lab.topology import Address
from stormproof.lab.variants import VARIANTS, Variant, variant_named

PRODUCTS = {
    number: {"id": number, "name": f"Umbrella No. {number}", "price_cents": 990 + 130 * number}
    for number in range(1, PRODUCT_COUNT + 1)
}
_DEGRADED = {"x-degraded": "1"}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Shop:
    """The pages; what they need is handed in."""

    def __init__(
        self, *, instance_id: str, zone: str, build: Build, recommendations: Recommendations, cart: Cart
    ) -> None:
        self._identity = {"x-zone": zone, "x-instance": instance_id, "x-build": build.name}
        self._build = build
        self._recommendations, self._cart = recommendations, cart

    def app(self) -> web.Application:
        """The routes, the recommendations session and the cart's background task."""
        app = web.Application(middlewares=[self._identified])
        app.router.add_get("/", self._home)
        app.router.add_get("/product/{product}", self._product)
        app.router.add_get("/cart/{user}", self._read_cart)
        app.router.add_post("/cart/{user}", self._add_to_cart)
        app.router.add_get("/healthz", self._healthz)
        app.cleanup_ctx.append(self._running)
        return app

    async def _running(self, _: web.Application) -> AsyncIterator[None]:
        async with self._recommendations:
            draining = asyncio.create_task(self._cart.drain_forever())
            yield
            draining.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await draining

    @web.middleware
    async def _identified(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        answer: web.StreamResponse
        try:
            answer = self._failure(request) or await handler(request)
        except (CartFailedError, RecommendationsFailedError) as error:
            answer = web.json_response({"error": str(error)}, status=500)
        except web.HTTPException as error:
            answer = error
        answer.headers.update(self._identity)
        return answer

    def _failure(self, request: web.Request) -> web.Response | None:
        """What a build that fails answers; None for one that does not."""
        is_check = request.path == "/healthz"
        status = self._build.health_status if is_check else self._build.pages_status
        return None if status is None else web.json_response({"error": "this build is broken"}, status=status)

    async def _home(self, request: web.Request) -> web.Response:
        recommended = await self._recommendations.for_user(request.query.get("user", ""))
        return web.json_response(
            {
                "products": list(PRODUCTS.values()),
                "recommended": [PRODUCTS[number] for number in recommended.products if number in PRODUCTS],
            },
            headers=_DEGRADED if recommended.degraded else None,
        )

    async def _product(self, request: web.Request) -> web.Response:
        number = request.match_info["product"]
        product = PRODUCTS.get(int(number)) if number.isdecimal() and len(number) < 6 else None
        if product is None:
            return web.json_response({"error": "no such product"}, status=404)
        return web.json_response(product)

    async def _read_cart(self, request: web.Request) -> web.Response:
        answer = await self._cart.read(request.match_info["user"])
        return _cart_response(answer, status=200)

    async def _add_to_cart(self, request: web.Request) -> web.Response:
        try:
            item = (await request.json())["item"]
        except (json.JSONDecodeError, KeyError, TypeError):
            item = None
        if not isinstance(item, str) or not 0 < len(item) <= 100:
            return web.json_response({"error": 'expected {"item": "…"}'}, status=400)
        answer = await self._cart.add(request.match_info["user"], item)
        return _cart_response(answer, status=202 if answer.degraded else 200)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"ok": True})


def _cart_response(answer: CartAnswer, *, status: int) -> web.Response:
    return web.json_response(
        {"items": list(answer.items)}, status=status, headers=_DEGRADED if answer.degraded else None
    )


def build_cart(*, url: str, instance_id: str, variant: Variant) -> Cart:
    """The cart of *variant*; a client's own jitter differs from instance to instance, and repeats."""
    client = cart_client(url=url, instance_id=instance_id, policy=variant.cart)
    if not variant.cart.degrade:
        return NaiveCart(client=client, policy=variant.cart)
    return HardenedCart(client=client, policy=variant.cart, rng=random.Random(instance_id))  # noqa: S311 - jitter


async def _serve(options: argparse.Namespace) -> None:
    if (me := asyncio.current_task()) is not None:  # SIGTERM: nothing new is begun, what was is finished
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    variant = variant_named(options.variant)
    shop = Shop(
        instance_id=options.instance,
        zone=options.zone,
        build=BUILDS[options.build],
        recommendations=Recommendations(
            url=options.recommendations, instance_id=options.instance, policy=variant.recommendations
        ),
        cart=build_cart(url=options.cart, instance_id=options.instance, variant=variant),
    )
    await serve_until_ended(shop.app(), [Address(host=options.host, port=options.port)], listening=_say_so)


def _say_so() -> None:
    """For a supervisor that has started us beside another process at the same address: no connect could tell."""
    with contextlib.suppress(OSError):  # nobody may be there to hear it
        os.write(1, b"listening\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is ended; started by the supervisor."""
    parser = argparse.ArgumentParser(prog="python -m stormproof.lab.shop")
    for name in ("instance", "zone", "host", "recommendations", "cart"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--build", choices=sorted(BUILDS), default=FIRST.name)
    parser.add_argument("--variant", choices=sorted(VARIANTS), required=True)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
