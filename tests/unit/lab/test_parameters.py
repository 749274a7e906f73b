"""What the shop is told at run time: which release, which key; and what each release does about its dependency."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from stormproof.lab.builds import FIRST
from stormproof.lab.cart import CartAnswer
from stormproof.lab.dependency import dependency_app
from stormproof.lab.parameters import Parameters, read_parameters, write_parameters
from stormproof.lab.prices import Prices
from stormproof.lab.recommendations import Recommendations
from stormproof.lab.retrying import RetryingClient
from stormproof.lab.shop import Shop
from stormproof.lab.variants import HARDENED, NAIVE, Variant


class NoCart:
    """The cart is not what these tests are about."""

    async def read(self, user: str) -> CartAnswer:
        raise NotImplementedError

    async def add(self, user: str, item: str) -> CartAnswer:
        raise NotImplementedError

    async def drain_forever(self) -> None:
        await asyncio.Event().wait()


def answers(
    path: Path, parameters: dict[str, str], *, variant: Variant = HARDENED, reachable: bool = True
) -> tuple[int, ...]:
    """Status of the home page, whether it is degraded, status of the health check; over real HTTP."""

    async def ask() -> tuple[int, ...]:
        write_parameters(path, parameters)
        held = Parameters(path=path, instance_id="i-1")
        async with TestServer(
            dependency_app(Prices(stock_url="http://127.0.0.1:9", policy=variant.calls.prices_of_stock))
        ) as dependency:
            url = str(dependency.make_url("")).rstrip("/") if reachable else "http://127.0.0.1:9"
            client = Recommendations(url=url, instance_id="i-1", policy=variant.recommendations, key=held.key)
            rng = random.Random(1)
            calls = variant.calls
            shop = Shop(
                identity={"x-zone": "a", "x-instance": "i-1"},
                build=FIRST,
                recommendations=client,
                cart=NoCart(),
                stock=RetryingClient(url=url, client_id="i-1", policy=calls.shop_of_stock, rng=rng),
                prices=RetryingClient(url=url, client_id="i-1", policy=calls.shop_of_prices, rng=rng),
                placeholders=variant.placeholders,
                release=held.release,
            )
            async with TestClient(TestServer(shop.app())) as browser:
                page, check = await browser.get("/?user=c1"), await browser.get("/healthz")
                assert page.headers.get("x-release", "") == parameters.get("/shop/release", "")
                return page.status, int("x-degraded" in page.headers), check.status

    return asyncio.run(ask())


STALE = {"/shop/i-1/api-key": "outdated"}


@pytest.mark.parametrize(
    ("parameters", "reachable", "expected"),
    [
        ({"/shop/release": "v1"}, True, (200, 0, 200)),
        ({"/shop/release": "v1"}, False, (500, 0, 200)),
        ({"/shop/release": "v2"}, False, (200, 1, 200)),
        ({"/shop/release": "v3"}, True, (200, 0, 200)),
        ({"/shop/release": "v3"}, False, (200, 1, 503)),
        ({"/shop/release": "v2", **STALE}, True, (200, 1, 200)),
        ({"/shop/release": "v3", **STALE}, True, (200, 1, 503)),
        ({"/shop/release": "v3", "/shop/i-2/api-key": "outdated"}, True, (200, 0, 200)),  # somebody else's key
        ({}, False, (200, 1, 200)),  # the hardened variant's own
    ],
)
def test_each_release_does_what_its_name_says(
    tmp_path: Path, parameters: dict[str, str], reachable: bool, expected: tuple[int, ...]
) -> None:
    """v1 fails with its dependency, v2 degrades, v3 degrades and says so to the balancer."""
    assert expected == answers(tmp_path / "parameters.json", parameters, reachable=reachable)


def test_a_release_has_its_fallback_in_either_variant(tmp_path: Path) -> None:
    """It is the code's doing and not the variant's: naive has none of its own."""
    path = tmp_path / "parameters.json"

    assert (500, 0, 200) == answers(path, {}, variant=NAIVE, reachable=False)
    assert (200, 1, 200) == answers(path, {"/shop/release": "v2"}, variant=NAIVE, reachable=False)


def test_a_change_of_the_file_is_seen_at_once(tmp_path: Path) -> None:
    """No restart, no interval; a file that is not there says nothing."""
    path = tmp_path / "parameters.json"
    held = Parameters(path=path, instance_id="i-1")
    seen = [held.key(), held.release().name]
    write_parameters(path, {"/shop/release": "v2", **STALE})
    seen += [held.key(), held.release().name]
    write_parameters(path, {"/shop/release": "v3"})
    seen += [held.key(), held.release().name]

    assert ["current", "", "outdated", "v2", "current", "v3"] == seen
    assert {} == read_parameters(tmp_path / "other.json")
