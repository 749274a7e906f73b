"""Loss of an Availability Zone: its power (every instance is stopped, at once and hard), or its network.

The network is `az_network`. The power: through chaostoolkit-aws `stop_instances`, always with the plan's instance ids
(``az=`` alone picks without a state filter and without a bound). In the lab an instance *is* a process, so real
processes die.
"""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from stormproof.errors import FaultError, InputError
from stormproof.faults import activity, aws
from stormproof.faults.az_network import AzNetworkLoss
from stormproof.faults.direct import open_direct
from stormproof.faults.protocol import Look, Seen
from stormproof.model.environment import Environment
from stormproof.model.plan import ResolvedFault

__all__ = ["confirm", "inject", "undo"]

KIND = "az-loss"
SUMMARY = "An Availability Zone is lost: its instances all stop at once, or its network swallows everything."
CONFIRMED_BY = (
    "no instance of the zone answers when called directly, past the balancer (network: the connect hangs); "
    "the workload's samples from the zone fall silent"
)
UNDONE_BY = (
    "the instances that were running before are started again (network: the subnets get their ACLs back); "
    "all of them answer when called directly"
)
ENVIRONMENTS = ("local",)
EXAMPLE: dict[str, Any] = {"zone": "a"}

LOOK_TIMEOUT_S = 0.5
STOPPING_DEADLINE_S = 60.0  # EC2 refuses to start an instance that is still stopping


_UNDO = {
    "power": "start the same instances again and see them answer",
    "network": "give the subnets their network ACLs back and see the instances answer",
}


class Arguments(BaseModel):
    """What the spec says of an `az-loss`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone: str = Field(description="the zone that is lost, by the environment's name for it", min_length=1)
    mode: Literal["power", "network"] = Field(
        default="power",
        description="power: the instances are stopped; network: a network ACL denies everything, connections hang",
    )


def resolve(arguments: Arguments, environment: Environment, *, fault_id: str, where: str = "") -> ResolvedFault:
    """Bind *arguments* to the zone's instances; `InputError` for a zone that is unknown or empty."""
    instances = environment.zones.get(arguments.zone)
    if not instances:
        raise InputError(
            where=where,
            what=f"faults: {KIND}.zone",
            expected=f"a zone of {environment.name!r} that has instances: {', '.join(environment.zones) or 'none'}",
            got=repr(arguments.zone),
        )
    ids = [instance.id for instance in instances]
    bound: dict[str, Any] = {
        "zone": arguments.zone,
        "instance_ids": ids,
        "urls": [instance.url for instance in instances],
    }
    configuration = {
        "aws_endpoint_url": environment.aws.endpoint_url or "",
        "aws_region": environment.aws.region,
        "aws_account": environment.aws.account,
    }
    if arguments.mode == "network":
        bound["mode"] = arguments.mode
    fault = bind(bound, configuration)
    return ResolvedFault(
        fault_id=fault_id,
        kind=KIND,
        module=__name__,
        target=bound,
        configuration=configuration,
        targets=tuple(ids),
        what=fault.what,
        undo=_UNDO[arguments.mode],
        effect=fault.effect,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AzLoss:
    """A zone's instances, bound."""

    zone: str
    instance_ids: list[str]
    urls: list[str]
    configuration: Mapping[str, Any]

    gap_s: ClassVar[float] = 0.02

    @property
    def what(self) -> str:
        """In words."""
        return f"stop {len(self.instance_ids)} instances of zone {self.zone}: {', '.join(self.instance_ids)}"

    @property
    def effect(self) -> dict[str, Any]:
        """The zone's share of the samples goes to nothing."""
        return {"kind": "zone-silent", "zone": self.zone}

    def identify(self) -> None:
        """The caller's account is the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The state of each instance; all must be running."""
        if not self.instance_ids:
            raise FaultError(f"{KIND}: no instance ids to stop", hint="plan against a running environment")
        states = self._states()
        down = {name: state for name, state in states.items() if state != "running"}
        if down or set(states) != set(self.instance_ids):
            raise FaultError(f"{KIND}: expected every instance of zone {self.zone} to be running, got {states}")
        return {"states": states}

    def act(self) -> None:
        """Stop them all in one call, without waiting for the operating system (``Force``)."""
        from chaosaws.ec2.actions import stop_instances

        with aws.aws_environment(self.configuration):
            stop_instances(
                instance_ids=list(self.instance_ids),
                force=True,
                configuration={"aws_region": self.configuration["aws_region"]},
            )

    def look(self) -> Look:
        """Call each instance directly."""
        answers = {url: _answers(url, name) for name, url in zip(self.instance_ids, self.urls, strict=True)}
        silent = [url for url, answer in answers.items() if answer is not None]
        seen = Seen.WHOLE if not silent else Seen.BROKEN if len(silent) == len(answers) else Seen.PARTIAL
        return Look(
            seen=seen,
            evidence={"called_directly": {url: answer or "answered" for url, answer in answers.items()}},
        )

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Start those that were running and are not."""
        wanted = [name for name, state in prior["states"].items() if state == "running"]
        states = self._settled(wanted)
        lost = {
            name: states.get(name, "gone")
            for name in wanted
            if states.get(name) not in ("running", "pending", "stopped")
        }
        stopped = [name for name in wanted if states.get(name) == "stopped"]
        if stopped:
            from chaosaws.ec2.actions import start_instances

            with aws.aws_environment(self.configuration):
                start_instances(instance_ids=stopped, configuration={"aws_region": self.configuration["aws_region"]})
        if lost:
            raise FaultError(f"{KIND}: cannot be started again: {lost}", hint="replace them by hand")

    def _settled(self, names: list[str]) -> dict[str, str]:
        """The states once none is `stopping` any more (EC2 takes a while; moto does not)."""
        give_up_at = time.monotonic() + STOPPING_DEADLINE_S
        while True:
            states = self._states()
            if not any(states.get(name) == "stopping" for name in names) or time.monotonic() > give_up_at:
                return states
            time.sleep(0.5)

    def _states(self) -> dict[str, str]:
        pages = aws.client("ec2", self.configuration).get_paginator("describe_instances")
        return {
            instance["InstanceId"]: instance["State"]["Name"]
            for page in pages.paginate(InstanceIds=list(self.instance_ids))
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        }


def _answers(url: str, instance_id: str) -> str | None:
    """None when *instance_id* answers at *url*, else why not: an answer of one in its place is not its own."""
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


def bind(target: Mapping[str, Any], configuration: Mapping[str, Any]) -> AzLoss | AzNetworkLoss:
    """The fault from the data in a plan or a ledger."""
    if target.get("mode") == "network":
        return AzNetworkLoss(configuration=configuration, **target)
    return AzLoss(configuration=configuration, **target)


def inject(fault_id: str, noop: bool, target: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit action: take the zone's power or network away and see it silent."""
    return activity.inject(
        bind(target, configuration),
        fault_id=fault_id,
        kind=KIND,
        noop=noop,
        target=target,
        configuration=configuration,
    )


def confirm(target: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit probe: is the zone silent now?"""
    return activity.confirm(bind(target, configuration))


def undo(fault_id: str, configuration: dict[str, Any]) -> dict[str, Any]:
    """Chaos Toolkit action: bring back what the ledger says was there."""
    return activity.undo(configuration=configuration, fault_id=fault_id)
