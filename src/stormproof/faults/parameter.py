"""A parameter of Systems Manager, there and back: what the faults share that change one."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws
from stormproof.model.environment import Environment

NOT_FOUND = "ParameterNotFound"


def require(name: str | None, *, kind: str, what: str, environment: Environment, where: str) -> str:
    """*name*, or `InputError` where the environment does not say which parameter it is."""
    if name is None:
        raise InputError(
            where=where,
            what=f"faults: {kind}",
            expected=f"an environment that names {what}",
            got=repr(environment.name),
        )
    return name


def read(configuration: Mapping[str, Any], name: str) -> str | None:
    """The value of parameter *name*; None where there is none."""
    from botocore.exceptions import ClientError

    ssm = _ssm(configuration)
    try:
        return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] == NOT_FOUND:
            return None
        raise FaultError(f"{name}: could not be read: {error}") from error


def write(configuration: Mapping[str, Any], name: str, value: str) -> None:
    """Set parameter *name*; `FaultError` when that is refused."""
    from botocore.exceptions import BotoCoreError, ClientError

    ssm = _ssm(configuration)
    try:
        ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    except (BotoCoreError, ClientError) as error:
        raise FaultError(f"{name}: could not be set: {error}") from error


def put_back(configuration: Mapping[str, Any], name: str, *, ours: str, before: str | None) -> None:
    """Bring *before* back, None by deletion; `FaultError` where the value is neither *ours* nor *before*."""
    from botocore.exceptions import ClientError

    now = read(configuration, name)
    if now == before:
        return
    if now != ours:
        raise FaultError(f"{name} is {now!r}, neither ours ({ours!r}) nor the one before ({before!r}); left alone")
    if before is not None:
        write(configuration, name, before)
        return
    ssm = _ssm(configuration)
    try:
        ssm.delete_parameter(Name=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != NOT_FOUND:
            raise FaultError(f"{name}: could not be deleted: {error}") from error


def _ssm(configuration: Mapping[str, Any]) -> Any:
    return _client(configuration.get("aws_endpoint_url"), str(configuration["aws_region"]))


@functools.cache  # making a client takes longer than its call, and several parameters are to change together
def _client(endpoint_url: str | None, region: str) -> Any:
    return aws.client("ssm", {"aws_endpoint_url": endpoint_url, "aws_region": region})
