"""What the faults of a dependency's proxy share: finding it, looking through it, its runtime values there and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stormproof.errors import FaultError, InputError
from stormproof.faults import call_log
from stormproof.faults.canary import ask
from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Dependency, Environment, Proxy
from stormproof.record.atomic import write_bytes

# How likely a look may miss a fault that hits only a share of the requests.
_MISSED_AT_MOST = 0.001
LOOK_TIMEOUT_S = 1.0
UNAVAILABLE_STATUS = 503  # Envoy's own, for whatever keeps it from the dependency


class ProxiedArguments(BaseModel):
    """What a spec says of a fault of a dependency behind its proxy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dependency: str = Field(description="the dependency, by the environment's name for it", min_length=1)


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
            hint=other_ways(environment, name),
        )
    return dependency, proxy


def other_ways(environment: Environment, name: str) -> str | None:
    """How the dependency called *name* can be broken in AWS, for whoever asked for what it cannot."""
    known = environment.cloud.dependencies if environment.cloud else {}
    if name not in known:
        return None
    ways = "; ".join(f"{kinds} by its `{way}`" for way, kinds in known[name].ways.items())
    return f"the environment's file says that {name} is broken by {ways}"


def proxy_configuration(environment: Environment, proxy: Proxy) -> dict[str, Any]:
    """What a fault needs to reach the proxy again, from any process; in AWS also whose ledger its undo is kept in."""
    there = {"envoy_admin_url": proxy.admin_url, "envoy_node_id": proxy.node_id}
    if environment.cloud is None:
        return there
    return {**environment.aws.configuration, **there}


def admin(configuration: Mapping[str, Any]) -> EnvoyAdmin:
    """The proxy's admin interface, from `proxy_configuration`."""
    return EnvoyAdmin(
        url=str(configuration["envoy_admin_url"]),
        node_id=str(configuration["envoy_node_id"]),
        calls=call_log.path_of(configuration),
    )


def write_watched(path: Path, content: bytes, configuration: Mapping[str, Any]) -> None:
    """Replace a file that the proxy watches, and write that down where calls are."""
    write_bytes(path, content)
    call_log.write_down(
        call_log.path_of(configuration), service=call_log.ENVOY, operation=f"Replace{path.parent.name.title()}"
    )


def canary_url(dependency: Dependency) -> str:
    """The harmless request at the dependency's listener."""
    return dependency.url.rstrip("/") + dependency.canary_path


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeValues:
    """What a fault sets in the proxy's runtime while it is in force, there and back."""

    kind: str
    dependency: str
    configuration: Mapping[str, Any]
    values: Mapping[str, str]
    percent_key: str  # the one of *values* that is above 0 when a fault of this kind is in force, ours or another's

    def prior(self) -> dict[str, Any]:
        """The admin layer's values, None where it has none; `FaultError` when the fault is in force already."""
        now = admin(self.configuration).overrides(list(self.values))
        if float(now[self.percent_key] or 0) > 0:
            raise FaultError(
                f"{self.kind}: {self.dependency} is broken in this way already: {now}", hint="stormproof undo --list"
            )
        return {"runtime": now}

    def act(self) -> None:
        """Set ours."""
        admin(self.configuration).set(dict(self.values))

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Set those of *prior*; `FaultError` where one is neither ours nor the one before."""
        envoy, before = admin(self.configuration), dict(prior["runtime"])
        now = envoy.overrides(list(self.values))
        for key, value in now.items():
            if value not in (before.get(key), self.values[key]):
                raise FaultError(
                    f"{self.kind}: {key} is {value!r}, neither ours ({self.values[key]!r}) nor the one before"
                    f" ({before.get(key)!r}): somebody else changed it since; left alone"
                )
        if now != before:
            envoy.set(before)


def look_for_unavailable(url: str, *, reason: str) -> Look:
    """One request of our own; broken: the proxy answers in the dependency's place, and names *reason*.

    Whole is an answer of the dependency; unavailable for another reason is neither.
    """
    reply = ask(url, timeout_s=LOOK_TIMEOUT_S)
    evidence = {"request": url, **reply.evidence()}
    if reply.status == UNAVAILABLE_STATUS and reason in reply.text.replace("_", " "):
        return Look(seen=Seen.BROKEN, evidence=evidence)
    whole = not reply.failure and reply.status != UNAVAILABLE_STATUS
    return Look(seen=Seen.WHOLE if whole else Seen.PARTIAL, evidence=evidence)


def looks_needed(share: float) -> int:
    """How many requests it takes to meet a fault of *share* (0…1) with a probability of 99.9 %.

    The smallest n with ``(1 - share) ** n <= 0.001``; 1 for the whole.
    """
    return 1 if share >= 1 else math.ceil(math.log(_MISSED_AT_MOST) / math.log(1 - share))
