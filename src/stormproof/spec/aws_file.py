"""An environment file of kind `aws` → `CloudFile`, with what pydantic cannot say checked as well."""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING

from stormproof.errors import SpecError
from stormproof.model.cloud import (
    AZ_LOSS_PARTS,
    READY_KEY,
    READY_VALUE,
    CloudFile,
    CloudZone,
    DeadManSwitch,
    Fis,
    InstanceAddress,
    LedgerBucket,
    Parameters,
    Sli,
)
from stormproof.model.control import ControlRoute
from stormproof.spec.aws_dependencies import check_dependencies, dependency_from, sidecar_from
from stormproof.spec.document import Document, Location, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stormproof.spec.aws_fields import AwsEnvironmentFields

# A word of a name, so that `shop-prod-eu` is caught and `product-search` is not.
_PRODUCTION = re.compile(r"(?<![a-z])(?:prod|prd|production|live)(?![a-z])", re.IGNORECASE)
_THIS_MACHINE = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}")


def looks_like_production(name: str) -> bool:
    """Whether a word of *name* is one that people give to production."""
    return bool(_PRODUCTION.search(name))


def cloud_file_from(fields: AwsEnvironmentFields, document: Document) -> CloudFile:
    """What *fields* of *document* say. Raises `SpecError` with the line."""
    _check(fields, document)
    aws, fis = fields.aws, fields.fis
    return CloudFile(
        account=aws.account,
        region=aws.region,
        partition=aws.partition,
        profile=aws.profile,
        role_arn=aws.role,
        external_id=aws.external_id,
        endpoint_url=aws.endpoint.rstrip("/") if aws.endpoint else None,
        production=aws.production,
        base_url=fields.url.rstrip("/"),
        tags=dict(fields.tags),
        zones={name: CloudZone(name=name, az_id=one.id, az_name=one.name) for name, one in fields.zones.items()},
        address=InstanceAddress(
            source=fields.instances.address, scheme=fields.instances.scheme, port=fields.instances.port
        ),
        instances_max=fields.instances.most,
        load_balancers=tuple(fields.load_balancers),
        target_groups=tuple(fields.target_groups),
        scaling_groups=tuple(fields.auto_scaling_groups),
        clusters=tuple(fields.database_clusters),
        cache_groups=tuple(fields.cache_groups),
        az_loss_parts=tuple(part for part in AZ_LOSS_PARTS if part in fields.az_loss.parts),
        az_loss_by=fields.az_loss.by,
        alarms_guard=tuple(fields.alarms.guard),
        alarms_expected=tuple(fields.alarms.expected),
        slis=tuple(
            Sli(
                name=name,
                namespace=one.namespace,
                metric=one.metric,
                statistic=one.statistic,
                dimensions=dict(one.dimensions),
                period_s=one.period,
            )
            for name, one in fields.slis.items()
        ),
        topic_arn=fields.notify.topic if fields.notify else None,
        fis=Fis(
            role_arn=fis.role,
            launch_roles=tuple(fis.launch_roles),
            log_group_arn=fis.log_group,
            report_bucket=fis.report_bucket,
        )
        if fis
        else None,
        sidecar=sidecar_from(fields),
        dependencies={name: dependency_from(name, one) for name, one in fields.dependencies.items()},
        deniable_roles=tuple(fields.deniable_roles),
        parameters=Parameters(release=fields.parameters.release, key=fields.parameters.key),
        dead_man=DeadManSwitch(role_arn=fields.dead_man.role, after_s=fields.dead_man.after)
        if fields.dead_man
        else None,
        ledger=LedgerBucket(bucket=fields.ledger.bucket, prefix=fields.ledger.prefix.strip("/"))
        if fields.ledger
        else None,
        control_route=ControlRoute(header=fields.control.header, zone=fields.control.zone) if fields.control else None,
        where=document.file,
    )


def _check(fields: AwsEnvironmentFields, document: Document) -> None:
    if fields.tags.get(READY_KEY) != READY_VALUE:
        raise _wrong(
            document,
            ("tags",),
            f'{READY_KEY}: "{READY_VALUE}" among the tags',
            fields.tags.get(READY_KEY, "none") if READY_KEY in fields.tags else "none",
            hint="what its owners have not made ready for experiments must not be found",
        )
    if fields.aws.endpoint and not _THIS_MACHINE.fullmatch(urllib.parse.urlsplit(fields.aws.endpoint).hostname or ""):
        expected = "an emulator on this machine (http://127.0.0.1:…), or no endpoint"
        raise _wrong(document, ("aws", "endpoint"), expected, fields.aws.endpoint)
    if fields.aws.external_id and not fields.aws.role:
        raise _wrong(document, ("aws", "external_id"), "a role that it is for", "no role")
    if fields.instances.address == "none" and not fields.target_groups:
        expected = "target_groups, whose word is taken where no instance is called directly"
        raise _wrong(document, ("instances", "address"), expected, "none")
    if fields.az_loss.by == "fis" and fields.fis is None:
        raise _wrong(document, ("az_loss", "by"), "a section `fis`, with the role that FIS takes", "fis without one")
    if fields.control and fields.control.zone not in fields.zones:
        expected = f"a zone of this file: {', '.join(fields.zones)}"
        raise _wrong(document, ("control", "zone"), expected, f"`{fields.control.zone}`")
    _check_zones(fields, document)
    check_dependencies(fields, document)
    _check_names(fields, document)


def _check_zones(fields: AwsEnvironmentFields, document: Document) -> None:
    for name, zone in fields.zones.items():
        if not zone.name.startswith(fields.aws.region):
            raise _wrong(document, ("zones", name, "name"), f"a zone of {fields.aws.region}", zone.name)
    ids = [zone.id for zone in fields.zones.values()]
    if len(set(ids)) != len(ids):
        raise _wrong(document, ("zones",), "each AZ id once", ", ".join(ids))


def _check_names(fields: AwsEnvironmentFields, document: Document) -> None:
    for location, arn in _arns(fields):
        if arn.split(":")[4] != fields.aws.account:
            raise _wrong(document, location, f"an ARN of account {fields.aws.account}", arn)
    if not fields.aws.production:
        for location, name in _names(fields):
            if looks_like_production(name):
                hint = "if it is meant: `production: true` under `aws`, in a change that is reviewed"
                raise _wrong(document, location, "no name that looks like production", f"`{name}`", hint=hint)


def _arns(fields: AwsEnvironmentFields) -> Iterator[tuple[Location, str]]:
    for index, role in enumerate(fields.deniable_roles):
        yield ("deniable_roles", index), role
    if fields.aws.role:
        yield ("aws", "role"), fields.aws.role
    if fields.dead_man:
        yield ("dead_man", "role"), fields.dead_man.role
    if fields.notify:
        yield ("notify", "topic"), fields.notify.topic
    if fields.fis:
        yield ("fis", "role"), fields.fis.role
        for index, role in enumerate(fields.fis.launch_roles):
            yield ("fis", "launch_roles", index), role
        if fields.fis.log_group:
            yield ("fis", "log_group"), fields.fis.log_group


def _names(fields: AwsEnvironmentFields) -> Iterator[tuple[Location, str]]:
    """Every name in the file that could give production away."""
    yield ("name",), fields.name
    yield ("url",), fields.url
    if fields.ledger:
        yield ("ledger", "bucket"), fields.ledger.bucket
    if fields.aws.profile:
        yield ("aws", "profile"), fields.aws.profile
    for key in ("load_balancers", "target_groups", "auto_scaling_groups", "database_clusters", "cache_groups"):
        for index, name in enumerate(getattr(fields, key)):
            yield (key, index), name
    for name, one in fields.dependencies.items():
        if one.upstream:
            yield ("dependencies", name, "upstream"), one.upstream
        if one.address:
            yield ("dependencies", name, "address"), one.address
        if one.database_instance:
            yield ("dependencies", name, "database_instance"), one.database_instance
        if one.function:
            yield ("dependencies", name, "function", "name"), one.function.name
    for key, value in fields.tags.items():
        yield ("tags", key), value
    for location, arn in _arns(fields):
        yield location, arn.split(":", 5)[5]


def _wrong(document: Document, location: Location, expected: str, got: str, *, hint: str | None = None) -> SpecError:
    return SpecError(where=document.where(location), what=dotted(location), expected=expected, got=got, hint=hint)
