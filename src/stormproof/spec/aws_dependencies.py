"""The dependencies of a file of kind `aws`, and the side-car in front of them → the model, or what is wrong."""

from __future__ import annotations

import ipaddress
import json
import urllib.parse
from typing import TYPE_CHECKING

from stormproof.errors import SpecError
from stormproof.model.cloud import CloudDependency, Function, NetworkAcl, Sidecar
from stormproof.spec.document import Document, Location, dotted

if TYPE_CHECKING:
    from stormproof.spec.aws_fields import AwsEnvironmentFields, DependencyFields

INSTANCE = "{instance}"  # in a key parameter's name: stands for the instance's id


def sidecar_from(fields: AwsEnvironmentFields) -> Sidecar | None:
    """The side-car, where the file has one."""
    proxy = fields.proxy
    if proxy is None:
        return None
    return Sidecar(
        admin_url=proxy.admin,
        node_id=proxy.node or f"stormproof-{fields.name}",
        directory=proxy.directory.rstrip("/"),
        host=proxy.listen,
        ca_path=proxy.ca,
    )


def dependency_from(name: str, fields: DependencyFields) -> CloudDependency:
    """What *fields* say of the dependency called *name*."""
    acl = fields.network_acl
    return CloudDependency(
        name=name,
        service=fields.service,
        upstream=fields.upstream.rstrip("/") if fields.upstream else None,
        canary_path=fields.canary,
        port=fields.proxy.port if fields.proxy else None,
        address=fields.address,
        security_group=fields.security_group,
        network_acl=NetworkAcl(subnets=tuple(acl.subnets), cidrs=tuple(acl.cidrs)) if acl else None,
        database_instance=fields.database_instance,
        function=Function(name=fields.function.name, payload=fields.function.payload) if fields.function else None,
    )


def check_dependencies(fields: AwsEnvironmentFields, document: Document) -> None:
    """Raises `SpecError` with the line for what pydantic cannot say."""
    taken = {urllib.parse.urlsplit(fields.proxy.admin).port: "proxy.admin"} if fields.proxy else {}
    for name, one in fields.dependencies.items():
        here: Location = ("dependencies", name)
        connected_to = one.security_group or one.network_acl or one.database_instance
        if not (one.proxy or connected_to or one.function):
            expected = (
                "a way in which it can be broken: proxy, security_group, network_acl, database_instance, function"
            )
            raise _wrong(document, here, expected, "none")
        if bool(connected_to) != bool(one.address):
            expected = "`address` with `security_group`, `network_acl` or `database_instance`, or neither"
            raise _wrong(document, here, expected, "one of them")
        if one.network_acl:
            _check_cidrs(one.network_acl.cidrs, document, (*here, "network_acl", "cidrs"))
        if one.function:
            _check_payload(one.function.payload, document, (*here, "function", "payload"))
        if one.proxy:
            _check_proxied(name, one, fields, document)
            if one.proxy.port in taken:
                got = f"{one.proxy.port}, which is that of {taken[one.proxy.port]}"
                raise _wrong(document, (*here, "proxy", "port"), "a port of its own", got)
            taken[one.proxy.port] = name
    _check_parameters(fields, document)


def _check_cidrs(cidrs: list[str], document: Document, here: Location) -> None:
    for index, cidr in enumerate(cidrs):
        try:
            ipaddress.ip_network(cidr)
        except ValueError as error:
            raise _wrong(document, (*here, index), f"a network in CIDR notation ({error})", cidr) from error


def _check_payload(text: str, document: Document, here: Location) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        raise _wrong(document, here, "JSON, as a text", text[:80]) from error


def _check_proxied(name: str, one: DependencyFields, fields: AwsEnvironmentFields, document: Document) -> None:
    here: Location = ("dependencies", name)
    if fields.proxy is None:
        raise _wrong(document, (*here, "proxy"), "a section `proxy` that says where the side-car is", "none")
    if not one.service and not one.upstream:
        raise _wrong(document, here, "`service` or `upstream`: where the side-car passes calls on to", "neither")
    if one.upstream and urllib.parse.urlsplit(one.upstream).path.strip("/"):
        raise _wrong(document, (*here, "upstream"), "a URL without a path", one.upstream)


def _check_parameters(fields: AwsEnvironmentFields, document: Document) -> None:
    key = fields.parameters.key
    if key is not None and (INSTANCE not in key or set("{}") & set(key.replace(INSTANCE, ""))):
        raise _wrong(document, ("parameters", "key"), f"a name with {INSTANCE} in it", key)
    if fields.parameters.release and set("{}") & set(fields.parameters.release):
        raise _wrong(document, ("parameters", "release"), "the name of a parameter", fields.parameters.release)


def _wrong(document: Document, location: Location, expected: str, got: str) -> SpecError:
    return SpecError(where=document.where(location), what=dotted(location), expected=expected, got=got)
