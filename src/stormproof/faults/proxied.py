"""What the faults of a dependency's proxy share: finding it, and its runtime values there and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from stormproof.errors import FaultError, InputError
from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.model.environment import Dependency, Environment, Proxy

# How likely a look may miss a fault that hits only a share of the requests.
_MISSED_AT_MOST = 0.001


def proxied(
    environment: Environment,
    name: str,
    *,
    kind: str,
    able: Callable[[Dependency], object],
    ability: str,
    where: str,
) -> tuple[Dependency, Proxy]:
    """The dependency called *name* and its proxy; `InputError` with the names that would do when it is not *able*."""
    dependency, proxy = environment.dependencies.get(name), environment.proxy
    if dependency is None or proxy is None or not able(dependency):
        names = [one.name for one in environment.dependencies.values() if able(one)] if proxy else []
        raise InputError(
            where=where,
            what=f"faults: {kind}.dependency",
            expected=f"a dependency of {environment.name!r} that can be {ability}: {', '.join(names) or 'none'}",
            got=repr(name),
        )
    return dependency, proxy


def proxy_configuration(proxy: Proxy) -> dict[str, Any]:
    """What a fault needs to reach the proxy again, from any process."""
    return {"envoy_admin_url": proxy.admin_url, "envoy_node_id": proxy.node_id}


def admin(configuration: Mapping[str, Any]) -> EnvoyAdmin:
    """The proxy's admin interface, from `proxy_configuration`."""
    return EnvoyAdmin(url=str(configuration["envoy_admin_url"]), node_id=str(configuration["envoy_node_id"]))


def canary_url(dependency: Dependency) -> str:
    """The harmless request at the dependency's listener."""
    return dependency.url.rstrip("/") + dependency.canary_path


def values_before(
    envoy: EnvoyAdmin, ours: Mapping[str, str | None], *, percent_key: str, kind: str, dependency: str
) -> dict[str, Any]:
    """The admin layer's values of the keys in *ours*; `FaultError` when the fault is in force already."""
    values = envoy.overrides(list(ours))
    if float(values[percent_key] or 0) > 0:
        raise FaultError(f"{kind}: {dependency} is broken in this way already: {values}", hint="stormproof undo --list")
    return values


def put_back(envoy: EnvoyAdmin, ours: Mapping[str, str | None], before: Mapping[str, str | None], *, kind: str) -> None:
    """Set the runtime values to *before*; `FaultError` where one is neither ours nor the one before."""
    now = envoy.overrides(list(ours))
    for key, value in now.items():
        if value not in (before.get(key), ours[key]):
            raise FaultError(
                f"{kind}: {key} is {value!r}, neither ours ({ours[key]!r}) nor the one before"
                f" ({before.get(key)!r}): somebody else changed it since; left alone"
            )
    if now != before:
        envoy.set(before)


def looks_needed(share: float) -> int:
    """How many requests it takes to meet a fault of *share* (0…1) with a probability of 99.9 %.

    The smallest n with ``(1 - share) ** n <= 0.001``; 1 for the whole.
    """
    return 1 if share >= 1 else math.ceil(math.log(_MISSED_AT_MOST) / math.log(1 - share))
