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

from stormproof.faults.binding import activities, resolved
from stormproof.faults.protocol import Look
from stormproof.faults.proxied import (
    ProxiedArguments,
    RuntimeValues,
    admin,
    canary_url,
    look_for_unavailable,
    proxied,
    proxy_configuration,
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

_FAILED_LOOKUP = "DNS resolution failure"  # Envoy's text


class Arguments(ProxiedArguments):
    """What the spec says of a `dependency-dns`."""


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
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=bound,
        configuration=proxy_configuration(environment, proxy),
        targets=(dependency.name,),
        undo="put the proxy's runtime value back and see a request answered well",
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
        return self._runtime.prior()

    def act(self) -> None:
        """Send the requests there."""
        self._runtime.act()

    def look(self) -> Look:
        """One request of our own through the same listener; broken: the proxy names the lookup as the reason."""
        return look_for_unavailable(self.url, reason=_FAILED_LOOKUP)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the runtime value back, unless somebody else has set another since."""
        self._runtime.revert(prior)

    @property
    def _runtime(self) -> RuntimeValues:
        return RuntimeValues(
            kind=KIND,
            dependency=self.dependency,
            configuration=self.configuration,
            values={self.percent_key: "100"},
            percent_key=self.percent_key,
        )


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyDns:
    """The fault from the data in a plan or a ledger."""
    return DependencyDns(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
