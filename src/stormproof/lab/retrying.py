"""A client that retries in the design that the variant asks for: pauses, jitter, and a budget, over real HTTP."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aiohttp

from stormproof.lab.variants import RetryPolicy


class CallFailedError(Exception):
    """The dependency gave no usable answer in as many attempts as the client may make."""


class Budget:
    """A bucket of retries that the calls of one process share: a retry takes a token, a success gives a part back.

    While everything fails, no more retries are made than there were tokens: the load on what is in trouble stays what
    the callers ask for. Without tokens (0) there is no budget. The AWS SDKs have such a bucket.
    """

    def __init__(self, *, tokens: int, refund: float) -> None:
        self._most, self._refund = float(tokens), refund
        self._left = float(tokens)

    def take(self) -> bool:
        """Whether one more retry may be made."""
        if not self._most:
            return True
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def succeeded(self) -> None:
        """A call came back."""
        self._left = min(self._most, self._left + self._refund)


def pause_s(policy: RetryPolicy, retry: int, rng: random.Random) -> float:
    """How long to wait before the *retry*-th retry, from 1: min(cap, base · multiplier^(retry - 1)).

    With jitter it is U(0, that): "full" of the AWS architecture blog's article on exponential back-off.
    """
    ceiling_s = min(policy.cap_s, policy.base_s * policy.multiplier ** (retry - 1))
    return rng.uniform(0.0, ceiling_s) if policy.full_jitter else ceiling_s


class RetryingClient:
    """Calls one dependency through its proxy; use as an async context manager."""

    def __init__(self, *, url: str, client_id: str, policy: RetryPolicy, rng: random.Random) -> None:
        self._url, self._client_id, self._policy, self._rng = url, client_id, policy, rng
        self._budget = Budget(tokens=policy.budget_tokens, refund=policy.budget_refund)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> RetryingClient:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._policy.attempt_timeout_s),
            connector=aiohttp.TCPConnector(limit=0),
            # The arrivals' `client`: a process identity that survives reconnects.
            headers={"User-Agent": f"stormproof-shop app/{self._client_id}"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, *, operation: str) -> Any:
        """The JSON at *path*; *operation* names the logical call. Raises `CallFailedError`."""
        error: Exception | None = None
        for attempt in range(1, self._policy.attempts_max + 1):
            if attempt > 1:
                if not self._budget.take():
                    break
                await asyncio.sleep(pause_s(self._policy, attempt - 1, self._rng))
            try:
                document = await self._ask(path, operation, attempt)
            except (TimeoutError, aiohttp.ClientError, ValueError) as failure:
                error = failure
            else:
                self._budget.succeeded()
                return document
        raise CallFailedError(f"{path}: {error!r}") from error

    async def _ask(self, path: str, operation: str, attempt: int) -> Any:
        assert self._session is not None, "used outside its context"
        headers = {"x-op-id": operation, "x-attempt": str(attempt)}
        async with self._session.get(f"{self._url}{path}", headers=headers) as answer:
            answer.raise_for_status()
            return await answer.json()
