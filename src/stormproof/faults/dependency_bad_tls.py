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

KIND = "dependency-bad-tls"
SUMMARY = "A dependency's certificate has expired, is for another host, or is self-signed."
CONFIRMED_BY = (
    "a request of our own through the same proxy is answered with the reason for which the handshake failed; "
    "the workload's requests at the dependency carry the proxy's mark of a failed connection"
)
UNDONE_BY = "the proxy's runtime value is put back as it was; a request of our own is answered well"
ENVIRONMENTS = ("local",)
EXAMPLE: dict[str, Any] = {"dependency": "recommendations", "certificate": "expired"}

LOOK_TIMEOUT_S = 1.0
UNAVAILABLE_STATUS = 503  # Envoy's own, for whatever keeps it from the dependency
# What the verification says, in BoringSSL's words as Envoy 1.40 passes them on.
REASONS: Mapping[str, str] = {
    "expired": "certificate has expired",
    "wrong-host": "SAN matcher",
    "self-signed": "self signed certificate",
}


class Arguments(BaseModel):
    """What the spec says of a `dependency-bad-tls`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dependency: str = Field(description="the dependency, by the environment's name for it", min_length=1)
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
    configuration = proxy_configuration(proxy)
    fault = DependencyBadTls(configuration=configuration, **bound)
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
        envoy = admin(self.configuration)
        values = values_before(
            envoy, self._values(), percent_key=self.percent_key, kind=KIND, dependency=self.dependency
        )
        return {"runtime": values}

    def act(self) -> None:
        """Send the requests there."""
        admin(self.configuration).set(self._values())

    def look(self) -> Look:
        """One request of our own through the same listener; broken: the handshake failed for this very reason."""
        reply = ask(self.url, timeout_s=LOOK_TIMEOUT_S)
        evidence = {"request": self.url, **reply.evidence()}
        if reply.status == UNAVAILABLE_STATUS and REASONS[self.certificate] in reply.text.replace("_", " "):
            return Look(seen=Seen.BROKEN, evidence=evidence)
        # Unavailable for another reason is neither.
        whole = not reply.failure and reply.status != UNAVAILABLE_STATUS
        return Look(seen=Seen.WHOLE if whole else Seen.PARTIAL, evidence=evidence)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the runtime value back, unless somebody else has set another since."""
        put_back(admin(self.configuration), self._values(), dict(prior["runtime"]), kind=KIND)

    def _values(self) -> dict[str, str | None]:
        return {self.percent_key: "100"}


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyBadTls:
    """The fault from the data in a plan or a ledger."""
    return DependencyBadTls(configuration=configuration, **target)


def inject(fault_id: str, noop: bool, target: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit action: let the handshake fail and see why."""
    return activity.inject(
        bind(target, configuration),
        fault_id=fault_id,
        kind=KIND,
        noop=noop,
        target=target,
        configuration=configuration,
    )


def confirm(target: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit probe: does the handshake fail now, for this reason?"""
    return activity.confirm(bind(target, configuration))


def undo(fault_id: str, configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit action: put back what the ledger says was there before."""
    return activity.undo(configuration=configuration, fault_id=fault_id)
