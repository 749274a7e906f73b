"""The shop's client of the recommendations dependency, in the design that the variant asks for."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from stormproof.lab.parameters import CURRENT_KEY, KEY_HEADER
from stormproof.lab.variants import RecommendationsPolicy

# What everybody likes: shown when nothing better can be had.
STATIC_PRODUCTS = (1, 2, 3, 5)


class RecommendationsFailedError(Exception):
    """The dependency gave no usable answer and the variant has nothing to show instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    """Products for one customer; *degraded* when they are the static ones."""

    products: tuple[int, ...]
    degraded: bool


class Breaker:
    """Opens after *failures_max* failures in a row; after *open_s* lets one call through at a time.

    With *failures_max* 0 it never opens. *clock* is monotonic seconds.
    """

    def __init__(self, *, failures_max: int, open_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures_max, self._open_s, self._clock = failures_max, open_s, clock
        self._failures = 0
        self._closed_again_at = 0.0

    def allows(self) -> bool:
        """Whether a call may be made now; while half open, the one that is told yes is the trial."""
        if not self._failures_max or self._failures < self._failures_max:
            return True
        if self._clock() < self._closed_again_at:
            return False
        self._closed_again_at = self._clock() + self._open_s  # the trial; the others go on waiting
        return True

    def succeeded(self) -> None:
        """A call came back in time."""
        self._failures = 0

    def failed(self) -> None:
        """A call failed or came too late."""
        self._failures += 1
        if self._failures_max and self._failures >= self._failures_max:
            self._closed_again_at = self._clock() + self._open_s


class Recommendations:
    """Calls the dependency through its proxy; use as an async context manager."""

    def __init__(
        self,
        *,
        url: str,
        instance_id: str,
        policy: RecommendationsPolicy,
        key: Callable[[], str] = lambda: CURRENT_KEY,
    ) -> None:
        self._key = key
        self._url, self._instance_id, self._policy = url, instance_id, policy
        self._breaker = Breaker(failures_max=policy.breaker_failures, open_s=policy.breaker_open_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Recommendations:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._policy.timeout_s),
            connector=aiohttp.TCPConnector(limit=0),
            # The arrivals' `client`: a process identity that survives reconnects.
            headers={"User-Agent": f"stormproof-shop app/{self._instance_id}"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def for_user(self, user: str, *, fallback: bool | None = None) -> Recommended:
        """What to recommend to *user*; raises `RecommendationsFailedError` where there is no fallback.

        *fallback* overrules the variant's policy: a release may have one where the variant has none.
        """
        operation = secrets.token_hex(8)
        error: Exception | None = None
        for attempt in range(1, self._policy.immediate_retries + 2):
            if not self._breaker.allows():
                break
            try:
                products = await self._ask(user, operation, attempt)
            except (TimeoutError, aiohttp.ClientError, ValueError, KeyError, TypeError) as failure:
                error = failure
                self._breaker.failed()
            else:
                self._breaker.succeeded()
                return Recommended(products=products, degraded=False)
        if self._policy.fallback if fallback is None else fallback:
            return Recommended(products=STATIC_PRODUCTS, degraded=True)
        raise RecommendationsFailedError(f"recommendations: {error!r}") from error

    async def answers(self) -> bool:
        """Whether the dependency answers the test customer now: what a deep health check asks, past the breaker."""
        try:
            return bool(await self._ask("0", secrets.token_hex(8), 1))
        except (TimeoutError, aiohttp.ClientError, ValueError, KeyError, TypeError):
            return False

    async def _ask(self, user: str, operation: str, attempt: int) -> tuple[int, ...]:
        assert self._session is not None, "used outside its context"
        async with self._session.get(
            f"{self._url}/recommendations",
            params={"user": user},
            headers={"x-op-id": operation, "x-attempt": str(attempt), KEY_HEADER: self._key()},
        ) as answer:
            answer.raise_for_status()
            document = await answer.json()
            return tuple(int(product) for product in document["products"])
