"""Clients for probes that ask the account's own API: one attempt, two seconds, as whom the caller says.

A probe's calls must neither wait nor repeat themselves, as it is asked again anyway; every refusal is an `OSError`.
"""

from __future__ import annotations

import functools
import ipaddress
import urllib.parse
from collections.abc import Iterator
from typing import Any

TIMEOUT_S = 2.0
SESSION_NAME = "stormproof-probe"
Identity = tuple[str | None, ...]  # profile, role_arn, external_id; empty: the process's own credentials


def call(
    service: str, region: str, endpoint_url: str | None, operation: str, identity: Identity = (), **arguments: Any
) -> dict[str, Any]:
    """One call. Raises `OSError` when the service does not answer or refuses: no answer is not an answer."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = aws_client(service, region, endpoint_url, *(identity if any(identity) else ()))
        answer: dict[str, Any] = getattr(client, operation)(**arguments)
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"{service} in {region}: {error}") from error
    return answer


def pages(
    service: str, region: str, endpoint_url: str | None, operation: str, identity: Identity = (), **arguments: Any
) -> Iterator[dict[str, Any]]:
    """Every page of a list; else as `call`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = aws_client(service, region, endpoint_url, *(identity if any(identity) else ()))
        yield from client.get_paginator(operation).paginate(**arguments)
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"{service} in {region}: {error}") from error


@functools.cache  # a client takes a tenth of a second of work, and other probes sample in this process
def aws_client(
    service: str,
    region: str,
    endpoint_url: str | None = None,
    profile: str | None = None,
    role_arn: str | None = None,
    external_id: str | None = None,
) -> Any:
    """A client for *service*: as the process, as *profile*, or as *role_arn*, assumed again before it expires.

    Raises `OSError` where there are no credentials to assume the role with.
    """
    import boto3
    import botocore.session

    config = _config(endpoint_url)
    if _is_here(endpoint_url):
        profile = None  # no profile of a real account is looked at for an emulator
    core: Any = botocore.session.Session(profile=profile)
    if role_arn:
        core._credentials = _assumed(core, region, endpoint_url, role_arn, external_id)  # noqa: SLF001 - as botocore's own providers do
    session = boto3.Session(botocore_session=core, region_name=region)
    return session.client(service, endpoint_url=endpoint_url, config=config)  # type: ignore[call-overload]


def _assumed(core: Any, region: str, endpoint_url: str | None, role_arn: str, external_id: str | None) -> Any:
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    def creator(service: str, **settings: Any) -> Any:
        return core.create_client(
            service, endpoint_url=endpoint_url, region_name=region, config=_config(endpoint_url), **settings
        )

    source = core.get_credentials()
    if source is None:
        raise OSError(f"no credentials to assume {role_arn} with")
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=creator,
        source_credentials=source,
        role_arn=role_arn,
        extra_args={"RoleSessionName": SESSION_NAME, **({"ExternalId": external_id} if external_id else {})},
    )
    return DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method="assume-role")


def _config(endpoint_url: str | None) -> Any:
    from botocore.config import Config

    return Config(
        connect_timeout=TIMEOUT_S,
        read_timeout=TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": 1},
        user_agent_extra="stormproof",
        proxies={} if _is_here(endpoint_url) else None,
    )


def _is_here(endpoint_url: str | None) -> bool:
    host = urllib.parse.urlsplit(endpoint_url or "").hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
