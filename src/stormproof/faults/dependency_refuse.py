"""A dependency refuses connections: the listener at which the workload reaches it is taken away.

The proxy stops listening on the port, and the kernel answers every attempt to connect with a reset: ECONNREFUSED at
the caller, at once, as from a machine on which nothing listens. Connections that were open get one more answer, which
asks to close, or are closed after a second. A machine that is gone altogether would refuse nothing and leave the
caller waiting: that is `dependency-timeout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stormproof.faults import call_log
from stormproof.faults.api_call import ApiCall
from stormproof.faults.binding import activities, resolved
from stormproof.faults.canary import ask
from stormproof.faults.envoy_listeners import ListenerFile
from stormproof.faults.protocol import Look, Seen
from stormproof.faults.proxied import ProxiedArguments, admin, canary_url, proxied, proxy_configuration
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "dependency-refuse"
SUMMARY = "A dependency refuses connections: nothing listens at its address."
CONFIRMED_BY = (
    "a connection of our own is refused; "
    "the workload's requests, which arrived at the dependency before, do not arrive any more"
)
UNDONE_BY = "the proxy's listener is put back as it was; a request of our own is answered"
ENVIRONMENTS = ("local", "aws")
EXAMPLE: dict[str, Any] = {"dependency": "recommendations"}

LOOK_TIMEOUT_S = 1.0


class Arguments(ProxiedArguments):
    """What the spec says of a `dependency-refuse`."""


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the dependency's listener; `InputError` when there is none that can be changed."""
    dependency, proxy = proxied(
        environment,
        arguments.dependency,
        kind=KIND,
        able=lambda one: one.listener,
        ability="refused",
        where=where,
    )
    bound: dict[str, Any] = {
        "dependency": dependency.name,
        "url": canary_url(dependency),
        "listener": dependency.listener,
        "listeners_path": proxy.listeners_path,
    }
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=bound,
        configuration=proxy_configuration(environment, proxy),
        targets=(dependency.name,),
        undo="put the proxy's listener back and see a request answered",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyRefuse:
    """A dependency's listener, bound."""

    dependency: str
    url: str
    listener: str
    listeners_path: str
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02
    api_calls: ClassVar[tuple[ApiCall, ...]] = ()  # it asks the proxy, and not AWS

    @property
    def what(self) -> str:
        """In words."""
        return f"refuse connections to {self.dependency}"

    @property
    def effect(self) -> dict[str, Any]:
        """Nothing of the workload's arrives any more: who is refused leaves no mark at the dependency."""
        return {"kind": "arrivals-stopped", "dependency": self.dependency}

    def identify(self) -> None:
        """The Envoy at the admin address is the plan's, and reads its listeners from a file."""
        admin(self.configuration).identify()
        self._file().read()

    def prior(self) -> dict[str, Any]:
        """The listener, whole; one that is not there, or does not speak HTTP, is an error."""
        return self._file().prior(kind=KIND, dependency=self.dependency)

    def act(self) -> None:
        """Take the listener away."""
        before = self.prior()["listener"]
        self._file().replace(before, None)

    def look(self) -> Look:
        """One connection of our own; broken means refused."""
        reply = ask(self.url, timeout_s=LOOK_TIMEOUT_S)
        evidence = {"request": self.url, **reply.evidence()}
        seen = Seen.BROKEN if reply.failure == "refused" else Seen.PARTIAL if reply.failure else Seen.WHOLE
        return Look(seen=seen, evidence=evidence)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the listener back, unless somebody else has put another there."""
        before = prior["listener"]
        self._file().replace(None, before)

    def _file(self) -> ListenerFile:
        return ListenerFile(
            path=self.listeners_path, listener=self.listener, calls=call_log.path_of(self.configuration)
        )


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyRefuse:
    """The fault from the data in a plan or a ledger."""
    return DependencyRefuse(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
