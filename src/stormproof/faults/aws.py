"""Clients for the calls that faults make: few and bounded retries, the endpoint of the plan, its identity checked."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stormproof.errors import IdentityError

if TYPE_CHECKING:
    from botocore.client import BaseClient

_ENVIRONMENT_LOCK = threading.RLock()
# What a client of the lab is called by: never real, so that nothing real can be reached by accident.
DUMMY_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def is_loopback(url: str) -> bool:
    """Whether *url*'s host is this machine."""
    host = urllib.parse.urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def simulated_environment(endpoint_url: str, region: str) -> dict[str, str]:
    """The process environment in which AWS clients can reach nothing but *endpoint_url*."""
    return {
        **DUMMY_CREDENTIALS,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "*",  # a proxy between us and the lab would answer for it
        "no_proxy": "*",
    }


@contextlib.contextmanager
def aws_environment(configuration: Mapping[str, Any]) -> Iterator[None]:
    """Let libraries that read the process environment (chaosaws does) see the plan's endpoint, and restore it after.

    One thread at a time: a fault's look and its act may both want a client.
    """
    with _ENVIRONMENT_LOCK, _changed_environment(configuration):
        yield


@contextlib.contextmanager
def _changed_environment(configuration: Mapping[str, Any]) -> Iterator[None]:
    endpoint = configuration.get("aws_endpoint_url")
    values = (
        simulated_environment(str(endpoint), str(configuration["aws_region"]))
        if endpoint and is_loopback(str(endpoint))
        else {}
    )
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def client(
    service: str,
    configuration: Mapping[str, Any],
    *,
    attempts: int = 3,
    timeout_s: float = 5.0,
    credentials: Mapping[str, str] | None = None,
) -> BaseClient:
    """A client for *service* at the plan's endpoint, with at most *attempts* attempts of *timeout_s* seconds each.

    *credentials* are those of a role, as STS gives them; without any, the process's own.
    """
    import boto3
    from botocore.config import Config

    endpoint = configuration.get("aws_endpoint_url")
    with aws_environment(configuration):
        session = boto3.Session(
            region_name=str(configuration["aws_region"]),
            aws_access_key_id=credentials["AccessKeyId"] if credentials else None,
            aws_secret_access_key=credentials["SecretAccessKey"] if credentials else None,
            aws_session_token=credentials["SessionToken"] if credentials else None,
        )
        return session.client(  # type: ignore[call-overload,no-any-return]
            service,
            endpoint_url=endpoint or None,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": attempts},
                connect_timeout=timeout_s,
                read_timeout=timeout_s,
                user_agent_extra="stormproof",
                proxies={} if endpoint and is_loopback(str(endpoint)) else None,  # None: as the process is set up
            ),
        )


def identify(configuration: Mapping[str, Any]) -> None:
    """Raise `IdentityError` unless the caller's account is the plan's."""
    planned = str(configuration["aws_account"])
    found = str(client("sts", configuration).get_caller_identity()["Account"])  # type: ignore[attr-defined]
    if found != planned:
        raise IdentityError(
            f"AWS: expected account {planned}, got {found}; nothing was touched",
            hint="check the profile or role of this shell against the environment file",
        )
