"""Services of AWS's query protocol as their documentation describes them, for what moto's cannot do.

Each stands in a `Recorder`, keeps what it is told, and moves on by one state a look: a machine that restarts is
restarting for whoever asks first. Every answer is held against botocore's model of the service, and every request was
already: botocore refuses to send what its model does not know.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import ListShape, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

from support.emulated_aws import ACCOUNT, READY, REGION

Form = dict[str, str]


@functools.cache
def model_of(service: str) -> ServiceModel:
    """botocore's, read once: it is megabytes of JSON."""
    model: ServiceModel = botocore.session.get_session().get_service_model(service)
    return model


def respond(service: str, operation: str, answer: dict[str, Any]) -> str:
    """*answer* as XML; an `AssertionError` for one that the model of *service* does not allow."""
    shape = model_of(service).operation_model(operation).output_shape
    report = ParamValidator().validate(answer, shape)
    assert not report.has_errors(), report.generate_report()
    unknown = set(answer) - set(shape.members)
    assert not unknown, unknown
    wrapper = shape.serialization["resultWrapper"]
    return f"<{operation}Response><{wrapper}>{_inner(shape, answer)}</{wrapper}></{operation}Response>"


def _inner(shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        return "".join(f"<{name}>{_inner(shape.members[name], one)}</{name}>" for name, one in value.items())
    if isinstance(shape, ListShape):
        tag = shape.member.serialization.get("name", "member")
        return "".join(f"<{tag}>{_inner(shape.member, one)}</{tag}>" for one in value)
    return escape(str(value).lower() if isinstance(value, bool) else str(value))


def refuse(code: str) -> tuple[int, str]:
    """An error as the protocol has it."""
    return (
        400,
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>so</Message></Error></ErrorResponse>",
    )


def form_of(body: bytes) -> Form:
    """The parameters of a call, `Action` among them."""
    return dict(urllib.parse.parse_qsl(body.decode(errors="replace")))


@dataclass(slots=True)
class CacheGroup:
    """A replication group: the zone of each member, in the order in which they would be promoted."""

    name: str
    members: dict[str, str]
    primary: str
    automatic_failover: str = "enabled"
    cluster_mode: bool = False
    status: str = "available"
    failovers: int = 0
    heirs: list[str] = field(default_factory=list)  # whom ElastiCache chooses, in turn; without: the first replica

    def fail_over(self) -> None:
        """Ask for it; the next two looks see it begin and end."""
        self.failovers += 1
        self.status = "modifying"

    def described(self) -> dict[str, Any]:
        """As it is for this look; the next one sees it further on."""
        answer = {
            "ReplicationGroupId": self.name,
            "ARN": f"arn:aws:elasticache:{REGION}:{ACCOUNT}:replicationgroup:{self.name}",
            "Status": self.status,
            "AutomaticFailover": self.automatic_failover,
            "ClusterEnabled": self.cluster_mode,
            "NodeGroups": [
                {
                    "NodeGroupId": "0001",
                    "Status": self.status,
                    "NodeGroupMembers": [self._member(one, zone) for one, zone in self.members.items()],
                }
            ],
        }
        if self.status == "modifying":
            self.status = "promoting"  # no word of AWS's: it is shown as modifying
        elif self.status == "promoting":
            others = [one for one in self.members if one != self.primary]
            self.primary = self.heirs.pop(0) if self.heirs else others[0]
            self.status = "available"
        return {**answer, "Status": "modifying" if answer["Status"] == "promoting" else answer["Status"]}

    def _member(self, one: str, zone: str) -> dict[str, str]:
        role = {} if self.cluster_mode else {"CurrentRole": "primary" if one == self.primary else "replica"}
        return {"CacheClusterId": one, "CacheNodeId": "0001", "PreferredAvailabilityZone": zone, **role}


@dataclass(slots=True)
class CacheDouble:
    """ElastiCache."""

    groups: list[CacheGroup]
    tags: dict[str, str] = field(default_factory=lambda: dict(READY))

    def __call__(self, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        """The answer to a call of ElastiCache's; None for one of another service."""
        form = form_of(body)
        answer: Callable[[Form], dict[str, Any] | str] | None = {
            "DescribeReplicationGroups": self._describe,
            "ListTagsForResource": self._list_tags,
            "TestFailover": self._test_failover,
        }.get(form.get("Action", ""))
        if answer is None or form.get("Version") != "2015-02-02":
            return None
        found = answer(form)
        return refuse(found) if isinstance(found, str) else (200, respond("elasticache", form["Action"], found))

    def _describe(self, form: Form) -> dict[str, Any] | str:
        found = [one.described() for one in self.groups if one.name == form["ReplicationGroupId"]]
        return {"ReplicationGroups": found} if found else "ReplicationGroupNotFoundFault"

    def _list_tags(self, _: Form) -> dict[str, Any]:
        return {"TagList": [{"Key": key, "Value": value} for key, value in self.tags.items()]}

    def _test_failover(self, form: Form) -> dict[str, Any] | str:
        (group,) = (one for one in self.groups if one.name == form["ReplicationGroupId"])
        if group.status != "available" or group.automatic_failover != "enabled":
            return "InvalidReplicationGroupState"
        assert form["NodeGroupId"] == "0001"
        group.fail_over()
        return {"ReplicationGroup": {"ReplicationGroupId": group.name, "Status": "modifying"}}


@dataclass(slots=True)
class DatabaseDouble:
    """An instance of RDS, and the port that it listens on."""

    name: str
    zone: str
    other: str = ""  # zone; "" for one that is not Multi-AZ
    status: str = "available"
    tags: dict[str, str] = field(default_factory=lambda: dict(READY))
    lasts_s: float = 0.0  # a restart; whoever asks later sees it over
    reboots: list[bool] = field(default_factory=list)  # whether each was to fail over
    address: str = ""  # "host:port"
    _listener: socket.socket | None = None
    _down_at: float = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[DatabaseDouble]:
        """It listens on a port of its own; whatever was done to it, it is down afterwards."""
        self._listen(0)
        try:
            yield self
        finally:
            self._close()

    def __call__(self, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        """The answer to a call about this instance; None for any other."""
        form = form_of(body)
        if self.name not in form.values():
            return None
        answers = {"DescribeDBInstances": self._describe, "RebootDBInstance": self._reboot}
        found = answers[form["Action"]](form)
        return refuse(found) if isinstance(found, str) else (200, respond("rds", form["Action"], found))

    def _describe(self, _: Form) -> dict[str, Any]:
        answer = {
            "DBInstanceIdentifier": self.name,
            "DBInstanceStatus": self.status,
            "AvailabilityZone": self.zone,
            "MultiAZ": bool(self.other),
            "TagList": [{"Key": key, "Value": value} for key, value in self.tags.items()],
            **({"SecondaryAvailabilityZone": self.other} if self.other else {}),
        }
        if self.status == "rebooting" and time.monotonic() >= self._down_at + self.lasts_s:
            if self.reboots[-1]:
                self.zone, self.other = self.other, self.zone
            self.status = "available"
            self._listen(int(self.address.rpartition(":")[2]))
        return {"DBInstances": [answer]}

    def _reboot(self, form: Form) -> dict[str, Any] | str:
        if self.status != "available":
            return "InvalidDBInstanceState"
        failover = form["ForceFailover"] == "true"
        assert self.other or not failover
        self.reboots.append(failover)
        self.status, self._down_at = "rebooting", time.monotonic()
        self._close()
        return {"DBInstance": {"DBInstanceIdentifier": self.name, "DBInstanceStatus": self.status}}

    def _listen(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)  # nobody takes them off it
        self.address = "{}:{}".format(*self._listener.getsockname())

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
