"""A dependency stops answering in time: the proxy in front of it holds every request back.

Envoy's fault filter, switched through its admin runtime (lab.md, "Fault filter"): the connection is accepted and
then nothing comes, which is how a time-out looks to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from stormproof.faults.api_call import ApiCall
from stormproof.faults.binding import activities, resolved
from stormproof.faults.canary import ask_together
from stormproof.faults.protocol import Look, Seen
from stormproof.faults.proxied import (
    ProxiedArguments,
    RuntimeValues,
    admin,
    canary_url,
    looks_needed,
    proxied,
    proxy_configuration,
)
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault
from stormproof.spec.quantity import Duration, Share

__all__ = ["confirm", "inject", "undo"]

KIND = "dependency-timeout"
SUMMARY = "A dependency accepts requests and does not answer them, or a share of them, in time."
CONFIRMED_BY = (
    "a request of our own through the same proxy is held back as long; "
    "the workload's requests at the dependency carry the proxy's delay mark"
)
UNDONE_BY = "the proxy's runtime values are put back as they were; a request of our own is answered at once"
ENVIRONMENTS = ("local", "aws")
EXAMPLE: dict[str, Any] = {"dependency": "recommendations", "delay": "3s"}

SHARE_MIN = 0.1  # below, a look would be more than the 66 requests that it takes to meet one in ten
LOOK_TIMEOUT_S = 1.0  # a longer delay is not waited out: no answer by then is proof enough


class Arguments(ProxiedArguments):
    """What the spec says of a `dependency-timeout`."""

    delay: Duration = Field(description="how long each request is held back", gt=0, le=120)
    share: Share = Field(
        default=1.0, description="the share of requests that is held back, in whole percents", ge=SHARE_MIN, le=1.0
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the dependency's proxy; `InputError` when there is none that can delay."""
    dependency, proxy = proxied(
        environment,
        arguments.dependency,
        kind=KIND,
        able=lambda one: one.delay_percent_key and one.delay_duration_key,
        ability="delayed",
        where=where,
    )
    bound: dict[str, Any] = {
        "dependency": dependency.name,
        "url": canary_url(dependency),
        "delay_ms": round(arguments.delay * 1000),
        "percent_key": dependency.delay_percent_key,
        "duration_key": dependency.delay_duration_key,
    }
    if arguments.share < 1:
        bound["percent"] = round(arguments.share * 100)
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=bound,
        configuration=proxy_configuration(environment, proxy),
        targets=(dependency.name,),
        undo="put the proxy's runtime values back and see a request answered at once",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyTimeout:
    """A dependency behind its proxy, bound."""

    dependency: str
    url: str
    delay_ms: int
    percent_key: str
    duration_key: str
    configuration: Mapping[str, Any]
    percent: int = 100

    gap_s: ClassVar[float] = 0.02
    api_calls: ClassVar[tuple[ApiCall, ...]] = ()  # it asks the proxy, and not AWS

    @property
    def what(self) -> str:
        """In words."""
        which = "every request" if self.percent == 100 else f"{self.percent} % of the requests"
        return f"hold {which} to {self.dependency} back for {self.delay_ms / 1000:g} s"

    @property
    def effect(self) -> dict[str, Any]:
        """The workload's own requests at the dependency are late."""
        return {"kind": "arrivals-delayed", "dependency": self.dependency, "delay_ms": self.delay_ms}

    def identify(self) -> None:
        """The Envoy at the admin address is the plan's."""
        admin(self.configuration).identify()

    def prior(self) -> dict[str, Any]:
        """The admin layer's values; a delay in force already is an error."""
        return self._runtime.prior()

    def act(self) -> None:
        """Switch the delay on."""
        self._runtime.act()

    def look(self) -> Look:
        """Requests of our own at once, so many that one would meet it (99.9 %): any held back for 80 % of it?"""
        patience_s = min(LOOK_TIMEOUT_S, 0.8 * self.delay_ms / 1000)
        count = looks_needed(self.percent / 100)
        replies = ask_together(self.url, count, timeout_s=patience_s)
        held_back = [
            reply for reply in replies if reply.failure == "no answer" and reply.took_ms >= 0.9 * patience_s * 1000
        ]
        failed = [reply for reply in replies if reply.failure]
        seen = Seen.BROKEN if held_back else Seen.PARTIAL if failed else Seen.WHOLE
        told = next(iter([*held_back, *failed, *replies]))
        counts = {} if count == 1 else {"requests": count, "held_back": len(held_back)}
        return Look(seen=seen, evidence={"request": self.url, **counts, **told.evidence()})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the runtime values back, unless somebody else has set others since."""
        self._runtime.revert(prior)

    @property
    def _runtime(self) -> RuntimeValues:
        return RuntimeValues(
            kind=KIND,
            dependency=self.dependency,
            configuration=self.configuration,
            values={self.percent_key: str(self.percent), self.duration_key: str(self.delay_ms)},
            percent_key=self.percent_key,
        )


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyTimeout:
    """The fault from the data in a plan or a ledger."""
    return DependencyTimeout(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
