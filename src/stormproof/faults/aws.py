"""Clients for the calls that faults make: few and bounded retries, the endpoint of the plan, its identity checked."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import logging
import os
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormproof.errors import IdentityError
from stormproof.faults import call_log

if TYPE_CHECKING:
    from boto3 import Session
    from botocore.client import BaseClient
    from botocore.loaders import Loader


_ENVIRONMENT_LOCK = threading.RLock()
ROLE_TIMEOUT_S = 5.0  # of each of three attempts to become somebody: an undo may wait for it
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")  # what AWS says of credentials that are over
# What makes two configurations the same caller at the same place.
_IDENTITY = ("aws_region", "aws_endpoint_url", "aws_profile", "aws_role_arn", "aws_external_id")
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
    import boto3

    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        if boto3.DEFAULT_SESSION is None:  # chaosaws would make one, and keep it, just the same
            boto3.DEFAULT_SESSION = _session(str(configuration["aws_region"]))
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


@functools.cache
def _descriptions() -> Loader:
    """What botocore knows of the services: megabytes of JSON for EC2 alone, read once a process and not once a session.

    Nothing of an identity is in it: credentials stay with each session.
    """
    from botocore.loaders import create_loader

    return create_loader(os.environ.get("AWS_DATA_PATH"))


def _session(region: str, credentials: Mapping[str, str] | None = None) -> Session:
    import boto3
    import botocore.session

    core = botocore.session.get_session()
    core.register_component("data_loader", _descriptions())
    session = boto3.Session(
        botocore_session=core,
        region_name=region,
        aws_access_key_id=credentials["AccessKeyId"] if credentials else None,
        aws_secret_access_key=credentials["SecretAccessKey"] if credentials else None,
        aws_session_token=credentials["SessionToken"] if credentials else None,
    )
    paths = _descriptions().search_paths
    paths[:] = dict.fromkeys(paths)  # every session of boto3's adds the same one
    return session


@functools.lru_cache(maxsize=8)
def _identity_session(
    region: str, profile: str, role_arn: str, external_id: str, session_name: str, endpoint_url: str
) -> Session:
    """A session of *profile* (or of the process), or of *role_arn* assumed from it, again before it expires.

    Kept: each client of a new session would assume the role anew. Called within `aws_environment`.
    """
    import boto3
    import botocore.session
    from botocore.credentials import DeferredRefreshableCredentials

    core: Any = botocore.session.Session(profile=profile or None)
    core.register_component("data_loader", _descriptions())
    core.set_config_variable("region", region)
    if role_arn:
        # What fails there is raised, and said by us; botocore prints a traceback besides.
        logging.getLogger("botocore.credentials").setLevel(logging.ERROR)
        assume = functools.partial(
            _assumed, region, profile, role_arn, external_id, session_name=session_name, endpoint_url=endpoint_url
        )
        core._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 - what botocore's own providers end in
            refresh_using=assume, method="assume-role"
        )
    return boto3.Session(botocore_session=core, region_name=region)


def _assumed(
    region: str, profile: str, role_arn: str, external_id: str, *, session_name: str, endpoint_url: str
) -> dict[str, Any]:
    """Credentials of *role_arn* in botocore's form, with what *profile* has now: somebody may have logged in again."""
    import botocore.session
    from botocore.config import Config
    from botocore.credentials import AssumeRoleCredentialFetcher

    ours = Config(
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=ROLE_TIMEOUT_S,
        read_timeout=ROLE_TIMEOUT_S,
        user_agent_extra="stormproof",
        proxies={} if is_loopback(endpoint_url) else None,
    )
    source = botocore.session.Session(profile=profile or None)
    source.register_component("data_loader", _descriptions())
    with aws_environment({"aws_endpoint_url": endpoint_url, "aws_region": region}):
        credentials = source.get_credentials()

    def creator(service: str, **settings: Any) -> Any:
        return source.create_client(
            service, endpoint_url=endpoint_url or None, region_name=region, config=ours, **settings
        )

    if credentials is None:
        raise IdentityError(
            f"AWS: expected credentials to assume {role_arn} with, got none; nothing was touched",
            hint="log in, or set AWS_PROFILE",
        )
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=creator,
        source_credentials=credentials,
        role_arn=role_arn,
        extra_args={"RoleSessionName": session_name, **({"ExternalId": external_id} if external_id else {})},
    )
    found: dict[str, Any] = fetcher.fetch_credentials()
    return found


def _renew_what_has_expired(client: Any, session: Session) -> None:
    """Assume the role anew when AWS says that a session is over (it was revoked, say), and ask once more.

    Such a call was not executed, so it may be repeated. What cannot be renewed so is read anew by whoever asks next.
    """

    def answered(response: Any, attempts: int, **_: Any) -> float | None:
        code = response[1].get("Error", {}).get("Code") if response else None
        if code not in EXPIRED:
            return None
        _kept_client.cache_clear()
        _identity_session.cache_clear()
        credentials: Any = session.get_credentials()
        if attempts > 1 or getattr(credentials, "method", "") != "assume-role":
            return None
        credentials._frozen_credentials = None  # noqa: SLF001 - as before the first call
        return 0.0

    client.meta.events.register_first("needs-retry", answered)


def session_name(configuration: Mapping[str, Any]) -> str:
    """What CloudTrail shows of our calls: the run that they belong to, where there is one; its undo's as well."""
    ledger = configuration.get("ledger_path")
    run = Path(ledger if isinstance(ledger, str) else os.environ.get("STORMPROOF_LEDGER", "")).parent.name
    return f"stormproof-{run or os.getpid()}"[:64]


def warm_up(*services: str) -> None:
    """Do now what the first clients of *services* would have to: half a second that an undo need not wait for."""
    import boto3
    import chaosaws.ec2.actions  # noqa: F401

    nowhere, default = {"aws_region": "us-east-1", "aws_endpoint_url": "http://127.0.0.1:9"}, boto3.DEFAULT_SESSION
    for service in services:
        client(service, nowhere)
    boto3.DEFAULT_SESSION = default  # the first one that is meant makes its own


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
    with aws_environment(configuration):
        if not credentials and any(configuration.get(key) for key in ("aws_profile", "aws_role_arn")):
            identity = tuple(str(configuration.get(key) or "") for key in _IDENTITY)
            calls = call_log.path_of(configuration)
            return _kept_client(service, identity, session_name(configuration), attempts, timeout_s, calls)
        made = _make_client(
            _session(str(configuration["aws_region"]), credentials),
            service,
            str(configuration.get("aws_endpoint_url") or ""),
            attempts,
            timeout_s,
        )
        call_log.log_calls(made, call_log.path_of(configuration))
        return made


@functools.lru_cache(maxsize=32)
def _kept_client(
    service: str, identity: tuple[str, ...], session: str, attempts: int, timeout_s: float, calls: str
) -> BaseClient:
    """Clients of a plan's own identity are kept, as its session is: to make one takes longer than most calls."""
    region, endpoint, profile, role, external_id = identity
    if is_loopback(endpoint):
        profile = ""  # no profile of a real account is looked at for an emulator
    kept = _identity_session(region, profile, role, external_id, session, endpoint)
    made = _make_client(kept, service, endpoint, attempts, timeout_s)
    _renew_what_has_expired(made, kept)
    call_log.log_calls(made, calls)
    return made


def _make_client(session: Session, service: str, endpoint: str, attempts: int, timeout_s: float) -> BaseClient:
    from botocore.config import Config

    return session.client(  # type: ignore[call-overload,no-any-return]
        service,
        endpoint_url=endpoint or None,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            user_agent_extra="stormproof",
            s3={"addressing_style": "path"} if endpoint else None,  # no bucket has a name of its own there
            proxies={} if endpoint and is_loopback(endpoint) else None,  # None: as the process is set up
        ),
    )


def identify(configuration: Mapping[str, Any]) -> None:
    """Raise `IdentityError` unless the caller's account, and partition where one is planned, are the plan's."""
    planned = str(configuration["aws_account"])
    caller = client("sts", configuration).get_caller_identity()  # type: ignore[attr-defined]
    found = str(caller["Account"])
    hint = "check the profile or role of this shell against the environment file"
    if found != planned:
        raise IdentityError(f"AWS: expected account {planned}, got {found}; nothing was touched", hint=hint)
    partition = str(configuration.get("aws_partition") or "")
    got = str(caller["Arn"]).split(":")[1]
    if partition and got != partition:
        raise IdentityError(f"AWS: expected partition {partition}, got {got}; nothing was touched", hint=hint)
