"""AWS FIS as its documentation describes it, for what moto's cannot do: it resolves targets, and it acts.

It stands in a `Recorder`, finds targets by their tags in the emulator behind it, stops and starts instances there, and
goes through the states of an experiment, one a look. Every answer is held against botocore's model of FIS.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from botocore.validate import ParamValidator

from support.emulated_aws import ACCOUNT, REGION, Estate
from support.query_double import model_of

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

    estate: Estate
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    resolved: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    finds_nothing: bool = False
    says_completed: bool = False  # where targets are empty, in place of failing
    fails: str = ""  # the reason of an experiment that starts for good

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
        experiment["state"] = {"status": "stopping", "reason": "Stopping Experiment."}
        self._power(name, on=True)
        return {"experiment": experiment}

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
            else:
                experiment["state"] = {"status": "running"}
                self._power(name, on=False)

    def _find(self, target: dict[str, Any]) -> list[str]:
        """ARNs by tags and filters, as the emulator has them."""
        if self.finds_nothing:
            return []
        if "resourceArns" in target:
            return list(target["resourceArns"])
        tags = [{"Name": f"tag:{key}", "Values": [value]} for key, value in target["resourceTags"].items()]
        where = {one["path"]: one["values"] for one in target.get("filters", ())}
        if target["resourceType"] != "aws:ec2:instance":
            return [f"arn:aws:{target['resourceType'].split(':')[1]}:{REGION}:{ACCOUNT}:of-these-tags"]
        tags += [
            {"Name": "availability-zone", "Values": where["Placement.AvailabilityZone"]},
            {"Name": "instance-state-name", "Values": where["State.Name"]},
        ]
        rows = self.estate.client("ec2").describe_instances(Filters=tags)["Reservations"]
        return [
            f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{one['InstanceId']}" for row in rows for one in row["Instances"]
        ]

    def _power(self, name: str, *, on: bool) -> None:
        ids = [arn.rpartition("/")[2] for arns in self.resolved[name].values() for arn in arns if ":instance/" in arn]
        if ids:
            ec2 = self.estate.client("ec2")
            (ec2.start_instances if on else ec2.stop_instances)(InstanceIds=ids)


def _check(operation: str, answer: dict[str, Any]) -> None:
    """The answer is one that botocore's model of FIS allows."""
    shape = model_of("fis").operation_model(operation).output_shape
    report = ParamValidator().validate(answer, shape)
    assert not report.has_errors(), report.generate_report()
    unknown = set(answer) - set(shape.members)
    assert not unknown, unknown
