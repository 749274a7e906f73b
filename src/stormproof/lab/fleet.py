"""The lab's auto-healer: an instance that EC2 no longer runs is replaced by a new one in a zone that still has some.

A thread of the control plane, as a group of instances is part of AWS. What it reads it reads from memory; what it
asks of EC2 it asks like anybody else, with its own role and through the proxy in front of EC2: so every launch that it
wants, granted or refused, is in the arrivals of a run. When the lost instance is back, its replacement is terminated.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stormproof.lab.topology import FLEET_CLIENT, FLEET_ROLE, REGION, REPLACES_TAG, Topology
from stormproof.lab.variants import FleetPolicy

_LOOK_EVERY_S = 0.25
_AGAIN_AFTER_S = 1.0  # after a launch was refused
_RUNNING, _STARTING = "running", "pending"

_log = logging.getLogger("stormproof.lab")


class FleetCalls:
    """What the healer asks of EC2, with the credentials of its role and at most one attempt each."""

    def __init__(self, topology: Topology, subnets: Mapping[str, str]) -> None:
        self._topology, self._subnets = topology, subnets
        self._ec2: Any = None

    def launch(self, lost: str, zone: str) -> str:
        """A new instance in *zone* in the place of *lost*; its id. Raises what botocore raises."""
        tags = [{"Key": REPLACES_TAG, "Value": lost}, {"Key": "zone", "Value": zone}]
        answer = self._client().run_instances(
            ImageId="ami-00000000",
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            SubnetId=self._subnets[zone],
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        return str(answer["Instances"][0]["InstanceId"])

    def terminate(self, instance: str) -> None:
        """Give an instance back. Raises what botocore raises."""
        self._client().terminate_instances(InstanceIds=[instance])

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        if self._ec2 is None:
            settings: dict[str, Any] = {
                "user_agent_appid": FLEET_CLIENT,  # the arrivals' `client`
                "proxies": {},
                "retries": {"mode": "standard", "total_max_attempts": 1},
                "connect_timeout": 2,
                "read_timeout": 5,
            }
            own = Config(proxies={})
            sts = boto3.client("sts", region_name=REGION, endpoint_url=self._topology.moto.url, config=own)
            session = sts.assume_role(RoleArn=FLEET_ROLE, RoleSessionName="fleet")["Credentials"]
            self._ec2 = boto3.client(
                "ec2",
                region_name=REGION,
                endpoint_url=self._topology.proxies["ec2"].url,
                aws_access_key_id=session["AccessKeyId"],
                aws_secret_access_key=session["SecretAccessKey"],
                aws_session_token=session["SessionToken"],
                config=Config(**settings),
            )
        return self._ec2


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Who is lost, and by whom it has been replaced."""

    zones: Mapping[str, str]  # instance → zone
    policy: FleetPolicy
    calls: Any  # as `FleetCalls`
    replaced_by: dict[str, str] = field(default_factory=dict)
    _lost_since: dict[str, float] = field(default_factory=dict)
    _not_before: dict[str, float] = field(default_factory=dict)

    def turn(self, states: Mapping[str, str], now: float) -> None:
        """Replace who has been lost for long enough, give back the replacement of who has not; *now* is monotonic."""
        for instance, state in states.items():
            if state in (_RUNNING, _STARTING):
                self._lost_since.pop(instance, None)
                self._give_back(instance, now)
            elif now - self._lost_since.setdefault(instance, now) >= self.policy.replace_after_s:
                self._replace(instance, states, now)

    def _replace(self, lost: str, states: Mapping[str, str], now: float) -> None:
        if lost in self.replaced_by or now < self._not_before.get(lost, 0.0):
            return
        running = [self.zones[one] for one, state in states.items() if state == _RUNNING]
        if not running:
            return
        zone = max(sorted(set(running)), key=lambda name: (running.count(name), name != self.zones[lost]))
        if (new := self._try(lost, now, lambda: self.calls.launch(lost, zone))) is not None:
            _log.info("%s in zone %s replaces %s", new, zone, lost)
            self.replaced_by[lost] = new

    def _give_back(self, instance: str, now: float) -> None:
        surplus = self.replaced_by.get(instance)
        if surplus is None or now < self._not_before.get(instance, 0.0):
            return
        if self._try(instance, now, lambda: self.calls.terminate(surplus) or surplus) is not None:
            del self.replaced_by[instance]

    def _try(self, instance: str, now: float, call: Callable[[], str]) -> str | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call()
        except (BotoCoreError, ClientError) as error:
            _log.warning("the fleet could not do what it wants for %s: %s", instance, error)
            self._not_before[instance] = now + _AGAIN_AFTER_S
            return None


def keep_whole(fleet: Fleet, states: Callable[[], Mapping[str, str]]) -> None:
    """Look and heal for ever: the body of the healer's thread."""
    while True:
        fleet.turn(states(), time.monotonic())
        time.sleep(_LOOK_EVERY_S)
