"""The shop's cart in DynamoDB, in the two designs that a throttled table tells apart.

One row a user, its contents a set of strings: adding twice is adding once, so that a write whose fate is unknown may
be repeated, and several writes of one user become one.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from stormproof.lab.topology import CARTS_TABLE, REGION
from stormproof.lab.variants import CartPolicy

# Bounds on what one process remembers: beyond them it forgets the oldest copy, and refuses further writes.
KNOWN_CARTS_MAX = 10_000
OUTBOX_MAX = 5_000
DRAIN_PAUSE_S = 0.05  # on average, between two writes from the outbox

# What the thread is at that retries by hand: the logical call's id, and which attempt.
_CALL: ContextVar[tuple[str, int] | None] = ContextVar("call", default=None)

_log = logging.getLogger("stormproof.lab.cart")


class CartFailedError(Exception):
    """The cart could not be read or written, and the variant has nothing to answer instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CartAnswer:
    """A cart as the customer is told of it; *degraded* when it does not come from, or is not yet in, the table."""

    items: tuple[str, ...]
    degraded: bool


class Cart(Protocol):
    """What the shop needs of a cart."""

    async def read(self, user: str) -> CartAnswer:
        """The items of *user*."""

    async def add(self, user: str, item: str) -> CartAnswer:
        """Put *item* into *user*'s cart."""

    async def drain_forever(self) -> None:
        """Whatever the design does in the background; ends when cancelled."""


def cart_client(*, url: str, instance_id: str, policy: CartPolicy) -> Any:
    """A DynamoDB client with the variant's retries and time-outs, named after the instance."""
    import boto3
    from botocore.config import Config

    settings: dict[str, Any] = {
        "user_agent_appid": instance_id,  # the arrivals' `client`
        "retries": {"mode": "standard", "total_max_attempts": policy.sdk_attempts_max},
        "connect_timeout": policy.connect_timeout_s,
        "read_timeout": policy.read_timeout_s,
        "max_pool_connections": policy.threads,
        "proxies": {},  # loopback; whatever the machine's proxy settings say
    }
    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=url, config=Config(**settings))
    client.meta.events.register("before-call.dynamodb", _name_the_call)
    return client


def _name_the_call(params: dict[str, Any], **_: Any) -> None:
    """The application's own id of the call, as a trace would carry it: the SDK starts a new one at each call of it."""
    if (call := _CALL.get()) is not None:
        params["headers"] |= {"x-op-id": call[0], "x-attempt": str(call[1])}


def read_table(client: Any, user: str) -> frozenset[str]:
    """What is in *user*'s cart: one call; raises what botocore raises."""
    answer = client.get_item(TableName=CARTS_TABLE, Key={"user": {"S": user}})
    return _contents(answer.get("Item", {}))


def add_to_table(client: Any, user: str, items: Iterable[str]) -> frozenset[str]:
    """Add *items* to *user*'s cart, and what is in it then: one call; raises what botocore raises."""
    answer = client.update_item(
        TableName=CARTS_TABLE,
        Key={"user": {"S": user}},
        UpdateExpression="ADD contents :items",
        ExpressionAttributeValues={":items": {"SS": sorted(items)}},
        ReturnValues="ALL_NEW",
    )
    return _contents(answer.get("Attributes", {}))


def _contents(row: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(row.get("contents", {}).get("SS", ()))


class NaiveCart:
    """Blocks until DynamoDB answers; after an error tries again at once, then gives the error to the customer."""

    def __init__(self, *, client: Any, policy: CartPolicy) -> None:
        self._client, self._policy = client, policy
        self._pool = ThreadPoolExecutor(max_workers=policy.threads, thread_name_prefix="cart")

    async def read(self, user: str) -> CartAnswer:
        """One get and its retries; raises `CartFailedError`."""
        items = await self._insist(lambda: read_table(self._client, user))
        return CartAnswer(items=tuple(sorted(items)), degraded=False)

    async def add(self, user: str, item: str) -> CartAnswer:
        """One update and its retries; raises `CartFailedError`."""
        items = await self._insist(lambda: add_to_table(self._client, user, [item]))
        return CartAnswer(items=tuple(sorted(items)), degraded=False)

    async def drain_forever(self) -> None:
        """Nothing is ever put off."""

    async def _insist(self, call: Callable[[], Any]) -> Any:
        def attempts() -> Any:
            error: Exception | None = None
            operation = secrets.token_hex(8)
            for attempt in range(1, 2 + self._policy.immediate_retries):
                _CALL.set((operation, attempt))
                try:
                    return call()
                except (ClientError, BotoCoreError) as failure:
                    error = failure
            raise CartFailedError(f"cart: {error!r}") from error

        return await asyncio.get_running_loop().run_in_executor(self._pool, attempts)


class Gate:
    """Keeps a process away from a service that has just refused it: full jitter, doubling up to *cap_s*.

    The n-th refusal in a row closes it for U(0, min(cap, base · 2ⁿ⁻¹)) seconds ("full jitter", the AWS architecture
    blog on exponential back-off and jitter). *clock* is monotonic seconds.
    """

    def __init__(
        self, *, base_s: float, cap_s: float, rng: random.Random, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._base_s, self._cap_s, self._rng, self._clock = base_s, cap_s, rng, clock
        self._refusals = 0
        self._open_at = 0.0

    @property
    def closed_for_s(self) -> float:
        """How long to stay away still; 0 when open."""
        return max(0.0, self._open_at - self._clock())

    def refused(self) -> None:
        """A call was throttled, failed or took too long. Calls that were under way together count once."""
        if self.closed_for_s:
            return
        self._refusals += 1
        ceiling_s = min(self._cap_s, self._base_s * 2 ** min(self._refusals - 1, 16))
        self._open_at = self._clock() + self._rng.uniform(0.0, ceiling_s)

    def accepted(self) -> None:
        """A call succeeded."""
        self._refusals = 0


class _PutOff(Exception):  # noqa: N818 - a decision, not an error: the call is not made, or not waited for
    """DynamoDB is not to be had within the budget."""


class HardenedCart:
    """Answers within its budget whatever DynamoDB does.

    A write that cannot be made now is accepted into an outbox, which a background task drains, a user at a time; a read
    is answered from the last copy this process knows. The outbox is memory: a process that is killed loses it. That is
    the price, and why such an answer says *degraded* (202): accepted, not stored.
    """

    def __init__(self, *, client: Any, policy: CartPolicy, rng: random.Random) -> None:
        self._client, self._policy, self._rng = client, policy, rng
        self._pool = ThreadPoolExecutor(max_workers=policy.threads, thread_name_prefix="cart")
        self._gate = Gate(base_s=policy.gate_base_s, cap_s=policy.gate_cap_s, rng=rng)
        self._under_way = 0
        self._known: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._outbox: dict[str, set[str]] = {}  # by user, the one who has waited longest first
        self._waiting = 0
        self._outbox_filled = asyncio.Event()

    @property
    def waiting_writes(self) -> int:
        """Writes accepted and not yet in the table."""
        return self._waiting

    async def read(self, user: str) -> CartAnswer:
        """The table's items and those still in the outbox; the last known copy when the table is not to be had."""
        try:
            stored = await self._within_budget(lambda: read_table(self._client, user))
        except _PutOff:
            return CartAnswer(items=tuple(sorted(self._known.get(user, frozenset()))), degraded=True)
        return self._answer(user, stored | self._outbox.get(user, set()), degraded=False)

    async def add(self, user: str, item: str) -> CartAnswer:
        """Stored, or accepted for later; raises `CartFailedError` when the outbox is full."""
        try:
            stored = await self._within_budget(lambda: add_to_table(self._client, user, [item]))
        except _PutOff as reason:
            self._accept(user, item, reason)
            return self._answer(user, self._known.get(user, frozenset()) | {item}, degraded=True)
        return self._answer(user, stored | self._outbox.get(user, set()), degraded=False)

    async def drain_forever(self) -> None:
        """Write the outbox into the table, a user's waiting items at a time, whenever the gate is open."""
        while True:
            await self._outbox_filled.wait()
            # A jittered pause even when the gate is open: customers who wait now come before writes that can.
            await asyncio.sleep(self._gate.closed_for_s + self._rng.uniform(0.0, 2 * DRAIN_PAUSE_S))
            user, items = next((user, frozenset(items)) for user, items in self._outbox.items())
            try:
                await self._within_budget(functools.partial(add_to_table, self._client, user, items))
            except _PutOff:
                continue
            except CartFailedError as error:  # refused for good: waiting longer would only hold up the others
                _log.error("%s waiting writes of one user were refused: %s", len(items), error)
            self._forget_waiting(user, items)

    def _accept(self, user: str, item: str, reason: Exception) -> None:
        waiting = self._outbox.get(user, set())
        if item in waiting:
            return
        if self._waiting >= OUTBOX_MAX:
            raise CartFailedError(f"cart: {OUTBOX_MAX} writes are waiting already") from reason
        self._outbox[user] = waiting | {item}
        self._waiting += 1
        self._outbox_filled.set()

    def _forget_waiting(self, user: str, written: frozenset[str]) -> None:
        left = self._outbox.pop(user) - written
        self._waiting -= len(written)
        if left:  # came in while the others were being written
            self._outbox[user] = left
        if not self._outbox:
            self._outbox_filled.clear()

    def _answer(self, user: str, items: Set[str], *, degraded: bool) -> CartAnswer:
        self._remember(user, frozenset(items))
        return CartAnswer(items=tuple(sorted(items)), degraded=degraded)

    def _remember(self, user: str, items: frozenset[str]) -> None:
        self._known[user] = items
        self._known.move_to_end(user)
        while len(self._known) > KNOWN_CARTS_MAX:
            self._known.popitem(last=False)

    async def _within_budget(self, call: Callable[[], Any]) -> Any:
        """The call's answer, or `_PutOff` when it must not be made now, was refused, or takes too long."""
        if self._gate.closed_for_s or self._under_way >= self._policy.threads:
            raise _PutOff
        try:
            future = asyncio.get_running_loop().run_in_executor(self._pool, call)
        except RuntimeError as error:  # no memory for another thread; those there are will take it from the queue
            raise _PutOff from error
        self._under_way += 1
        future.add_done_callback(self._finished)
        # Not `wait_for`: a call that blocks cannot be cancelled, only no longer waited for.
        await asyncio.wait({future}, timeout=self._policy.answer_within_s)
        if not future.done():
            self._gate.refused()
            raise _PutOff
        try:
            answer = future.result()
        except (ClientError, BotoCoreError) as error:
            if not _may_pass(error):
                raise CartFailedError(f"cart: {error!r}") from error
            self._gate.refused()
            raise _PutOff from error
        self._gate.accepted()
        return answer

    def _finished(self, future: asyncio.Future[Any]) -> None:
        self._under_way -= 1
        if not future.cancelled():
            future.exception()  # looked at, so that asyncio does not complain of one nobody waited for


def _may_pass(error: Exception) -> bool:
    """Whether the same call may succeed later: throttled, no connection, no answer, a 5xx."""
    if not isinstance(error, ClientError):
        return True
    metadata: dict[str, Any] = dict(error.response.get("ResponseMetadata", {}))
    return metadata.get("HTTPStatusCode", 0) >= 500 or error.response.get("Error", {}).get("Code") in {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
    }
