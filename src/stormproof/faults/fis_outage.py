"""The loss of a zone through AWS FIS: time-bounded by AWS itself, stopped by its alarms, and by us when we are done.

An experiment of FIS is `completed` also when nothing was hit. So it is first started as a preview (``skip-all``), what
its targets resolve to is held against the plan, and only then it is started for good. Experiment and template carry a
tag that is made of the ledger: an undo in another process knows them by it. docs/adr/0042-fis-as-an-injector.md.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from stormproof.errors import FaultError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, arn, reads
from stormproof.faults.outage_instances import OutageInstances
from stormproof.faults.outage_look import look_at_zone
from stormproof.faults.protocol import Look

MODE = "fis"
TAG = "stormproof-fis-outage"
OVER = frozenset({"completed", "stopped", "failed", "cancelled"})
POLL_FIRST_S, POLL_MOST_S = 0.5, 10.0  # half as long again each time: FIS allows few calls
STARTED_WITHIN_S, OVER_WITHIN_S = 120.0, 300.0
_INSTANCE = re.compile(r"\bi-[0-9a-f]{8,17}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class FisOutage:
    """A zone that FIS takes away, bound."""

    zone: str
    instance_ids: list[str]
    urls: list[str]
    target_groups: list[str]
    losses: Mapping[str, Mapping[str, Any]]  # what the zone loses, as for our own calls
    request: Mapping[str, Any]  # of CreateExperimentTemplate, without its token
    configuration: Mapping[str, Any]
    mode: str = MODE

    gap_s: ClassVar[float] = 1.0
    felt_within_s: ClassVar[float] = 300.0  # FIS begins in its own time
    gone_within_s: ClassVar[float] = 600.0

    @property
    def what(self) -> str:
        """In words."""
        actions = ", ".join(action["actionId"] for action in self.request["actions"].values())
        return f"through AWS FIS, zone {self.zone}: {actions}"

    @property
    def effect(self) -> dict[str, Any]:
        """The zone's share of the samples goes to nothing."""
        return {"kind": "zone-silent", "zone": self.zone}

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """FIS's, of the instances' part, and of the look."""
        where, role = self.configuration, str(self.request["roleArn"])
        templates, runs = (arn(where, "fis", f"{kind}/*") for kind in ("experiment-template", "experiment"))
        listed = ("fis:GetExperiment", "fis:ListExperiments", "fis:ListExperimentTemplates")
        looks = ("fis:ListExperimentResolvedTargets", *(() if self.urls else ("elbv2:DescribeTargetHealth",)))
        make = ApiCall(
            service="fis", operation="CreateExperimentTemplate", purpose="inject",
            resources=(templates, arn(where, "fis", "action/*")),
        )  # fmt: skip
        return (
            *reads("sts:GetCallerIdentity", *listed, *looks),
            make,
            ApiCall(service="fis", operation="TagResource", purpose="inject", resources=(templates, runs)),
            ApiCall(service="iam", operation="PassRole", purpose="inject", resources=(role,)),
            ApiCall(service="fis", operation="StartExperiment", purpose="inject", resources=(templates, runs)),
            ApiCall(service="fis", operation="StopExperiment", purpose="undo", resources=(runs,)),
            ApiCall(service="fis", operation="DeleteExperimentTemplate", purpose="undo", resources=(templates,)),
            *self._instances.api_calls,
        )

    def identify(self) -> None:
        """The caller's account and partition are the plan's."""
        aws.identify(self.configuration)

    def prior(self) -> dict[str, Any]:
        """The state of each instance, and the tag by which the undo will know what is ours."""
        if running := [row["id"] for row in self._ours() if row["state"]["status"] not in OVER]:
            raise FaultError(f"az-loss: FIS experiments {running} are in force already", hint="stormproof undo --list")
        return {"instances": self._instances.prior(), "tag": self._tag}

    def act(self) -> None:
        """Make the template, preview it, hold what it resolves to against the plan, start it for good."""
        fis = self._fis()
        made = fis.create_experiment_template(
            clientToken=self._token("template"), **{**self.request, "tags": {**self.request["tags"], **self._tag}}
        )
        template = made["experimentTemplate"]["id"]
        preview = self._start(template, "skip-all")
        self._await(preview, OVER, within_s=STARTED_WITHIN_S)
        self._check(preview, self._resolved(preview), ended=self._status(preview))
        started = self._start(template, "run-all")
        state = self._await(started, {"running", *OVER}, within_s=STARTED_WITHIN_S)
        if state["status"] not in ("running", "completed"):
            raise FaultError(f"az-loss: FIS experiment {started} is {_said(state)}")
        self._check(started, self._resolved(started), ended=state)

    def look(self) -> Look:
        """As of every loss of a zone: FIS's own word proves nothing."""
        return look_at_zone(self.instance_ids, self.urls, self.target_groups, self.configuration)

    def revert(self, prior: Mapping[str, Any]) -> None:
        """Stop what has our tag and wait for its end, delete its templates, see the instances running again.

        FIS starts what it has stopped; what it leaves stopped is started by us.
        """
        fis, ours = self._fis(), dict(prior["tag"])
        mine = [row["id"] for row in self._ours(ours) if row["state"]["status"] not in OVER]
        for one in mine:
            fis.stop_experiment(id=one)
        for one in mine:
            self._await(one, OVER, within_s=OVER_WITHIN_S)
        for page in fis.get_paginator("list_experiment_templates").paginate():
            for row in page["experimentTemplates"]:
                if ours.items() <= row.get("tags", {}).items():
                    fis.delete_experiment_template(id=row["id"])
        self._instances.revert(prior["instances"])

    def _start(self, template: str, mode: str) -> str:
        answer = self._fis().start_experiment(
            clientToken=self._token(mode),
            experimentTemplateId=template,
            experimentOptions={"actionsMode": mode},
            tags=self._tag,
        )
        return str(answer["experiment"]["id"])

    def _status(self, experiment: str) -> dict[str, Any]:
        state: dict[str, Any] = self._fis().get_experiment(id=experiment)["experiment"]["state"]
        return state

    def _await(self, experiment: str, wanted: set[str] | frozenset[str], *, within_s: float) -> dict[str, Any]:
        give_up_at, pause_s = time.monotonic() + within_s, POLL_FIRST_S
        while (state := self._status(experiment))["status"] not in wanted:
            if time.monotonic() > give_up_at:
                raise FaultError(f"az-loss: FIS experiment {experiment} is {_said(state)} after {within_s:g} s")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, POLL_MOST_S)
        return state

    def _resolved(self, experiment: str) -> dict[str, list[str]]:
        """By target of the template, what FIS found."""
        found: dict[str, list[str]] = {name: [] for name in self.request["targets"]}
        token: dict[str, str] = {}
        while True:
            page = self._fis().list_experiment_resolved_targets(experimentId=experiment, **token)
            for row in page.get("resolvedTargets", ()):
                found.setdefault(row["targetName"], []).append(" ".join(row.get("targetInformation", {}).values()))
            if not page.get("nextToken"):
                return found
            token = {"nextToken": page["nextToken"]}

    def _check(self, experiment: str, found: Mapping[str, list[str]], *, ended: Mapping[str, Any]) -> None:
        """`FaultError` unless every target that FIS looked for has something, and its instances are the plan's."""
        # What is named by its ARN was not looked for; the rest was, by tags.
        sought = [name for name, one in self.request["targets"].items() if "resourceArns" not in one]
        if empty := sorted(name for name in sought if not found.get(name)):
            raise FaultError(
                f"az-loss: FIS experiment {experiment} ({_said(ended)}) resolved nothing for {', '.join(empty)}",
                hint="what its owners have not tagged does not exist for FIS either",
            )
        if ended["status"] not in ("completed", "running"):
            raise FaultError(f"az-loss: FIS experiment {experiment} is {_said(ended)}")
        instances = {one for texts in found.values() for text in texts for one in _INSTANCE.findall(text)}
        stops = [name for name, one in self.request["targets"].items() if one["resourceType"] == "aws:ec2:instance"]
        if stops and instances != set(self.instance_ids):
            raise FaultError(
                f"az-loss: FIS would stop {sorted(instances)}, planned are {sorted(self.instance_ids)}",
                hint="something was tagged, or has started, since the plan: plan again",
            )

    def _ours(self, tag: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Experiments of *tag*; without one, of this fault by whichever run."""
        pages = self._fis().get_paginator("list_experiments").paginate()
        rows = [row for page in pages for row in page["experiments"]]
        if tag is None:
            return [row for row in rows if TAG in row.get("tags", {})]
        return [row for row in rows if tag.items() <= row.get("tags", {}).items()]

    @property
    def _tag(self) -> dict[str, str]:
        return {TAG: self._token("run")}

    def _token(self, what: str) -> str:
        """The same for the same ledger, here or in another process; another for another run."""
        ledger = Path(str(self.configuration.get("ledger_path", ""))).absolute()
        return hashlib.sha256(f"{ledger} {what}".encode()).hexdigest()[:32]

    @property
    def _instances(self) -> OutageInstances:
        return OutageInstances(zone=self.zone, instance_ids=self.instance_ids, configuration=self.configuration)

    def _fis(self) -> Any:
        return aws.client("fis", self.configuration)


def _said(state: Mapping[str, Any]) -> str:
    return f"{state.get('status')}: {state['reason']}" if state.get("reason") else str(state.get("status"))
