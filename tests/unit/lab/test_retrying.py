"""The client that retries as the variant says, over real HTTP, and the service behind it that can be overrun."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from stormproof.lab.prices import Prices
from stormproof.lab.retrying import Budget, CallFailedError, RetryingClient, pause_s
from stormproof.lab.stock import Stock
from stormproof.lab.topology import Reservations, listening_socket
from stormproof.lab.variants import HARDENED, NAIVE, RetryPolicy

QUICK = RetryPolicy(attempts_max=3, attempt_timeout_s=2.0)


class Dependency:
    """Answers as told, and notes what it was asked: operation, attempt, client."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.seen: list[tuple[str, str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        headers = request.headers
        self.seen.append((headers["x-op-id"], headers["x-attempt"], headers["User-Agent"]))
        return web.json_response({"left": 7}, status=self.statuses.pop(0) if self.statuses else 200)


async def served(answer: Callable[[web.Request], Awaitable[web.StreamResponse]], test: Callable[[str], Awaitable[None]],
                 *, set_up: Callable[[web.Application], object] = id) -> None:  # fmt: skip
    """Run *test* with the URL of a server on which *answer* serves every path."""
    ports = Reservations()
    address = ports.take("127.0.0.1")
    app = web.Application()
    set_up(app)
    app.router.add_get("/{kind}/{product}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.SockSite(runner, listening_socket(address.host, address.port)).start()
        await test(address.url)
    finally:
        await runner.cleanup()
        ports.close()


def client(url: str, policy: RetryPolicy) -> RetryingClient:
    return RetryingClient(url=url, client_id="i-1", policy=policy, rng=random.Random(1))


def test_it_retries_under_one_operation_and_numbers_its_attempts() -> None:
    """Two failures, then an answer: three arrivals of one logical call, by one client."""
    dependency = Dependency()
    dependency.statuses = [503, 500]

    async def test(url: str) -> None:
        async with client(url, QUICK) as calls:
            assert await calls.get("/stock/1", operation="op-1") == {"left": 7}

    asyncio.run(served(dependency.answer, test))

    assert dependency.seen == [("op-1", str(n), "stormproof-shop app/i-1") for n in (1, 2, 3)]


def test_it_gives_up_after_its_attempts() -> None:
    """As many arrivals as the policy allows, and an error that names the path."""
    dependency = Dependency()
    dependency.statuses = [503] * 9

    async def test(url: str) -> None:
        async with client(url, QUICK) as calls:
            with pytest.raises(CallFailedError, match="/stock/1"):
                await calls.get("/stock/1", operation="op-1")

    asyncio.run(served(dependency.answer, test))

    assert len(dependency.seen) == 3


def test_a_budget_is_shared_by_the_calls_of_a_process() -> None:
    """Five tokens are five retries for ten calls that fail; afterwards each call is made once."""
    dependency = Dependency()
    dependency.statuses = [503] * 99
    policy = RetryPolicy(attempts_max=3, attempt_timeout_s=2.0, budget_tokens=5)

    async def test(url: str) -> None:
        async with client(url, policy) as calls:
            for number in range(10):
                with pytest.raises(CallFailedError):
                    await calls.get("/stock/1", operation=str(number))

    asyncio.run(served(dependency.answer, test))

    assert len(dependency.seen) == 10 + 5


def test_successes_refill_the_budget_and_never_beyond_its_size() -> None:
    """Four successes at a quarter of a token each make one retry."""
    budget = Budget(tokens=1, refund=0.25)
    assert budget.take()
    for _ in range(3):
        budget.succeeded()
    assert not budget.take()
    budget.succeeded()
    assert budget.take()
    for _ in range(1000):
        budget.succeeded()
    assert [budget.take(), budget.take()] == [True, False]


def test_pauses_keep_to_their_formula() -> None:
    """Doubling up to the cap; with full jitter anything from 0 to that."""
    plain = RetryPolicy(attempts_max=9, attempt_timeout_s=1.0, base_s=0.1, multiplier=2.0, cap_s=0.5)
    full = RetryPolicy(attempts_max=9, attempt_timeout_s=1.0, base_s=0.1, multiplier=2.0, cap_s=0.5, full_jitter=True)
    rng = random.Random(1)

    assert [pause_s(plain, n, rng) for n in (1, 2, 3, 4)] == pytest.approx([0.1, 0.2, 0.4, 0.5])
    drawn = [pause_s(full, 3, rng) for _ in range(500)]
    assert min(drawn) < 0.04
    assert 0.36 < max(drawn) <= 0.4


def test_the_variants_multiply_or_do_not() -> None:
    """Three attempts in three layers on naive; on hardened only one layer retries."""
    calls = NAIVE.calls
    assert (
        calls.shop_of_prices.attempts_max * (1 + calls.proxy_of_prices_retries) * calls.prices_of_stock.attempts_max
        == 27
    )
    assert (HARDENED.calls.proxy_of_prices_retries, HARDENED.calls.prices_of_stock.attempts_max) == (0, 1)
    assert HARDENED.calls.shop_of_prices.budget_tokens > 0


def test_stock_answers_no_faster_than_its_workers_and_refuses_beyond_its_line() -> None:
    """Ten at once at two workers of 50 ms take 250 ms; with a line of four, six are refused at once."""

    async def statuses(stock: Stock) -> tuple[list[int], float]:
        found: list[int] = []
        started = time.monotonic()

        async def test(url: str) -> None:
            async with aiohttp.ClientSession() as session:

                async def ask() -> int:
                    async with session.get(f"{url}/stock/1") as answer:
                        return answer.status

                found.extend(await asyncio.gather(*(ask() for _ in range(10))))

        await served(stock.answer, test)
        return found, time.monotonic() - started

    all_served, took_s = asyncio.run(statuses(Stock(workers=2, service_s=0.05, line_max=100)))
    some_refused, _ = asyncio.run(statuses(Stock(workers=2, service_s=0.05, line_max=4)))

    assert all_served == [200] * 10
    assert took_s >= 0.25
    assert sorted(some_refused) == [200] * 4 + [503] * 6


def test_stock_works_for_callers_that_have_gone() -> None:
    """Who gives up waiting keeps his place: the next caller waits for work that nobody wants any more."""
    stock = Stock(workers=1, service_s=0.2)

    async def test(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            impatient = aiohttp.ClientTimeout(total=0.05)
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await session.get(f"{url}/stock/1", timeout=impatient)
            started = time.monotonic()
            async with session.get(f"{url}/stock/1") as answer:
                assert answer.status == 200
            assert time.monotonic() - started >= 0.5  # what is left of three times 0.2 s, and its own

    asyncio.run(served(stock.answer, test))


def test_prices_keep_the_callers_operation() -> None:
    """What arrives at stock carries the id of the customer's call, so that its retries can be counted there."""
    dependency = Dependency()
    dependency.statuses = [503] * 3

    async def test(stock_url: str) -> None:
        prices = Prices(stock_url=stock_url, policy=QUICK)

        async def ask(url: str) -> None:
            async with aiohttp.ClientSession(headers={"x-op-id": "op-9"}) as session:
                async with session.get(f"{url}/prices/3") as answer:
                    assert answer.status == 502
                async with session.get(f"{url}/prices/3") as answer:
                    assert answer.status == 200

        await served(prices.answer, ask, set_up=lambda app: app.cleanup_ctx.append(prices.running))

    asyncio.run(served(dependency.answer, test))

    assert [(op, attempt) for op, attempt, _ in dependency.seen] == [("op-9", n) for n in ("1", "2", "3", "1")]
