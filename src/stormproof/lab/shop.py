"""One shop process: a web server that sells, on the address of one EC2 instance of the lab.

Every answer says which zone, instance and build gave it. ``GET /healthz`` is shallow in both variants: it says that
the process answers, nothing of its dependencies (a deep check would take all six out when a shared dependency fails).
The releases v1, v2 and v3, served when a parameter says so, differ in just that: see `parameters.Release`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from aiohttp import web

from stormproof.lab.builds import BUILDS, FIRST, Build
from stormproof.lab.cart import Cart, CartAnswer, CartFailedError, HardenedCart, NaiveCart, cart_client
from stormproof.lab.dependency import PRODUCT_COUNT
from stormproof.lab.parameters import OWN_RELEASE, Parameters, Release
from stormproof.lab.picture import PLACEHOLDER, PictureFailedError, make_picture
from stormproof.lab.recommendations import Recommendations, RecommendationsFailedError
from stormproof.lab.retrying import CallFailedError, RetryingClient
from stormproof.lab.serving import serve_until_ended
from stormproof.lab.topology import Address
from stormproof.lab.variants import VARIANTS, Variant, variant_named

PRODUCTS = {
    number: {"id": number, "name": f"Umbrella No. {number}", "price_cents": 990 + 130 * number}
    for number in range(1, PRODUCT_COUNT + 1)
}
PRODUCTS_AT_ONCE = 10
_DEGRADED = {"x-degraded": "1"}
_PICTURE = "image/x-portable-graymap"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Shop:
    """The pages; what they need is handed in."""

    def __init__(
        self,
        *,
        identity: Mapping[str, str],
        build: Build,
        recommendations: Recommendations,
        cart: Cart,
        stock: RetryingClient,
        prices: RetryingClient,
        placeholders: bool,
        release: Callable[[], Release] = lambda: OWN_RELEASE,
    ) -> None:
        self._release = release
        self._identity = {**identity, "x-build": build.name}
        self._build = build
        self._recommendations, self._cart, self._placeholders = recommendations, cart, placeholders
        self._stock, self._prices = stock, prices

    def app(self) -> web.Application:
        """The routes, the recommendations session and the cart's background task."""
        app = web.Application(middlewares=[self._identified])
        app.router.add_get("/", self._home)
        app.router.add_get("/product/{product}", self._product)
        app.router.add_get("/picture/{product}", self._picture)
        app.router.add_get("/cart/{user}", self._read_cart)
        app.router.add_post("/cart/{user}", self._add_to_cart)
        app.router.add_get("/stock", self._read_stock)
        app.router.add_get("/price/{product}", self._read_price)
        app.router.add_get("/healthz", self._healthz)
        app.cleanup_ctx.append(self._running)
        return app

    async def _running(self, _: web.Application) -> AsyncIterator[None]:
        async with self._recommendations, self._stock, self._prices:
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
        except (CartFailedError, RecommendationsFailedError, PictureFailedError, CallFailedError) as error:
            answer = web.json_response({"error": str(error)}, status=500)
        except web.HTTPException as error:
            answer = error
        answer.headers.update(self._identity)
        if name := self._release().name:
            answer.headers["x-release"] = name
        return answer

    def _failure(self, request: web.Request) -> web.Response | None:
        """What a build that fails answers; None for one that does not."""
        is_check = request.path == "/healthz"
        status = self._build.health_status if is_check else self._build.pages_status
        return None if status is None else web.json_response({"error": "this build is broken"}, status=status)

    async def _home(self, request: web.Request) -> web.Response:
        recommended = await self._recommendations.for_user(
            request.query.get("user", ""), fallback=self._release().fallback
        )
        return web.json_response(
            {
                "products": list(PRODUCTS.values()),
                "recommended": [PRODUCTS[number] for number in recommended.products if number in PRODUCTS],
            },
            headers=_DEGRADED if recommended.degraded else None,
        )

    async def _product(self, request: web.Request) -> web.Response:
        product = _asked_for(request)
        if product is None:
            return web.json_response({"error": "no such product"}, status=404)
        return web.json_response(product)

    async def _picture(self, request: web.Request) -> web.Response:
        """Without the memory for it: an error, or (203: not what was asked for, but something) a grey dot."""
        product = _asked_for(request)
        if product is None:
            return web.json_response({"error": "no such product"}, status=404)
        try:
            return web.Response(body=make_picture(int(str(product["id"]))), content_type=_PICTURE)
        except PictureFailedError:
            if not self._placeholders:
                raise
            return web.Response(body=PLACEHOLDER, content_type=_PICTURE, status=203, headers=_DEGRADED)

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

    async def _read_stock(self, request: web.Request) -> web.Response:
        """What is left of each of ``?products=1,2,3``: one call of the dependency for each, at the same time."""
        names = request.query.get("products", "").split(",")
        products = [int(name) for name in names if name.isdecimal() and len(name) < 6 and int(name) in PRODUCTS]
        if not products or len(products) != len(names) or len(products) > PRODUCTS_AT_ONCE:
            return web.json_response({"error": f"expected products=1,2,3, at most {PRODUCTS_AT_ONCE}"}, status=400)
        asked = (self._stock.get(f"/stock/{number}", operation=secrets.token_hex(8)) for number in products)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:  # all have ended: nothing of this page goes on behind the customer's back
            if isinstance(answer, BaseException):
                raise answer
        return web.json_response({"stock": answers})

    async def _read_price(self, request: web.Request) -> web.Response:
        """The price of one product, which the dependency makes from what another one says."""
        number = request.match_info["product"]
        if not number.isdecimal() or len(number) > 5 or int(number) not in PRODUCTS:
            return web.json_response({"error": "no such product"}, status=404)
        return web.json_response(await self._prices.get(f"/prices/{number}", operation=secrets.token_hex(8)))

    async def _healthz(self, _: web.Request) -> web.Response:
        if self._release().deep_check and not await self._recommendations.answers():
            return web.json_response({"ok": False}, status=503)
        return web.json_response({"ok": True})


def _asked_for(request: web.Request) -> dict[str, object] | None:
    number = request.match_info["product"]
    return PRODUCTS.get(int(number)) if number.isdecimal() and len(number) < 6 else None


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
    rng = random.Random(options.instance)  # noqa: S311 - jitter, not a secret
    parameters = Parameters(path=options.parameters, instance_id=options.instance)
    shop = Shop(
        identity={"x-zone": options.zone, "x-instance": options.instance},
        build=BUILDS[options.build],
        recommendations=Recommendations(
            url=options.recommendations,
            instance_id=options.instance,
            policy=variant.recommendations,
            key=parameters.key,
        ),
        cart=build_cart(url=options.cart, instance_id=options.instance, variant=variant),
        stock=RetryingClient(
            url=options.stock, client_id=options.instance, policy=variant.calls.shop_of_stock, rng=rng
        ),
        prices=RetryingClient(
            url=options.prices, client_id=options.instance, policy=variant.calls.shop_of_prices, rng=rng
        ),
        placeholders=variant.placeholders,
        release=parameters.release,
    )
    await serve_until_ended(shop.app(), [Address(host=options.host, port=options.port)], listening=_say_so)


def _say_so() -> None:
    """For a supervisor that has started us beside another process at the same address: no connect could tell."""
    with contextlib.suppress(OSError):  # nobody may be there to hear it
        os.write(1, b"listening\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is ended; started by the supervisor."""
    parser = argparse.ArgumentParser(prog="python -m stormproof.lab.shop")
    for name in ("instance", "zone", "host", "recommendations", "cart", "stock", "prices"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--parameters", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--build", choices=sorted(BUILDS), default=FIRST.name)
    parser.add_argument("--variant", choices=sorted(VARIANTS), required=True)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
