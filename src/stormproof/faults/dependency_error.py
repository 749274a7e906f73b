"""A dependency answers with an error: the proxy in front of it answers in its place.

Envoy's fault filter (abort), switched through its admin runtime. The answer is Envoy's own: the status asked for and a
short text, at once. A real dependency may take its time before it fails, and its error has a body of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field, field_validator

from stormproof.faults.api_call import ApiCall
from stormproof.faults.binding import activities, resolved
from stormproof.faults.canary import ask
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
from stormproof.spec.quantity import Share

__all__ = ["confirm", "inject", "undo"]

KIND = "dependency-error"
SUMMARY = "A dependency answers some or all requests with an error status."
CONFIRMED_BY = (
    "a request of our own through the same proxy is answered with that status; "
    "the workload's requests at the dependency carry the proxy's abort mark"
)
UNDONE_BY = "the proxy's runtime values are put back as they were; requests of our own are answered well again"
ENVIRONMENTS = ("local", "aws")
EXAMPLE: dict[str, Any] = {"dependency": "recommendations", "status": 503}

SHARE_MIN = 0.1  # below, a look would be more than the 66 requests that it takes to meet one in ten
LOOK_TIMEOUT_S = 1.0


class Arguments(ProxiedArguments):
    """What the spec says of a `dependency-error`."""

    status: int = Field(
        default=503, description="the HTTP status of the error; throttling (429) is a fault of its own", ge=400, le=599
    )
    share: Share = Field(
        default=1.0, description="the share of requests answered with it, in whole percents", ge=SHARE_MIN, le=1.0
    )

    @field_validator("status")
    @classmethod
    def _not_throttled(cls, status: int) -> int:
        if status == 429:
            raise ValueError("expected an error of the dependency's own, got 429; use `throttling`")
        return status

    @field_validator("share")
    @classmethod
    def _whole_percents(cls, share: float) -> float:
        if abs(share * 100 - round(share * 100)) > 1e-9:
            raise ValueError(f"expected whole percents, got {share * 100:g}%")
        return share


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the dependency's proxy; `InputError` when there is none that can answer in its place."""
    dependency, proxy = proxied(
        environment,
        arguments.dependency,
        kind=KIND,
        able=lambda one: one.abort_percent_key and one.abort_status_key,
        ability="answered for",
        where=where,
    )
    bound: dict[str, Any] = {
        "dependency": dependency.name,
        "url": canary_url(dependency),
        "status": arguments.status,
        "percent": round(arguments.share * 100),
        "percent_key": dependency.abort_percent_key,
        "status_key": dependency.abort_status_key,
    }
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=bound,
        configuration=proxy_configuration(environment, proxy),
        targets=(dependency.name,),
        undo="put the proxy's runtime values back and see requests answered well",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyError:
    """A dependency behind its proxy, bound."""

    dependency: str
    url: str
    status: int
    percent: int
    percent_key: str
    status_key: str
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02
    api_calls: ClassVar[tuple[ApiCall, ...]] = ()  # it asks the proxy, and not AWS

    @property
    def what(self) -> str:
        """In words."""
        return f"answer {self.percent} % of the requests to {self.dependency} with {self.status}"

    @property
    def effect(self) -> dict[str, Any]:
        """The workload's own requests carry the proxy's mark of an injected abort (Envoy's FI)."""
        return {"kind": "arrivals-flagged", "dependency": self.dependency, "flags": ["FI"]}

    def identify(self) -> None:
        """The Envoy at the admin address is the plan's."""
        admin(self.configuration).identify()

    def prior(self) -> dict[str, Any]:
        """The admin layer's values; errors in force already are an error."""
        return self._runtime.prior()

    def act(self) -> None:
        """Switch the errors on."""
        self._runtime.act()

    def look(self) -> Look:
        """Requests of our own until one meets the error, or so many that one would have met it (99.9 %)."""
        most = looks_needed(self.percent / 100)
        for request in range(1, most + 1):
            reply = ask(self.url, timeout_s=LOOK_TIMEOUT_S)
            evidence = {"request": self.url, "requests": request, **reply.evidence()}
            if reply.failure:
                return Look(seen=Seen.PARTIAL, evidence=evidence)
            if reply.status == self.status:
                return Look(seen=Seen.BROKEN, evidence=evidence)
        return Look(seen=Seen.WHOLE, evidence=evidence)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the runtime values back, unless somebody else has set others since."""
        self._runtime.revert(prior)

    @property
    def _runtime(self) -> RuntimeValues:
        return RuntimeValues(
            kind=KIND,
            dependency=self.dependency,
            configuration=self.configuration,
            values={self.percent_key: str(self.percent), self.status_key: str(self.status)},
            percent_key=self.percent_key,
        )


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyError:
    """The fault from the data in a plan or a ledger."""
    return DependencyError(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
