"""One experiment in AWS FIS: previewed, held against the plan, started, asked about, stopped, its template deleted.

What every fault through FIS shares; a fault says only what is asked of FIS, and how it is seen from outside. An
experiment of FIS is `completed` also when nothing was hit. So it is first started as a preview (``skip-all``), what its
targets resolve to is held against the plan, and only then it is started for good. Experiment and template carry a tag
that is made of the ledger: an undo in another process knows them by it. docs/adr/0042-fis-as-an-injector.md.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stormproof.errors import FaultEndedError, FaultError
from stormproof.faults import aws
from stormproof.faults.api_call import ApiCall, arn, reads

OVER = frozenset({"completed", "stopped", "failed", "cancelled"})
_HALTED = frozenset({"stopping", "stopped", "cancelled"})
POLL_FIRST_S, POLL_MOST_S = 0.5, 10.0  # half as long again each time: FIS allows few calls
STARTED_WITHIN_S, OVER_WITHIN_S = 120.0, 300.0
PREVIEW, FOR_GOOD = "skip-all", "run-all"


@dataclass(frozen=True, slots=True, kw_only=True)
class FisExperiment:
    """What is asked of FIS for one fault, bound."""

    kind: str  # of the fault: its errors begin with it, and its tag is named after it
    request: Mapping[str, Any]  # of CreateExperimentTemplate, without its token
    expected: Mapping[str, Sequence[str]]  # target of the template → the ARNs that the plan knows of it
    configuration: Mapping[str, Any]
    begun: list[str] = field(default_factory=list)  # experiments started for good, by this object

    @property
    def what(self) -> str:
        """Its actions, in words."""
        return ", ".join(action["actionId"] for action in self.request["actions"].values())

    @property
    def api_calls(self) -> tuple[ApiCall, ...]:
        """FIS's, and handing it its role."""
        where, role = self.configuration, str(self.request["roleArn"])
        templates, runs = (arn(where, "fis", f"{kind}/*") for kind in ("experiment-template", "experiment"))
        make = ApiCall(
            service="fis", operation="CreateExperimentTemplate", purpose="inject",
            resources=(templates, arn(where, "fis", "action/*")),
        )  # fmt: skip
        return (
            *reads("fis:GetExperiment", "fis:ListExperiments", "fis:ListExperimentTemplates"),
            *reads("fis:ListExperimentResolvedTargets"),
            make,
            ApiCall(service="fis", operation="TagResource", purpose="inject", resources=(templates, runs)),
            ApiCall(service="iam", operation="PassRole", purpose="inject", resources=(role,)),
            ApiCall(service="fis", operation="StartExperiment", purpose="inject", resources=(templates, runs)),
            ApiCall(service="fis", operation="StopExperiment", purpose="undo", resources=(runs,)),
            ApiCall(service="fis", operation="DeleteExperimentTemplate", purpose="undo", resources=(templates,)),
        )

    def prior(self) -> dict[str, Any]:
        """The tag by which the undo will know what is ours; one of this kind that runs already is an error."""
        running = [row["id"] for row in self._experiments() if self._key in row.get("tags", {}) and not _over(row)]
        if running:
            raise FaultError(
                f"{self.kind}: FIS experiments {running} are in force already", hint="stormproof undo --list"
            )
        return {"tag": self._tag}

    def start(self) -> None:
        """Make the template, preview it, hold what it resolves to against the plan, start it for good.

        Raises `FaultEndedError` where FIS stopped it on an alarm, `FaultError` where it failed, or hits something else
        than planned.
        """
        made = self._fis().create_experiment_template(
            clientToken=uuid.uuid4().hex, **{**self.request, "tags": {**self.request["tags"], **self._tag}}
        )
        template = made["experimentTemplate"]["id"]
        preview = self._start(template, PREVIEW)
        self._check(preview, self._await(preview, OVER, within_s=STARTED_WITHIN_S), wanted=("completed",))
        started = self._start(template, FOR_GOOD)
        self.begun.append(started)
        state = self._await(started, {"running", *OVER}, within_s=STARTED_WITHIN_S)
        self._check(started, state, wanted=("running", "completed"))

    def ended(self) -> str | None:
        """Why what this object has started is not in force any more; None while it is. One call."""
        if not self.begun:
            return None
        state = self._status(self.begun[-1])
        over = state["status"] in OVER | _HALTED
        return f"FIS experiment {self.begun[-1]} is {_said(state)}" if over else None

    def stop(self, prior: Mapping[str, Any]) -> None:
        """Stop what has the tag of *prior*, wait for its end, delete its templates; nobody else's is touched."""
        fis, ours = self._fis(), dict(prior["tag"])
        rows = [row for row in self._experiments() if ours.items() <= row.get("tags", {}).items()]
        mine = [row["id"] for row in rows if not _over(row)]
        for one in mine:
            fis.stop_experiment(id=one)
        for one in mine:
            self._await(one, OVER, within_s=OVER_WITHIN_S)
        for page in fis.get_paginator("list_experiment_templates").paginate():
            for row in page["experimentTemplates"]:
                if ours.items() <= row.get("tags", {}).items():
                    fis.delete_experiment_template(id=row["id"])

    def _start(self, template: str, mode: str) -> str:
        answer = self._fis().start_experiment(
            clientToken=uuid.uuid4().hex,
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
                raise FaultError(f"{self.kind}: FIS experiment {experiment} is {_said(state)} after {within_s:g} s")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, POLL_MOST_S)
        return state

    def _check(self, experiment: str, state: Mapping[str, Any], *, wanted: tuple[str, ...]) -> None:
        """Every target that FIS looked for has something, it is the plan's, and the state is one of *wanted*."""
        if state["status"] in _HALTED or "stop condition" in str(state.get("reason", "")).lower():
            raise FaultEndedError(f"{self.kind}: FIS experiment {experiment} is {_said(state)}")
        found = self._resolved(experiment)
        # What is named by its ARN was not looked for; the rest was, by tags.
        sought = [name for name, one in self.request["targets"].items() if "resourceArns" not in one]
        if empty := sorted(name for name in sought if not found.get(name)):
            raise FaultError(
                f"{self.kind}: FIS experiment {experiment} ({_said(state)}) resolved nothing for {', '.join(empty)}",
                hint="what its owners have not tagged does not exist for FIS either",
            )
        if state["status"] not in wanted:
            raise FaultError(f"{self.kind}: FIS experiment {experiment} is {_said(state)}")
        for name, planned in self.expected.items():
            if found[name] != set(planned):
                raise FaultError(
                    f"{self.kind}: FIS would hit {sorted(found[name])} as {name}, planned are {sorted(planned)}",
                    hint="something was tagged, or has started, since the plan: plan again",
                )

    def _resolved(self, experiment: str) -> dict[str, set[str]]:
        """By target of the template, the ARNs that FIS found."""
        fis = self._fis()
        found: dict[str, set[str]] = {name: set() for name in self.request["targets"]}
        token: dict[str, str] = {}
        while True:
            page = fis.list_experiment_resolved_targets(experimentId=experiment, **token)
            for row in page.get("resolvedTargets", ()):
                values = row.get("targetInformation", {}).values()
                found.setdefault(row["targetName"], set()).update(one for one in values if one.startswith("arn:"))
            if not page.get("nextToken"):
                return found
            token = {"nextToken": page["nextToken"]}

    def _experiments(self) -> list[dict[str, Any]]:
        pages = self._fis().get_paginator("list_experiments").paginate()
        return [row for page in pages for row in page["experiments"]]

    @property
    def _key(self) -> str:
        return f"stormproof-{self.kind}"

    @property
    def _tag(self) -> dict[str, str]:
        """The same for the same ledger and request, here or in another process; another for another run."""
        ledger = Path(str(self.configuration.get("ledger_path", ""))).absolute()
        asked = json.dumps(self.request, sort_keys=True)
        return {self._key: hashlib.sha256(f"{ledger} {asked}".encode()).hexdigest()[:32]}

    def _fis(self) -> Any:
        return aws.client("fis", self.configuration)


def unwritten(role_arn: str) -> dict[str, Any]:
    """A request that the plan has still to write: it knows for how long."""
    return {"roleArn": role_arn, "targets": {}, "actions": {}}


def _over(row: Mapping[str, Any]) -> bool:
    return row["state"]["status"] in OVER


def _said(state: Mapping[str, Any]) -> str:
    return f"{state.get('status')}: {state['reason']}" if state.get("reason") else str(state.get("status"))
