"""The shop's client of a dependency that fails, hangs or works, over real HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest
from aiohttp import web

from stormproof.lab.recommendations import STATIC_PRODUCTS, Breaker, Recommendations, RecommendationsFailedError
from stormproof.lab.topology import Address, Reservations, listening_socket
from stormproof.lab.variants import HARDENED, NAIVE, RecommendationsPolicy


class Dependency:
    """Answers as told, and notes what it was asked."""

    def __init__(self) -> None:
        self.status, self.hang_s = 200, 0.0
        self.seen: list[tuple[str, str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        headers = request.headers
        self.seen.append((headers["x-op-id"], headers["x-attempt"], headers["User-Agent"]))
        if self.hang_s:
            await asyncio.Event().wait()
        return web.json_response({"products": [1, 2]}, status=self.status)


class Served:
    """A dependency on a port, and a client of it."""

    def __init__(self, policy: RecommendationsPolicy) -> None:
        self.policy, self.dependency, self.ports = policy, Dependency(), Reservations()

    async def __aenter__(self) -> tuple[Dependency, Recommendations]:
        address: Address = self.ports.take("127.0.0.1")
        app = web.Application()
        app.router.add_get("/recommendations", self.dependency.answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.SockSite(self.runner, listening_socket(address.host, address.port)).start()
        self.client = Recommendations(url=address.url, instance_id="i-1", policy=self.policy)
        await self.client.__aenter__()
        return self.dependency, self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.__aexit__()
        await self.runner.cleanup()
        self.ports.close()


def test_naive_asks_four_times_at_once_then_fails() -> None:
    """One logical call, attempts numbered, no fallback."""

    async def test() -> None:
        async with Served(NAIVE.recommendations) as (dependency, client):
            dependency.status = 500
            with pytest.raises(RecommendationsFailedError):
                await client.for_user("u")
            assert [attempt for _, attempt, _ in dependency.seen] == ["1", "2", "3", "4"]
            assert len({operation for operation, _, _ in dependency.seen}) == 1
            assert {agent for _, _, agent in dependency.seen} == {"stormproof-shop app/i-1"}

    asyncio.run(test())


def test_hardened_falls_back_within_its_time_out() -> None:
    """A dependency that hangs costs the time-out, and the page gets the static list."""

    async def test() -> None:
        async with Served(HARDENED.recommendations) as (dependency, client):
            dependency.hang_s = 60
            began = time.monotonic()
            answer = await client.for_user("u")
            assert (answer.products, answer.degraded) == (STATIC_PRODUCTS, True)
            assert 0.25 <= time.monotonic() - began < 5
            assert len(dependency.seen) == 1

    asyncio.run(test())


def test_hardened_stops_asking_a_dependency_that_is_down_and_comes_back() -> None:
    """Behind the open breaker pages cost no call; after the pause one trial finds the dependency well."""
    policy = dataclasses.replace(HARDENED.recommendations, breaker_open_s=0.05)

    async def test() -> None:
        async with Served(policy) as (dependency, client):
            dependency.status = 503
            for _ in range(policy.breaker_failures):
                assert (await client.for_user("u")).degraded
            assert (await client.for_user("u")).degraded
            assert len(dependency.seen) == policy.breaker_failures
            dependency.status = 200
            deadline = time.monotonic() + 5
            while (await client.for_user("u")).degraded:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)

    asyncio.run(test())


def test_a_half_open_breaker_lets_one_through() -> None:
    """After the pause the first caller tries; the others go on waiting until it is known."""
    now = 0.0
    breaker = Breaker(failures_max=1, open_s=1.0, clock=lambda: now)
    breaker.failed()
    assert not breaker.allows()
    now = 1.0

    assert breaker.allows()
    assert not breaker.allows()
    breaker.succeeded()
    assert breaker.allows()
