"""The carts against a table that can be throttled or stuck: who waits, who is told what, what is written in the end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from stormproof.lab.cart import CartAnswer, CartFailedError, Gate, HardenedCart, NaiveCart
from stormproof.lab.variants import HARDENED, NAIVE


class Table:
    """What the carts call of DynamoDB, over a dict; `error` is raised and `stuck` waited for when set."""

    def __init__(self) -> None:
        self.rows: dict[str, set[str]] = {}
        self.calls = 0
        self.error: str | None = None
        self.stuck: threading.Event | None = None

    def get_item(self, *, TableName: str, Key: dict[str, Any]) -> dict[str, Any]:  # noqa: N803 - the API's names
        self._called("GetItem")
        return {"Item": {"contents": {"SS": sorted(self.rows.get(Key["user"]["S"], set()))}}}

    def update_item(self, *, Key: dict[str, Any], ExpressionAttributeValues: dict[str, Any], **_: Any) -> Any:  # noqa: N803
        self._called("UpdateItem")
        row = self.rows.setdefault(Key["user"]["S"], set())
        row.update(ExpressionAttributeValues[":items"]["SS"])
        return {"Attributes": {"contents": {"SS": sorted(row)}}}

    def _called(self, operation: str) -> None:
        self.calls += 1
        if self.stuck is not None:
            self.stuck.wait(10)
        if self.error:
            response: Any = {"Error": {"Code": self.error, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(response, operation)


THROTTLED = "ProvisionedThroughputExceededException"


def hardened(table: Table, *, gate_base_s: float = 0.01) -> HardenedCart:
    policy = dataclasses.replace(HARDENED.cart, gate_base_s=gate_base_s, gate_cap_s=gate_base_s, answer_within_s=0.1)
    return HardenedCart(client=table, policy=policy, rng=random.Random(1))


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def draining(test: Callable[[HardenedCart], Awaitable[None]], cart: HardenedCart) -> None:
    """Run *test* while the cart's background task runs."""

    async def run() -> None:
        task = asyncio.create_task(cart.drain_forever())
        try:
            await test(cart)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())


def test_a_write_while_throttled_is_accepted_and_written_later() -> None:
    """Degraded at once, seen by its own process, in the table once the throttle is gone, exactly as asked."""
    table = Table()
    table.rows["u"] = {"old"}

    async def test(cart: HardenedCart) -> None:
        assert await cart.read("u") == CartAnswer(items=("old",), degraded=False)
        table.error = THROTTLED
        assert await cart.add("u", "new") == CartAnswer(items=("new", "old"), degraded=True)
        assert await cart.read("u") == CartAnswer(items=("new", "old"), degraded=True)
        assert table.rows["u"] == {"old"}
        table.error = None
        await until(lambda: cart.waiting_writes == 0)
        assert table.rows["u"] == {"new", "old"}

    draining(test, hardened(table))


def test_a_stuck_table_costs_the_budget_once_then_nothing() -> None:
    """The first call waits for its budget; behind the closed gate the next does not call at all."""
    table = Table()
    table.stuck = threading.Event()
    cart = hardened(table, gate_base_s=60.0)

    async def test() -> None:
        began = time.monotonic()
        assert (await cart.read("u")).degraded
        first_s = time.monotonic() - began
        calls = table.calls
        assert (await cart.read("u")).degraded
        assert 0.1 <= first_s < 5
        assert table.calls == calls == 1
        assert table.stuck is not None
        table.stuck.set()

    asyncio.run(test())


def test_without_memory_for_a_thread_a_write_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process under memory pressure that cannot start a thread promises the write, and is not worn out by it."""
    cart = hardened(Table())

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def test() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            for _ in range(2 * HARDENED.cart.threads):
                assert (await cart.add("u", "item")).degraded
        assert not (await cart.add("u", "other")).degraded

    asyncio.run(test())


def test_a_refusal_for_good_is_an_error_not_a_promise() -> None:
    """What no waiting can mend (no such table) is not accepted for later."""
    table = Table()
    table.error = "ResourceNotFoundException"
    cart = hardened(table)

    with pytest.raises(CartFailedError):
        asyncio.run(cart.add("u", "item"))
    assert cart.waiting_writes == 0


def test_the_outbox_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full outbox refuses; the same item again is not a second write."""
    monkeypatch.setattr("stormproof.lab.cart.OUTBOX_MAX", 2)
    table = Table()
    table.error = THROTTLED
    cart = hardened(table, gate_base_s=60.0)

    async def test() -> None:
        for item in ("one", "one", "two"):
            assert (await cart.add("u", item)).degraded
        assert cart.waiting_writes == 2
        with pytest.raises(CartFailedError, match="2 writes"):
            await cart.add("u", "three")

    asyncio.run(test())


def test_the_naive_cart_insists_at_once_and_gives_up() -> None:
    """Four calls for one request, then the error is the customer's."""
    table = Table()
    table.error = THROTTLED
    cart = NaiveCart(client=table, policy=NAIVE.cart)

    with pytest.raises(CartFailedError):
        asyncio.run(cart.read("u"))
    assert table.calls == 1 + NAIVE.cart.immediate_retries


def test_the_gate_doubles_up_to_its_cap_and_opens_again() -> None:
    """Full jitter below min(cap, base · 2ⁿ⁻¹); refusals while closed count once; a success starts over."""
    now = 0.0
    highest = random.Random()
    highest.uniform = lambda _low, high: high  # type: ignore[method-assign] # the ceiling itself, not a draw below it
    gate = Gate(base_s=1.0, cap_s=5.0, rng=highest, clock=lambda: now)
    waits = []
    for _ in range(4):
        gate.refused()
        gate.refused()
        waits.append(gate.closed_for_s)
        now += gate.closed_for_s
    gate.accepted()
    gate.refused()

    assert waits == [1.0, 2.0, 4.0, 5.0]
    assert gate.closed_for_s == 1.0
