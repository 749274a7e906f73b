"""A dependency shows a bad certificate: the proxy's TLS handshake with it fails, for the real reason.

Envoy sends the requests to an endpoint of the lab that speaks TLS with a certificate that has expired, is for another
host, or is signed by nobody, and verifies it as it would any: authority, dates, host name. The handshake is real, and
so is its failure; the lab's fourth endpoint, which differs only in having a right certificate, works. What is not: the
TLS client is the proxy, as in a service mesh, so the workload gets a 503 and not a certificate error of its own; and
connections that are open already are not kept, as they would be until the next handshake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

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

KIND = "dependency-bad-tls"
SUMMARY = "A dependency's certificate has expired, is for another host, or is self-signed."
CONFIRMED_BY = (
    "a request of our own through the same proxy is answered with the reason for which the handshake failed; "
    "the workload's requests at the dependency carry the proxy's mark of a failed connection"
)
UNDONE_BY = "the proxy's runtime value is put back as it was; a request of our own is answered well"
ENVIRONMENTS = ("local",)
EXAMPLE: dict[str, Any] = {"dependency": "recommendations", "certificate": "expired"}

# What the verification says, in BoringSSL's words as Envoy 1.40 passes them on.
REASONS: Mapping[str, str] = {
    "expired": "certificate has expired",
    "wrong-host": "SAN matcher",
    "self-signed": "self signed certificate",
}


class Arguments(ProxiedArguments):
    """What the spec says of a `dependency-bad-tls`."""

    certificate: Literal["expired", "wrong-host", "self-signed"] = Field(
        default="expired", description="what is wrong with the certificate"
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the dependency's proxy; `InputError` when there is none that can do it."""
    dependency, proxy = proxied(
        environment,
        arguments.dependency,
        kind=KIND,
        able=lambda one: one.tls_percent_keys,
        ability="shown a bad certificate",
        where=where,
    )
    bound: dict[str, Any] = {
        "dependency": dependency.name,
        "url": canary_url(dependency),
        "certificate": arguments.certificate,
        "percent_key": dependency.tls_percent_keys[arguments.certificate],
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
class DependencyBadTls:
    """A dependency behind its proxy, bound."""

    dependency: str
    url: str
    certificate: str
    percent_key: str
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        return f"let {self.dependency} show a certificate that is {self.certificate}"

    @property
    def effect(self) -> dict[str, Any]:
        """The workload's own requests carry the proxy's mark of a failed connection (Envoy's UF)."""
        return {"kind": "arrivals-flagged", "dependency": self.dependency, "flags": ["UF"]}

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
        """One request of our own through the same listener; broken: the handshake failed for this very reason."""
        return look_for_unavailable(self.url, reason=REASONS[self.certificate])

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


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyBadTls:
    """The fault from the data in a plan or a ledger."""
    return DependencyBadTls(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
