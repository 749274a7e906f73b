"""Clients for probes that ask AWS: one attempt of two seconds, and every refusal an `OSError`.

Credentials are the process's own. A probe's calls must neither wait nor repeat themselves: it is asked again anyway.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

TIMEOUT_S = 2.0


def call(service: str, region: str, endpoint_url: str | None, operation: str, **arguments: Any) -> dict[str, Any]:
    """One call. Raises `OSError` when the service does not answer or refuses: no answer is not an answer."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(client(service, region, endpoint_url), operation)(**arguments)
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"{service} in {region}: {error}") from error
    return answer


def pages(
    service: str, region: str, endpoint_url: str | None, operation: str, **arguments: Any
) -> Iterator[dict[str, Any]]:
    """Every page of a list; else as `call`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield from client(service, region, endpoint_url).get_paginator(operation).paginate(**arguments)
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"{service} in {region}: {error}") from error


@functools.cache  # a client takes a tenth of a second of work, and other probes sample in this process
def client(service: str, region: str, endpoint_url: str | None) -> Any:
    """The one of this process for *service* in *region*."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=TIMEOUT_S,
        read_timeout=TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": 1},
        user_agent_extra="stormproof",
    )
    return boto3.Session(region_name=region).client(service, endpoint_url=endpoint_url, config=config)  # type: ignore[call-overload]
