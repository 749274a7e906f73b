"""A parameter of Systems Manager, there and back: what the faults share that change one."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, Purpose, arn, reads
from stormproof.faults.dead_man import DeadMan, Inverse
from stormproof.model.environment import Environment, Instance

NOT_FOUND = "ParameterNotFound"
PLAIN = "String"


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


def require_urls(instances: Sequence[Instance], *, kind: str, environment: Environment, where: str) -> None:
    """`InputError` where the instances cannot be called directly: nobody would see what they do with it."""
    if not instances or not all(one.url for one in instances):
        raise InputError(
            where=where,
            what=f"faults: {kind}",
            expected=f"an environment whose instances can be called directly ({environment.name!r}: instances.address)",
            got=f"{len(instances)} instances, {sum(not one.url for one in instances)} of them without an address",
        )


def read(configuration: Mapping[str, Any], name: str) -> str | None:
    """The value of parameter *name*; None where there is none."""
    from botocore.exceptions import ClientError

    ssm = _ssm(configuration)
    try:
        found = ssm.get_parameter(Name=name)["Parameter"]
    except ClientError as error:
        if error.response["Error"]["Code"] == NOT_FOUND:
            return None
        raise FaultError(f"{name}: could not be read: {error}") from error
    if found["Type"] != PLAIN:
        raise FaultError(
            f"{name}: expected a parameter of type {PLAIN}, got {found['Type']}: its value would be in the ledger, and"
            " come back as plain text"
        )
    return str(found["Value"])


def write(configuration: Mapping[str, Any], name: str, value: str) -> None:
    """Set parameter *name*; `FaultError` when that is refused."""
    from botocore.exceptions import BotoCoreError, ClientError

    ssm = _ssm(configuration)
    try:
        ssm.put_parameter(Name=name, Value=value, Type=PLAIN, Overwrite=True)
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


def inverse(values: Mapping[str, str | None]) -> list[Inverse]:
    """The calls by which AWS itself brings *values* back, None by deletion."""
    return [
        Inverse(service="ssm", operation="deleteParameter", request={"Name": name})
        if value is None
        else Inverse(
            service="ssm",
            operation="putParameter",
            request={"Name": name, "Value": value, "Type": PLAIN, "Overwrite": True},
        )
        for name, value in values.items()
    ]


def api_calls(names: Sequence[str], configuration: Mapping[str, Any]) -> tuple[ApiCall, ...]:
    """What a fault that changes parameters *names* calls."""
    own = tuple(arn(configuration, "ssm", f"parameter/{name.lstrip('/')}") for name in names)
    calls: tuple[tuple[str, Purpose], ...] = (
        ("PutParameter", "inject"),
        ("PutParameter", "undo"),
        ("DeleteParameter", "undo"),
    )
    return (
        *reads("sts:GetCallerIdentity", "ssm:GetParameter"),
        *(ApiCall(service="ssm", operation=name, purpose=purpose, resources=own) for name, purpose in calls),
        *(switch.api_calls if (switch := DeadMan.of("", configuration)) else ()),
    )


def _ssm(configuration: Mapping[str, Any]) -> Any:
    if any(configuration.get(key) for key in ("aws_profile", "aws_role_arn")):
        return aws.client("ssm", configuration)  # which keeps those of an identity
    return _client(configuration.get("aws_endpoint_url"), str(configuration["aws_region"]))


@functools.cache  # making a client takes longer than its call, and several parameters are to change together
def _client(endpoint_url: str | None, region: str) -> Any:
    return aws.client("ssm", {"aws_endpoint_url": endpoint_url, "aws_region": region})
