"""AWS FIS as its documentation describes it, for what moto's cannot do: it resolves targets, and it acts.

It stands in a `Recorder`, finds targets by their tags in the emulator behind it, and goes through the states of an
experiment, one a look. Every answer is held against botocore's model of FIS. What it does to the targets is each
action's own: instances are stopped and started there; what else there is to an action comes in by `acts`.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from botocore.validate import ParamValidator

from support.emulated_aws import ACCOUNT, REGION
from support.query_double import model_of

HALTED = "Experiment halted by stop condition."  # as FIS says it
# What begins (True) or ends (False) one action, as the template has it, on the ARNs of its target.
Act = Callable[[Mapping[str, Any], list[str], bool], None]


class HasClients(Protocol):
    """An emulated account, or a lab: what its clients are asked."""

    def client(self, service: str) -> Any:
        """A client that goes past every recorder."""
        ...


ROUTES = (  # method, path, operation; FIS's paths are no other service's here
    ("POST", r"/experimentTemplates", "CreateExperimentTemplate"),
    ("GET", r"/experimentTemplates", "ListExperimentTemplates"),
    ("DELETE", r"/experimentTemplates/([^/]+)", "DeleteExperimentTemplate"),
    ("POST", r"/experiments", "StartExperiment"),
    ("GET", r"/experiments", "ListExperiments"),
    ("GET", r"/experiments/([^/]+)", "GetExperiment"),
    ("GET", r"/experiments/([^/]+)/resolvedTargets", "ListExperimentResolvedTargets"),
    ("DELETE", r"/experiments/([^/]+)", "StopExperiment"),
)


@dataclass(slots=True)
class FisDouble:
    """Its templates and experiments, and what it is asked to get wrong."""

    estate: HasClients
    acts: Mapping[str, Act] = field(default_factory=dict)  # action id → what it does, beside `aws:ec2:stop-instances`
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    resolved: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    finds_nothing: bool = False
    says_completed: bool = False  # where targets are empty, in place of failing
    fails: str = ""  # the reason of an experiment that starts for good
    halted: bool = False  # an alarm stops the next that starts for good

    def __call__(self, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        """The answer to a call of FIS; None for one of another service."""
        bare = urllib.parse.urlsplit(path).path
        for verb, pattern, operation in ROUTES:
            match = re.fullmatch(pattern, bare)
            if verb == method and match:
                self.calls.append(operation)
                document = json.loads(body) if body else {}
                answer = getattr(self, f"_{operation}")(document, *match.groups())
                _check(operation, answer)
                return 200, answer
        return None

    def states(self) -> list[str]:
        """Of each experiment, in the order of their start."""
        return [one["state"]["status"] for one in self.experiments.values()]

    def _CreateExperimentTemplate(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - FIS's names
        name = f"EXT{len(self.templates) + 1}"
        kept = {key: value for key, value in asked.items() if key != "clientToken"}
        self.templates[name] = {"id": name, **kept}
        return {"experimentTemplate": {"id": name, "tags": asked["tags"], "roleArn": asked["roleArn"]}}

    def _ListExperimentTemplates(self, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"experimentTemplates": [{"id": one["id"], "tags": one["tags"]} for one in self.templates.values()]}

    def _DeleteExperimentTemplate(self, _: dict[str, Any], name: str) -> dict[str, Any]:  # noqa: N802
        return {"experimentTemplate": {"id": self.templates.pop(name)["id"]}}

    def _StartExperiment(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = f"EXP{len(self.experiments) + 1}"
        self.experiments[name] = {
            "id": name,
            "experimentTemplateId": asked["experimentTemplateId"],
            "tags": asked["tags"],
            "state": {"status": "pending"},
            "experimentOptions": {"actionsMode": asked["experimentOptions"]["actionsMode"]},
        }
        return {"experiment": self.experiments[name]}

    def _ListExperiments(self, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        keys = ("id", "experimentTemplateId", "state", "tags")
        return {"experiments": [{key: one[key] for key in keys} for one in self.experiments.values()]}

    def _GetExperiment(self, _: dict[str, Any], name: str) -> dict[str, Any]:  # noqa: N802
        self._advance(self.experiments[name])
        return {"experiment": self.experiments[name]}

    def _ListExperimentResolvedTargets(self, _: dict[str, Any], name: str) -> dict[str, Any]:  # noqa: N802
        template = self.templates[self.experiments[name]["experimentTemplateId"]]
        rows = [
            {
                "resourceType": template["targets"][target]["resourceType"],
                "targetName": target,
                "targetInformation": {"arn": arn},
            }
            for target, arns in self.resolved.get(name, {}).items()
            for arn in arns
        ]
        return {"resolvedTargets": rows}

    def _StopExperiment(self, _: dict[str, Any], name: str) -> dict[str, Any]:  # noqa: N802
        experiment = self.experiments[name]
        if experiment["state"]["status"] in ("pending", "initiating", "running"):
            self._end(experiment, "stopping", "Stopping Experiment.")
        return {"experiment": experiment}

    def halt(self) -> None:
        """An alarm fires: what runs is stopped, and undone by FIS itself."""
        for one in self.experiments.values():
            if one["state"]["status"] == "running":
                self._end(one, "stopped", HALTED)

    def _end(self, experiment: dict[str, Any], status: str, reason: str) -> None:
        begun = experiment["state"]["status"] == "running"
        experiment["state"] = {"status": status, "reason": reason}
        if begun:
            self._do(experiment, begin=False)

    def _advance(self, experiment: dict[str, Any]) -> None:
        """One state further."""
        name, status = experiment["id"], experiment["state"]["status"]
        preview = experiment["experimentOptions"]["actionsMode"] == "skip-all"
        if status == "pending":
            experiment["state"] = {"status": "initiating"}
        elif status == "stopping":
            experiment["state"] = {"status": "stopped", "reason": "Experiment stopped."}
        elif status == "initiating":
            template = self.templates[experiment["experimentTemplateId"]]
            found = {target: self._find(one) for target, one in template["targets"].items()}
            self.resolved[name] = found
            empty = [target for target, arns in found.items() if not arns]
            if empty and not self.says_completed:
                experiment["state"] = {"status": "failed", "reason": f"Target resolution returned empty set: {empty}"}
            elif empty or preview:
                experiment["state"] = {"status": "completed", "reason": "Experiment completed."}
            elif self.fails:
                experiment["state"] = {"status": "failed", "reason": self.fails}
            elif self.halted:
                experiment["state"] = {"status": "stopped", "reason": HALTED}
            else:
                experiment["state"] = {"status": "running"}
                self._do(experiment, begin=True)

    def _find(self, target: dict[str, Any]) -> list[str]:
        """ARNs by tags and filters, as the emulator has them."""
        if self.finds_nothing:
            return []
        if "resourceArns" in target:
            return list(target["resourceArns"])
        return list(getattr(self, f"_{_FOUND_BY[target['resourceType']]}")(target))

    def _instances(self, target: Mapping[str, Any]) -> list[str]:
        where = {one["path"]: one["values"] for one in target["filters"]}
        filters = [
            *_tags(target),
            {"Name": "availability-zone", "Values": where["Placement.AvailabilityZone"]},
            {"Name": "instance-state-name", "Values": where["State.Name"]},
        ]
        rows = self.estate.client("ec2").describe_instances(Filters=filters)["Reservations"]
        return [_arn("ec2", f"instance/{one['InstanceId']}") for row in rows for one in row["Instances"]]

    def _subnets(self, target: Mapping[str, Any]) -> list[str]:
        zone = {"Name": "availability-zone", "Values": [target["parameters"]["availabilityZoneIdentifier"]]}
        rows = self.estate.client("ec2").describe_subnets(Filters=[*_tags(target), zone])["Subnets"]
        return [_arn("ec2", f"subnet/{one['SubnetId']}") for one in rows]

    def _groups(self, target: Mapping[str, Any]) -> list[str]:
        rows = self.estate.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        return [one["AutoScalingGroupARN"] for one in rows if _carries(target, one["Tags"])]

    def _clusters(self, target: Mapping[str, Any]) -> list[str]:
        rds, zone = self.estate.client("rds"), target["parameters"]["writerAvailabilityZoneIdentifiers"]
        zones = {
            one["DBInstanceIdentifier"]: one["AvailabilityZone"] for one in rds.describe_db_instances()["DBInstances"]
        }
        return [
            one["DBClusterArn"]
            for one in rds.describe_db_clusters()["DBClusters"]
            if _carries(target, one["TagList"])
            and any(
                row["IsClusterWriter"] and zones[row["DBInstanceIdentifier"]] == zone for row in one["DBClusterMembers"]
            )
        ]

    def _do(self, experiment: Mapping[str, Any], *, begin: bool) -> None:
        """Each action of its template; what the double does not know how to do, it does not do."""
        for action in self.templates[experiment["experimentTemplateId"]]["actions"].values():
            arns = [arn for name in action["targets"].values() for arn in self.resolved[experiment["id"]][name]]
            if action["actionId"] == "aws:ec2:stop-instances":
                ec2, ids = self.estate.client("ec2"), [one.rpartition("/")[2] for one in arns]
                (ec2.stop_instances if begin else ec2.start_instances)(InstanceIds=ids)
            elif act := self.acts.get(action["actionId"]):
                act(action, arns, begin)


_FOUND_BY = {
    "aws:ec2:instance": "instances",
    "aws:ec2:subnet": "subnets",
    "aws:ec2:autoscaling-group": "groups",
    "aws:rds:cluster": "clusters",
}


def _tags(target: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in target["resourceTags"].items()]


def _carries(target: Mapping[str, Any], rows: list[dict[str, Any]]) -> bool:
    return target["resourceTags"].items() <= {one["Key"]: one["Value"] for one in rows}.items()


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def _check(operation: str, answer: dict[str, Any]) -> None:
    """The answer is one that botocore's model of FIS allows."""
    shape = model_of("fis").operation_model(operation).output_shape
    report = ParamValidator().validate(answer, shape)
    assert not report.has_errors(), report.generate_report()
    unknown = set(answer) - set(shape.members)
    assert not unknown, unknown
