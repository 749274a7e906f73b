"""A dependency's name does not resolve: the proxy asks a name server that says that there is no such name.

Envoy sends the requests to a cluster whose host it must look up first (its dynamic forward proxy, with c-ares). The
lookup is real, a DNS query over TCP to a name server of the lab on loopback, and so is its answer, NXDOMAIN. What is
not: it is the proxy that looks up, so the caller gets a 503 and not an error of its own resolver; and the name that is
looked up is not the one by which the dependency is reached otherwise, so no cached address delays the fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from stormproof.faults import activity
from stormproof.faults.canary import ask
from stormproof.faults.protocol import Look, Seen
from stormproof.faults.proxied import (
    admin,
    canary_url,
    proxied,
    proxy_configuration,
    put_back,
    values_before,
)
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "dependency-dns"
SUMMARY = "A dependency's host name does not resolve."
CONFIRMED_BY = (
    "a request of our own through the same proxy is answered that the name could not be resolved; "
    "the workload's requests at the dependency carry the proxy's mark of a failed lookup"
)
UNDONE_BY = "the proxy's runtime value is put back as it was; a request of our own is answered well"
ENVIRONMENTS = ("local",)
EXAMPLE: dict[str, Any] = {"dependency": "recommendations"}

LOOK_TIMEOUT_S = 1.0
UNAVAILABLE_STATUS = 503  # Envoy's own, for whatever keeps it from the dependency
_FAILED_LOOKUP = "DNS resolution failure"  # Envoy's text


class Arguments(BaseModel):
    """What the spec says of a `dependency-dns`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dependency: str = Field(description="the dependency, by the environment's name for it", min_length=1)


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the dependency's proxy; `InputError` when there is none that can do it."""
    dependency, proxy = proxied(
        environment,
        arguments.dependency,
        kind=KIND,
        able=lambda one: one.dns_percent_key,
        ability="looked up in vain",
        where=where,
    )
    bound: dict[str, Any] = {
        "dependency": dependency.name,
        "url": canary_url(dependency),
        "percent_key": dependency.dns_percent_key,
    }
    configuration = proxy_configuration(proxy)
    fault = DependencyDns(configuration=configuration, **bound)
    return ResolvedFault(
        fault_id=fault_id,
        kind=KIND,
        module=__name__,
        target=bound,
        configuration=configuration,
        targets=(dependency.name,),
        what=fault.what,
        undo="put the proxy's runtime value back and see a request answered well",
        effect=fault.effect,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyDns:
    """A dependency behind its proxy, bound."""

    dependency: str
    url: str
    percent_key: str
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        return f"let the host name of {self.dependency} not resolve (NXDOMAIN)"

    @property
    def effect(self) -> dict[str, Any]:
        """The workload's own requests carry the proxy's mark of a failed lookup (Envoy's DF)."""
        return {"kind": "arrivals-flagged", "dependency": self.dependency, "flags": ["DF"]}

    def identify(self) -> None:
        """The Envoy at the admin address is the plan's."""
        admin(self.configuration).identify()

    def prior(self) -> dict[str, Any]:
        """The admin layer's value; the fault in force already is an error."""
        envoy = admin(self.configuration)
        values = values_before(
            envoy, self._values(), percent_key=self.percent_key, kind=KIND, dependency=self.dependency
        )
        return {"runtime": values}

    def act(self) -> None:
        """Send the requests there."""
        admin(self.configuration).set(self._values())

    def look(self) -> Look:
        """One request of our own through the same listener; broken: the proxy names the lookup as the reason."""
        reply = ask(self.url, timeout_s=LOOK_TIMEOUT_S)
        evidence = {"request": self.url, **reply.evidence()}
        if reply.status == UNAVAILABLE_STATUS and _FAILED_LOOKUP in reply.text:
            return Look(seen=Seen.BROKEN, evidence=evidence)
        # Unavailable for another reason is neither.
        whole = not reply.failure and reply.status != UNAVAILABLE_STATUS
        return Look(seen=Seen.WHOLE if whole else Seen.PARTIAL, evidence=evidence)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the runtime value back, unless somebody else has set another since."""
        put_back(admin(self.configuration), self._values(), dict(prior["runtime"]), kind=KIND)

    def _values(self) -> dict[str, str | None]:
        return {self.percent_key: "100"}


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyDns:
    """The fault from the data in a plan or a ledger."""
    return DependencyDns(configuration=configuration, **target)


def inject(fault_id: str, noop: bool, target: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit action: let the name not resolve and see it."""
    return activity.inject(
        bind(target, configuration),
        fault_id=fault_id,
        kind=KIND,
        noop=noop,
        target=target,
        configuration=configuration,
    )


def confirm(target: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit probe: does the lookup fail now?"""
    return activity.confirm(bind(target, configuration))


def undo(fault_id: str, configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit action: put back what the ledger says was there before."""
    return activity.undo(configuration=configuration, fault_id=fault_id)
