"""Which instances of a zone a fault touches, and whether an instance answers when it is called directly."""

from __future__ import annotations

import urllib.error
from collections.abc import Mapping
from email.message import Message
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from stormproof.errors import InputError
from stormproof.faults.direct import open_direct
from stormproof.faults.protocol import Look, Seen
from stormproof.faults.proxied import admin, proxy_configuration
from stormproof.model.environment import Environment, Instance
from stormproof.spec.quantity import Duration

INSTANCES_MAX = 20
LOOK_TIMEOUT_S = 0.5

# The first is what `limits.duration` is unless said otherwise.
LEASE_S, LEASE_S_MIN, LEASE_S_MAX = 600.0, 5.0, 3600.0
Lease = Annotated[
    Duration,
    Field(
        description="how long it goes on once the process that injected it is gone; then it ends by itself",
        ge=LEASE_S_MIN,
        le=LEASE_S_MAX,
    ),
]


class InstanceArguments(BaseModel):
    """What a spec says of a fault that touches instances of one zone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone: str = Field(description="the zone of the instances, by the environment's name for it", min_length=1)
    count: int = Field(
        default=1, description="how many of the zone's instances, the first of the plan", ge=1, le=INSTANCES_MAX
    )


def choose(
    arguments: InstanceArguments, environment: Environment, *, kind: str, where: str = ""
) -> tuple[Instance, ...]:
    """The first instances of the zone; `InputError` for an unknown zone, or one with fewer instances."""
    instances = environment.zones.get(arguments.zone, ())
    if len(instances) < arguments.count:
        zones = ", ".join(f"{zone} ({len(own)})" for zone, own in environment.zones.items())
        raise InputError(
            where=where,
            what=f"faults: {kind}",
            expected=f"a zone of {environment.name!r} with that many instances: {zones or 'none'}",
            got=f"{arguments.count} of {arguments.zone!r}",
        )
    return tuple(instances[: arguments.count])


def lab_configuration(environment: Environment) -> dict[str, Any]:
    """What says, in any process and at any later time, which lab the instances are in; empty where there is none."""
    return proxy_configuration(environment, environment.proxy) if environment.proxy else {}


def identify_lab(configuration: Mapping[str, Any]) -> None:
    """`IdentityError` when the lab at the address is another one by now."""
    if configuration.get("envoy_admin_url"):
        admin(configuration).identify()


def look_for_silence(urls: Mapping[str, str]) -> Look:
    """Call each instance directly, by id its URL: broken when none answers, whole when all do.

    An answer of another instance in its place (a replacement, say) is not its own.
    """
    answers = {url: _silence(url, instance) for instance, url in urls.items()}
    silent = [url for url, answer in answers.items() if answer is not None]
    seen = Seen.WHOLE if not silent else Seen.BROKEN if len(silent) == len(answers) else Seen.PARTIAL
    return Look(seen=seen, evidence={"called_directly": {url: answer or "answered" for url, answer in answers.items()}})


def _silence(url: str, instance_id: str) -> str | None:
    """None when *instance_id* answers at *url*, else why not."""
    try:
        with open_direct(f"{url}/healthz", timeout_s=LOOK_TIMEOUT_S) as answer:
            return _who(answer.headers, instance_id)
    except urllib.error.HTTPError as error:
        return _who(error.headers, instance_id)  # it answers, if only to complain: there is power
    except (urllib.error.URLError, OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def _who(headers: Message, instance_id: str) -> str | None:
    name = headers.get("x-instance", instance_id)
    return None if name == instance_id else f"answered by {name}"
