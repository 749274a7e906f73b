"""A dependency resets connections in the middle of a request: a real RST, at the workload's own socket.

The listener at which the workload reaches it is exchanged, in place, for one that passes bytes on to an endpoint of the
lab; that one waits for the first byte of the request and resets (SO_LINGER 0), and Envoy hands the reset on to the
caller. So the request was sent and its fate is unknown to whoever sent it. Connections that were open get one more
answer, which asks to close, or are closed after a second. A server that crashes resets all of its connections at the
same instant, and then refuses: here each new one is accepted, and reset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from stormproof.faults import call_log
from stormproof.faults.binding import activities, resolved
from stormproof.faults.canary import ask
from stormproof.faults.envoy_listeners import ListenerFile, resetting
from stormproof.faults.protocol import Look, Seen
from stormproof.faults.proxied import ProxiedArguments, admin, canary_url, proxied, proxy_configuration
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "dependency-reset"
SUMMARY = "A dependency resets the connection in the middle of each request."
CONFIRMED_BY = (
    "a request of our own ends with a reset of its connection; "
    "the workload's requests at the dependency carry the proxy's mark of a reset"
)
UNDONE_BY = "the proxy's listener is put back as it was; a request of our own is answered"
ENVIRONMENTS = ("local",)
EXAMPLE: dict[str, Any] = {"dependency": "recommendations"}

LOOK_TIMEOUT_S = 1.0


class Arguments(ProxiedArguments):
    """What the spec says of a `dependency-reset`."""


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the dependency's listener; `InputError` when there is none that can be changed."""
    dependency, proxy = proxied(
        environment,
        arguments.dependency,
        kind=KIND,
        able=lambda one: one.listener,
        ability="reset",
        where=where,
    )
    bound: dict[str, Any] = {
        "dependency": dependency.name,
        "url": canary_url(dependency),
        "listener": dependency.listener,
        "listeners_path": proxy.listeners_path,
        "cluster": proxy.reset_cluster,
        "canary_source": proxy.canary_source,
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
class DependencyReset:
    """A dependency's listener, bound."""

    dependency: str
    url: str
    listener: str
    listeners_path: str
    cluster: str
    canary_source: str
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        return f"reset every connection to {self.dependency} in the middle of its request"

    @property
    def effect(self) -> dict[str, Any]:
        """The workload's own connections carry the proxy's mark of a reset by the other side (Envoy's UR)."""
        return {"kind": "arrivals-flagged", "dependency": self.dependency, "flags": ["UR"]}

    def identify(self) -> None:
        """The Envoy at the admin address is the plan's, and reads its listeners from a file."""
        admin(self.configuration).identify()
        self._file().read()

    def prior(self) -> dict[str, Any]:
        """The listener, whole; one that is not there, or does not speak HTTP, is an error."""
        return self._file().prior(kind=KIND, dependency=self.dependency)

    def act(self) -> None:
        """Exchange the listener."""
        before = self.prior()["listener"]
        self._file().replace(before, self._ours(before))

    def look(self) -> Look:
        """One request of our own, from the canary's address; broken means that its connection was reset."""
        reply = ask(self.url, timeout_s=LOOK_TIMEOUT_S, source=self.canary_source)
        evidence = {"request": self.url, **reply.evidence()}
        seen = Seen.BROKEN if reply.failure == "reset" else Seen.PARTIAL if reply.failure else Seen.WHOLE
        return Look(seen=seen, evidence=evidence)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the listener back, unless somebody else has put another there."""
        before = prior["listener"]
        self._file().replace(self._ours(before), before)

    def _ours(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """What stands in the file while the fault is in force."""
        return resetting(before, cluster=self.cluster, canary_source=self.canary_source)

    def _file(self) -> ListenerFile:
        return ListenerFile(
            path=self.listeners_path, listener=self.listener, calls=call_log.path_of(self.configuration)
        )


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyReset:
    """The fault from the data in a plan or a ledger."""
    return DependencyReset(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
