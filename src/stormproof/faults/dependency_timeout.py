"""A dependency stops answering in time: the proxy in front of it holds every request back.

Envoy's fault filter, switched through its admin runtime (lab.md, "Fault filter"): the connection is accepted and
then nothing comes, which is how a time-out looks to the caller.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from stormproof.errors import FaultError, InputError
from stormproof.faults import activity
from stormproof.faults.direct import open_direct
from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault
from stormproof.spec.quantity import Duration, Share

__all__ = ["confirm", "inject", "undo"]

KIND = "dependency-timeout"
SUMMARY = "A dependency accepts requests and does not answer them in time."
CONFIRMED_BY = (
    "a request of our own through the same proxy is held back as long; "
    "the workload's requests at the dependency carry the proxy's delay mark"
)
UNDONE_BY = "the proxy's runtime values are put back as they were; a request of our own is answered at once"
ENVIRONMENTS = ("local",)

LOOK_TIMEOUT_S = 1.0  # a longer delay is not waited out: no answer by then is proof enough


class Arguments(BaseModel):
    """What the spec says of a `dependency-timeout`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dependency: str = Field(description="the dependency, by the environment's name for it", min_length=1)
    delay: Duration = Field(description="how long each request is held back", gt=0, le=120)
    share: Share = Field(
        default=1.0, description="the share of requests that is held back; only 100% for now", ge=1.0, le=1.0
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the dependency's proxy; `InputError` when there is none that can delay."""
    dependency = environment.dependencies.get(arguments.dependency)
    able = [name for name, one in environment.dependencies.items() if one.delay_percent_key]
    if dependency is None or not dependency.delay_percent_key or environment.proxy is None:
        raise InputError(
            where=where,
            what=f"faults: {KIND}.dependency",
            expected=f"a dependency of {environment.name!r} that can be delayed: {', '.join(able) or 'none'}",
            got=repr(arguments.dependency),
        )
    bound = {
        "dependency": dependency.name,
        "url": dependency.url.rstrip("/") + dependency.canary_path,
        "delay_ms": round(arguments.delay * 1000),
        "percent_key": dependency.delay_percent_key,
        "duration_key": dependency.delay_duration_key,
    }
    configuration = {
        "envoy_admin_url": environment.proxy.admin_url,
        "envoy_node_id": environment.proxy.node_id,
    }
    fault = DependencyTimeout(configuration=configuration, **bound)  # type: ignore[arg-type]
    return ResolvedFault(
        fault_id=fault_id,
        kind=KIND,
        module=__name__,
        target=bound,
        configuration=configuration,
        targets=(dependency.name,),
        what=fault.what,
        undo="put the proxy's runtime values back and see a request answered at once",
        effect=fault.effect,
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

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        return f"hold every request to {self.dependency} back for {self.delay_ms / 1000:g} s"

    @property
    def effect(self) -> dict[str, Any]:
        """The workload's own requests at the dependency are late."""
        return {"kind": "arrivals-delayed", "dependency": self.dependency, "delay_ms": self.delay_ms}

    def identify(self) -> None:
        """The Envoy at the admin address is the plan's."""
        self._admin().identify()

    def prior(self) -> dict[str, Any]:
        """The admin layer's values; a delay in force already is an error."""
        values = self._admin().overrides([self.percent_key, self.duration_key])
        if float(values[self.percent_key] or 0) > 0:
            raise FaultError(f"{KIND}: {self.dependency} is delayed already: {values}", hint="stormproof undo --list")
        return {"runtime": values}

    def act(self) -> None:
        """Switch the delay on."""
        self._admin().set(self._values())

    def look(self) -> Look:
        """One request of our own through the same listener; slow means held back for at least 80 % of the delay."""
        patience_s = min(LOOK_TIMEOUT_S, 0.8 * self.delay_ms / 1000)
        request = urllib.request.Request(self.url, headers={"x-stormproof-canary": "1"})  # noqa: S310 - the plan's own URL
        begun = time.monotonic()
        try:
            with open_direct(request, timeout_s=patience_s) as answer:
                outcome = f"answered {answer.status}"
        except urllib.error.HTTPError as error:
            outcome = f"answered {error.code}"
        except TimeoutError:
            outcome = "no answer"
        except (urllib.error.URLError, OSError) as error:
            timed_out = isinstance(getattr(error, "reason", None), TimeoutError)
            outcome = "no answer" if timed_out else f"unreachable: {error}"
        took_ms = (time.monotonic() - begun) * 1000
        held_back = outcome == "no answer" and took_ms >= 0.9 * patience_s * 1000
        seen = Seen.BROKEN if held_back else Seen.WHOLE if outcome.startswith("answered") else Seen.PARTIAL
        return Look(seen=seen, evidence={"request": self.url, "outcome": outcome, "waited_ms": round(took_ms, 1)})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the runtime values back, unless somebody else has set others since."""
        admin = self._admin()
        before, ours = dict(prior["runtime"]), self._values()
        now = admin.overrides([self.percent_key, self.duration_key])
        for key, value in now.items():
            if value not in (before.get(key), ours[key]):
                raise FaultError(
                    f"{KIND}: {key} is {value!r}, neither ours ({ours[key]!r}) nor the one before"
                    f" ({before.get(key)!r}): somebody else changed it since; left alone"
                )
        if now != before:
            admin.set(before)

    def _values(self) -> dict[str, str | None]:
        return {self.percent_key: "100", self.duration_key: str(self.delay_ms)}

    def _admin(self) -> EnvoyAdmin:
        return EnvoyAdmin(
            url=str(self.configuration["envoy_admin_url"]), node_id=str(self.configuration["envoy_node_id"])
        )


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyTimeout:
    """The fault from the data in a plan or a ledger."""
    return DependencyTimeout(configuration=configuration, **target)


def inject(fault_id: str, noop: bool, target: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit action: hold the dependency's answers back and see it."""
    return activity.inject(
        bind(target, configuration),
        fault_id=fault_id,
        kind=KIND,
        noop=noop,
        target=target,
        configuration=configuration,
    )


def confirm(target: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit probe: is the dependency late now?"""
    return activity.confirm(bind(target, configuration))


def undo(fault_id: str, configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit action: put back what the ledger says was set before."""
    return activity.undo(configuration=configuration, fault_id=fault_id)
