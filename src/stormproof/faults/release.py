"""Another release of the workload is served: a change, made and taken back with the discipline of a fault.

The servers read from a parameter which of the releases they hold they are to serve. Nothing breaks by that alone; it is
what the other faults of a step meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from stormproof.errors import FaultError
from stormproof.faults import aws, parameter
from stormproof.faults.api_call import ApiCall
from stormproof.faults.binding import activities, resolved
from stormproof.faults.canary import ask
from stormproof.faults.dead_man import Inverse
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "release"
SUMMARY = "All instances of the workload serve another release of it."
CONFIRMED_BY = "every instance, called past the balancer, says that it serves the release; so do the workload's answers"
UNDONE_BY = "the parameter is put back as it was, or deleted; no instance says any more that it serves the release"
ENVIRONMENTS = ("local", "aws")
EXAMPLE: dict[str, Any] = {"version": "v2"}

LOOK_TIMEOUT_S = 1.0
HEADER = "x-release"


class Arguments(BaseModel):
    """What the spec says of a `release`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str = Field(
        description="its name, as the workload knows it (lab: v1, v2, v3)", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the environment's parameter; `InputError` where it has none."""
    name = parameter.require(
        environment.release_parameter, kind=KIND, what="its release parameter", environment=environment, where=where
    )
    instances = [instance for zone in environment.zones.values() for instance in zone]
    parameter.require_urls(instances, kind=KIND, environment=environment, where=where)
    target = {"parameter": name, "version": arguments.version, "urls": [instance.url for instance in instances]}
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=target,
        configuration=environment.aws.configuration,
        targets=[instance.id for instance in instances],
        undo="put the parameter back and see the instances serve it no more",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRelease:
    """The workload's release, bound."""

    parameter: str
    version: str
    urls: list[str]
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.05

    @property
    def what(self) -> str:
        """In words."""
        return f"let {len(self.urls)} instances serve release {self.version} ({self.parameter})"

    @property
    def effect(self) -> dict[str, Any]:
        """It breaks nothing, so the workload shows nothing that it must."""
        return {"kind": "release-served", "version": self.version}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """Of Systems Manager, on these parameters."""
        return parameter.api_calls([self.parameter], self.configuration)

    def identify(self) -> None:
        """The account is the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The parameter's value, None where there is none; an error when it is this release already."""
        value = parameter.read(self.configuration, self.parameter)
        if value == self.version:
            raise FaultError(f"{KIND}: {self.version} is served already", hint="stormproof undo --list")
        return {"value": value}

    def act(self) -> None:
        """Set the parameter."""
        parameter.write(self.configuration, self.parameter, self.version)

    def look(self) -> Look:
        """Call each instance directly: it says which release answers."""
        with ThreadPoolExecutor(max_workers=len(self.urls)) as pool:
            replies = list(pool.map(lambda url: ask(f"{url}/healthz", timeout_s=LOOK_TIMEOUT_S), self.urls))
        served = [reply.headers.get(HEADER, "") for reply in replies]
        ours = sum(one == self.version for one in served)
        whole = sum(not reply.failure and one != self.version for reply, one in zip(replies, served, strict=True))
        seen = Seen.BROKEN if ours == len(served) else Seen.WHOLE if whole == len(served) else Seen.PARTIAL
        evidence = {url: reply.failure or one for url, reply, one in zip(self.urls, replies, served, strict=True)}
        return Look(seen=seen, evidence={"served": evidence})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """The parameter as it was."""
        parameter.put_back(self.configuration, self.parameter, ours=self.version, before=prior["value"])

    def inverse(self, prior: Mapping[str, Any]) -> list[Inverse]:
        """The same, by AWS itself."""
        return parameter.inverse({self.parameter: prior["value"]})


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> ServedRelease:
    """The fault from the data in a plan or a ledger."""
    return ServedRelease(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
