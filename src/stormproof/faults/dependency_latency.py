"""A dependency becomes slow, and unevenly so: each request is held back for a time of its own.

The proxy in front of it draws the time anew for every request, uniform around *delay* by up to *jitter*, and holds the
request back before it passes it on (Envoy's fault filter; the drawing is a few lines of Lua in front of it, read from a
file that Envoy watches). A real slow dependency has a longer tail than a uniform one, and usually becomes slower the
more it is asked; here the time does not depend on the load.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from stormproof.errors import FaultError
from stormproof.faults.api_call import ApiCall
from stormproof.faults.binding import activities, resolved
from stormproof.faults.canary import ask_together
from stormproof.faults.envoy_latency import drawn_latency, no_latency
from stormproof.faults.protocol import Look, Seen
from stormproof.faults.proxied import (
    ProxiedArguments,
    admin,
    canary_url,
    looks_needed,
    proxied,
    proxy_configuration,
    write_watched,
)
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault
from stormproof.record.atomic import dump_json
from stormproof.spec.quantity import Duration, Share

__all__ = ["confirm", "inject", "undo"]

KIND = "dependency-latency"
SUMMARY = "A dependency answers later than usual, by a time that varies from request to request."
CONFIRMED_BY = (
    "requests of our own through the same proxy are held back, and how long is measured; "
    "the workload's requests at the dependency carry the proxy's delay mark"
)
UNDONE_BY = "the filter's file is put back as it was; requests of our own are answered at once"
ENVIRONMENTS = ("local", "aws")
EXAMPLE: dict[str, Any] = {"dependency": "recommendations", "delay": "400ms", "jitter": "200ms"}

DELAY_MIN_S, DELAY_MAX_S = 0.1, 30.0  # less is lost in the noise of a busy machine
SHARE_MIN = 0.2  # below, a look would be more than the 31 requests at once that it takes to meet one in five
REQUESTS = 5  # measured in one look, so that the jitter shows in the record
LOOK_TIMEOUT_S = 1.0  # a longer delay is not waited out: no answer by then is proof enough
_HELD_BACK_SHARE = 0.9  # of the shortest possible delay: whoever waited this long was held back


class Arguments(ProxiedArguments):
    """What the spec says of a `dependency-latency`."""

    delay: Duration = Field(description="how long a request is held back on average", ge=DELAY_MIN_S, le=DELAY_MAX_S)
    jitter: Duration = Field(
        default=0.0, description="how far a request's delay may be from that, either way; less than the delay", ge=0
    )
    share: Share = Field(default=1.0, description="the share of requests that is held back", ge=SHARE_MIN, le=1.0)

    @model_validator(mode="after")
    def _jitter_leaves_a_delay(self) -> Arguments:
        if self.delay - self.jitter < DELAY_MIN_S:
            raise ValueError(
                f"jitter: expected at most the delay less {DELAY_MIN_S * 1000:g} ms, got {self.jitter * 1000:g} ms"
                f" with a delay of {self.delay * 1000:g} ms"
            )
        return self


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the dependency's proxy; `InputError` when there is none that can slow it down."""
    dependency, proxy = proxied(
        environment,
        arguments.dependency,
        kind=KIND,
        able=lambda one: one.latency_config_path,
        ability="slowed down",
        where=where,
    )
    bound: dict[str, Any] = {
        "dependency": dependency.name,
        "url": canary_url(dependency),
        "delay_ms": round(arguments.delay * 1000),
        "jitter_ms": round(arguments.jitter * 1000),
        "share": arguments.share,
        "config_path": dependency.latency_config_path,
    }
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=bound,
        configuration=proxy_configuration(environment, proxy),
        targets=(dependency.name,),
        undo="put the filter back and see requests answered at once",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyLatency:
    """A dependency behind its proxy, bound."""

    dependency: str
    url: str
    delay_ms: int
    jitter_ms: int
    share: float
    config_path: str
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.05
    api_calls: ClassVar[tuple[ApiCall, ...]] = ()  # it asks the proxy, and not AWS

    @property
    def what(self) -> str:
        """In words."""
        spread = f" ± {self.jitter_ms} ms" if self.jitter_ms else ""
        return f"hold {self.share:.0%} of the requests to {self.dependency} back for {self.delay_ms} ms{spread}"

    @property
    def effect(self) -> dict[str, Any]:
        """The workload's own requests carry the proxy's delay mark (Envoy's DI)."""
        return {"kind": "arrivals-flagged", "dependency": self.dependency, "flags": ["DI"]}

    def identify(self) -> None:
        """The Envoy at the admin address is the plan's."""
        admin(self.configuration).identify()

    def prior(self) -> dict[str, Any]:
        """The filter's file; one that slows requests down already is an error."""
        text = Path(self.config_path).read_text(encoding="utf-8")
        document = json.loads(text)
        if document != no_latency(_filter_name(document)):
            raise FaultError(f"{KIND}: {self.dependency} is slow already", hint="stormproof undo --list")
        return {"filter": text}

    def act(self) -> None:
        """Put our filter in its place."""
        path = Path(self.config_path)
        write_watched(path, self._ours(path.read_text(encoding="utf-8")), self.configuration)

    def look(self) -> Look:
        """Requests of our own, at once; each that was held back long enough, or not answered at all, met the delay."""
        shortest_ms = _HELD_BACK_SHARE * min(self.delay_ms - self.jitter_ms, LOOK_TIMEOUT_S * 1000)
        count = max(REQUESTS, looks_needed(self.share))
        replies = ask_together(self.url, count, timeout_s=LOOK_TIMEOUT_S)
        failed = [reply for reply in replies if reply.failure not in ("", "no answer")]
        met = [reply for reply in replies if reply not in failed and reply.took_ms >= shortest_ms]
        evidence = {
            "request": self.url,
            "requests": count,
            "held_back": len(met),
            "held_back_ms": sorted(round(reply.took_ms) for reply in met)[:REQUESTS],
            "failed": [reply.failure for reply in failed][:REQUESTS],
        }
        if failed:
            return Look(seen=Seen.PARTIAL, evidence=evidence)
        if not met:
            return Look(seen=Seen.WHOLE, evidence=evidence)
        everyone = self.share < 1 or len(met) == count
        return Look(seen=Seen.BROKEN if everyone else Seen.PARTIAL, evidence=evidence)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Put the former filter back, unless somebody else has put theirs there."""
        path, former = Path(self.config_path), str(prior["filter"])
        there = path.read_bytes()
        if there == former.encode():
            return
        if there != self._ours(former):
            raise FaultError(f"{KIND}: {path} was changed by somebody else since; left alone")
        write_watched(path, former.encode(), self.configuration)

    def _ours(self, former: str) -> bytes:
        """Our filter under the name that the *former* document gives it: Envoy refuses any other."""
        name = _filter_name(json.loads(former))
        # The dependency's name as the seed: a run repeats the delays of the one before.
        return dump_json(
            drawn_latency(
                name,
                delay_ms=self.delay_ms,
                jitter_ms=self.jitter_ms,
                share=self.share,
                seed=zlib.crc32(self.dependency.encode()),
            )
        )


def _filter_name(document: Mapping[str, Any]) -> str:
    return str(document["resources"][0]["name"])


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> DependencyLatency:
    """The fault from the data in a plan or a ledger."""
    return DependencyLatency(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
