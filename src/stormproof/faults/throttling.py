"""An AWS service throttles: a token bucket in the proxy in front of it, answering as the service itself would.

Envoy's local rate limit (token bucket; rate in a file that it watches, on and off through its admin runtime)
and a local reply with the error body, code and headers of the service, so that an AWS SDK sees its own error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stormproof.errors import FaultError, InputError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall
from stormproof.faults.binding import activities, resolved
from stormproof.faults.envoy_rate_limit import bucket_resource
from stormproof.faults.protocol import Look, Seen
from stormproof.faults.proxied import ProxiedArguments, admin, other_ways, proxy_configuration, write_watched
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault
from stormproof.record.atomic import dump_json
from stormproof.spec.quantity import Rate

__all__ = ["confirm", "inject", "undo"]

KIND = "throttling"
SUMMARY = "An AWS service answers with its own throttling error beyond a rate."
CONFIRMED_BY = (
    "an AWS client of our own is answered with an error that botocore counts as throttling; "
    "the workload's requests at the service are rejected by the rate limit"
)
UNDONE_BY = (
    "the bucket's file and the runtime value are put back as they were; more calls than the bucket held get through"
)
ENVIRONMENTS = ("local", "aws")
EXAMPLE: dict[str, Any] = {"dependency": "cart", "rate": "5/s"}

BURST_MAX = 40  # a look empties the bucket: more calls than this in one look would be a load of their own

# A read that changes nothing, per service; what our own client calls to see whether it is throttled.
CANARY_CALLS: dict[str, Callable[[Any], Any]] = {
    "dynamodb": lambda client: client.list_tables(Limit=1),
    "sqs": lambda client: client.list_queues(MaxResults=1),
    "sns": lambda client: client.list_topics(),
    "s3": lambda client: client.list_buckets(),
    "lambda": lambda client: client.list_functions(MaxItems=1),
    "ec2": lambda client: client.describe_availability_zones(),
}


class Arguments(ProxiedArguments):
    """What the spec says of a `throttling`."""

    rate: Rate = Field(description="calls let through, on average", gt=0, le=BURST_MAX)
    burst: int | None = Field(
        default=None,
        description="the bucket's size in calls; one second's worth unless said",
        ge=1,
        le=BURST_MAX,
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the service's proxy; `InputError` when there is none that can throttle."""
    dependency = environment.dependencies.get(arguments.dependency)
    able = [name for name, one in environment.dependencies.items() if one.throttle_enabled_key]
    if dependency is None or not dependency.throttle_enabled_key or environment.proxy is None:
        raise InputError(
            where=where,
            what=f"faults: {KIND}.dependency",
            expected=f"a dependency of {environment.name!r} that can be throttled: {', '.join(able) or 'none'}",
            got=repr(arguments.dependency),
            hint=other_ways(environment, arguments.dependency),
        )
    bound = {
        "dependency": dependency.name,
        "service": dependency.service,
        "url": dependency.url,
        "rate_per_s": arguments.rate,
        "burst": arguments.burst or max(1, math.ceil(arguments.rate)),
        "enabled_key": dependency.throttle_enabled_key,
        "config_path": dependency.throttle_config_path,
    }
    configuration = {**proxy_configuration(environment, environment.proxy), "aws_region": environment.aws.region}
    return resolved(
        bind,
        fault_id=fault_id,
        kind=KIND,
        target=bound,
        configuration=configuration,
        targets=(dependency.name,),
        undo="put the token bucket back as it was and see calls get through",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttling:
    """A service behind its proxy, bound."""

    dependency: str
    service: str
    url: str
    rate_per_s: float
    burst: int
    enabled_key: str
    config_path: str
    configuration: Mapping[str, Any]

    # A look is a dozen calls: more often, and the canary would be the storm.
    gap_s: ClassVar[float] = 0.25
    api_calls: ClassVar[tuple[ApiCall, ...]] = ()  # it asks the proxy, and not AWS

    @property
    def what(self) -> str:
        """In words."""
        return (
            f"let {self.rate_per_s:g} calls a second through to {self.dependency} ({self.service}), burst {self.burst}"
        )

    @property
    def effect(self) -> dict[str, Any]:
        """The workload's own calls are rejected by the rate limit."""
        return {"kind": "arrivals-rejected", "dependency": self.dependency}

    def identify(self) -> None:
        """The Envoy at the admin address is the plan's."""
        admin(self.configuration).identify()

    def prior(self) -> dict[str, Any]:
        """The bucket's file and the runtime value; a throttle in force already is an error."""
        values = admin(self.configuration).overrides([self.enabled_key])
        if float(values[self.enabled_key] or 0) > 0:
            raise FaultError(f"{KIND}: {self.dependency} is throttled already", hint="stormproof undo --list")
        return {"runtime": values, "bucket": Path(self.config_path).read_text(encoding="utf-8")}

    def act(self) -> None:
        """Put our bucket in its place, then switch it on."""
        path = Path(self.config_path)
        write_watched(path, self._bucket(path.read_text(encoding="utf-8")), self.configuration)
        admin(self.configuration).set({self.enabled_key: "100"})

    def look(self) -> Look:
        """Calls of our own, without retries, until one is throttled or the bucket would be empty."""
        client = self._client()
        most = self.burst + math.ceil(self.rate_per_s) + 2
        for attempt in range(1, most + 1):
            error = self._call(client)
            if error is None:
                continue
            code, text = error
            seen = Seen.BROKEN if code in throttling_codes() else Seen.PARTIAL
            return Look(
                seen=seen,
                evidence={"service": self.service, "calls": attempt, "error": code, "message": text},
            )
        return Look(seen=Seen.WHOLE, evidence={"service": self.service, "calls": most, "error": "none"})

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Switch it off, then put the former bucket back, unless somebody else has put theirs there."""
        envoy = admin(self.configuration)
        now = envoy.overrides([self.enabled_key])[self.enabled_key]
        before = prior["runtime"][self.enabled_key]
        if now not in (before, "100"):
            raise FaultError(f"{KIND}: {self.enabled_key} is {now!r}: somebody else changed it since; left alone")
        if now != before:
            envoy.set({self.enabled_key: before})
        path = Path(self.config_path)
        there = path.read_bytes()
        former = str(prior["bucket"]).encode()
        if there == former:
            return
        if there != self._bucket(former.decode()):
            raise FaultError(f"{KIND}: {path} was changed by somebody else since; left alone (the throttle is off)")
        write_watched(path, former, self.configuration)

    def _call(self, client: Any) -> tuple[str, str] | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            CANARY_CALLS[self.service](client)
        except ClientError as error:
            return str(error.response["Error"]["Code"]), str(error.response["Error"]["Message"])
        except BotoCoreError as error:
            return type(error).__name__, str(error)
        return None

    def _client(self) -> Any:
        # As nobody in particular: the side-car signs anew, and a role would be assumed at its address.
        there = {"aws_endpoint_url": self.url, "aws_region": self.configuration["aws_region"]}
        client = aws.client(self.service, there, attempts=1, timeout_s=1.0)

        def mark(request: Any, **_: Any) -> None:
            request.headers["x-stormproof-canary"] = "1"

        client.meta.events.register("before-sign", mark)
        return client

    def _bucket(self, former: str) -> bytes:
        """Our bucket under the name that the *former* document gives it: Envoy refuses any other."""
        name = str(json.loads(former)["resources"][0]["name"])
        return dump_json(
            bucket_resource(name, rate_per_s=self.rate_per_s, burst=self.burst, runtime_key=self.enabled_key)
        )


def throttling_codes() -> frozenset[str]:
    """The error codes that botocore's standard retry mode takes for throttling, from botocore itself."""
    from botocore.retries.standard import ThrottledRetryableChecker

    # there is no public list
    codes: list[str] = ThrottledRetryableChecker._THROTTLED_ERROR_CODES  # type: ignore[attr-defined]  # noqa: SLF001
    return frozenset(codes)


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> Throttling:
    """The fault from the data in a plan or a ledger."""
    return Throttling(configuration=configuration, **target)


inject, confirm, undo = activities(KIND, bind)
