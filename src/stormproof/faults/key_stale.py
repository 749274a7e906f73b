"""Some instances hold a key that is not valid any more: what they call refuses them, and them alone.

The key that an instance presents to its dependencies is kept in a parameter; an outdated one is put there. The server
itself is well, which is why a shallow health check cannot see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws, parameter
from stormproof.faults.api_call import ApiCall
from stormproof.faults.binding import activities, resolved
from stormproof.faults.canary import Reply, ask
from stormproof.faults.dead_man import Inverse
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "key-stale"
SUMMARY = "The instances of a zone call a dependency with credentials that it does not accept any more."
CONFIRMED_BY = (
    "each of the instances, called past the balancer, gives a degraded answer or an error page; "
    "the dependency refuses the calls of these instances and of no other"
)
UNDONE_BY = "the parameters are put back as they were, or deleted; each instance gives a full answer again"
ENVIRONMENTS = ("local", "aws")
EXAMPLE: dict[str, Any] = {"zone": "a", "dependency": "recommendations"}

LOOK_TIMEOUT_S = 1.0
STALE = "outdated"
PAGE = "/"  # of the workload, which needs the dependency
DEGRADED = "x-degraded"


class Arguments(BaseModel):
    """What the spec says of a `key-stale`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone: str = Field(description="the zone of the instances, by the environment's name for it", min_length=1)
    dependency: str = Field(
        default="recommendations",
        description="the dependency that refuses them, by the environment's name",
        min_length=1,
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to instances and their parameters; `InputError` for a name that the environment has not."""
    instances = environment.zones.get(arguments.zone, ())
    if not instances or arguments.dependency not in environment.dependencies:
        zones, names = ", ".join(environment.zones), ", ".join(environment.dependencies)
        raise InputError(
            where=where,
            what=f"faults: {KIND}",
            expected=f"a zone ({zones or 'none'}) and a dependency ({names or 'none'}) of {environment.name!r}",
            got=f"{arguments.zone!r} and {arguments.dependency!r}",
        )
    parameter.require_urls(instances, kind=KIND, environment=environment, where=where)
    names_of = [
        parameter.require(
            instance.key_parameter,
            kind=KIND,
            what="its instances' key parameters",
            environment=environment,
            where=where,
        )
        for instance in instances
    ]
    target = {
        "dependency": arguments.dependency,
        "instance_ids": [instance.id for instance in instances],
        "urls": [instance.url for instance in instances],
        "parameters": names_of,
    }
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=environment.aws.configuration,
        targets=target["instance_ids"],
        undo="put the parameters back and see the instances answer in full",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleKey:
    """Instances with their parameters, bound."""

    dependency: str
    instance_ids: list[str]
    urls: list[str]
    parameters: list[str]
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.1  # each look is a request that the instance passes on

    @property
    def what(self) -> str:
        """In words."""
        instances = ", ".join(self.instance_ids)
        return f"give {len(self.instance_ids)} instances an outdated key for {self.dependency}: {instances}"

    @property
    def effect(self) -> dict[str, Any]:
        """The dependency refuses these instances' calls."""
        return {"kind": "arrivals-refused", "dependency": self.dependency, "clients": list(self.instance_ids)}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """Of Systems Manager, on these parameters."""
        return parameter.api_calls(self.parameters, self.configuration)

    def identify(self) -> None:
        """The account is the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """Each parameter's value, None where there is none; an error when one is outdated already."""
        values = {name: parameter.read(self.configuration, name) for name in self.parameters}
        stale = [name for name, value in values.items() if value == STALE]
        if stale:
            raise FaultError(f"{KIND}: outdated already: {', '.join(stale)}", hint="stormproof undo --list")
        return {"values": values}

    def act(self) -> None:
        """Set each."""
        for name in self.parameters:
            parameter.write(self.configuration, name, STALE)

    def look(self) -> Look:
        """Ask each instance for the page that needs the dependency."""
        with ThreadPoolExecutor(max_workers=len(self.urls)) as pool:
            replies = list(pool.map(lambda url: ask(url + PAGE, timeout_s=LOOK_TIMEOUT_S), self.urls))
        words = [_word(reply) for reply in replies]
        broken, whole = sum(word != "full" for word in words), sum(word == "full" for word in words)
        seen = Seen.BROKEN if broken == len(words) else Seen.WHOLE if whole == len(words) else Seen.PARTIAL
        return Look(seen=seen, evidence={"called_directly": dict(zip(self.urls, words, strict=True))})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Each parameter as it was."""
        for name, value in prior["values"].items():
            parameter.put_back(self.configuration, name, ours=STALE, before=value)

    def inverse(self, prior: Mapping[str, Any]) -> list[Inverse]:
        """The same, by AWS itself."""
        return parameter.inverse(prior["values"])


def _word(reply: Reply) -> str:
    if reply.failure or reply.status >= 400:
        return reply.failure or f"answered {reply.status}"
    return "degraded" if reply.headers.get(DEGRADED) else "full"


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> StaleKey:
    """The fault from the data in a plan or a ledger."""
    return StaleKey(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
