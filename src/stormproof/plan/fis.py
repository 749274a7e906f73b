"""Model and environment in, a complete `CreateExperimentTemplate` request for AWS FIS out; pure, golden-tested.

Only what FIS can do as the spec means it is translated (`fis_fault`). Everything else is refused by name: a template
that breaks something else, or nothing, would say "completed" all the same.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from stormproof.errors import InputError
from stormproof.plan.fis_fault import LACKING, Broken, break_with_fis

if TYPE_CHECKING:
    from stormproof.model.cloud import Cloud, Fis
    from stormproof.model.environment import Environment
    from stormproof.model.experiment import Experiment
    from stormproof.model.plan import ResolvedFault

DESCRIPTION_MAX = 512
STOP_CONDITIONS_MAX = 5
DURATION_MIN_S, DURATION_MAX_S = 60, 12 * 3600


def check_fis_has(experiment: Experiment) -> None:
    """`InputError` that names each fault of *experiment* which FIS does not have, and why. Needs no environment."""
    lacking = [(fault, kind) for fault in experiment.faults for kind in fault.kinds if kind in LACKING]
    if lacking:
        kinds = list(dict.fromkeys(kind for _, kind in lacking))
        reasons = [f"{kind}: {LACKING[kind]}" for kind in kinds]
        raise InputError(
            where=lacking[0][0].where,
            what="faults",
            expected="faults that AWS FIS has",
            got=f"{', '.join(kinds)}, which it lacks. " + "; ".join(reasons),
            hint="stormproof run injects them itself; FIS has az-loss and capacity-denied",
        )
    if experiment.steps:
        got = "steps, which compiled for FIS would all be one experiment"
        raise InputError(where=experiment.path, what="steps", expected="`faults`, in force together", got=got)


def compile_fis(
    experiment: Experiment, resolved: tuple[ResolvedFault, ...], environment: Environment
) -> dict[str, Any]:
    """The request; JSON types only, and the same for the same input. Raises `InputError` for what FIS lacks.

    Durations are whole minutes, one at least, because FIS's are: the fault may last longer than `timeline.fault`.
    """
    check_fis_has(experiment)
    _settings(experiment, environment)
    duration = duration_text(experiment.timeline.fault_s)
    broken = Broken()
    for fault in resolved:
        broken = broken.with_(break_with_fis(fault, environment, duration=duration))
    request = _request(experiment, broken, environment)
    # The same template twice is one template: FIS tells by this token.
    token = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:32]
    return {"clientToken": f"stormproof-{token}", **request}


def request_for(
    experiment: Experiment, fault: ResolvedFault, environment: Environment, *, duration_s: float, is_denied: bool
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The request for *fault* alone, for *duration_s* at the most, without a token; and target → ARNs of the plan.

    *is_denied*: see `break_with_fis`.
    """
    broken = break_with_fis(fault, environment, duration=duration_text(duration_s), is_denied=is_denied)
    return _request(experiment, broken, environment), dict(broken.expected)


def _request(experiment: Experiment, broken: Broken, environment: Environment) -> dict[str, Any]:
    cloud, fis = _settings(experiment, environment)
    return {
        "description": f"{experiment.slug}: {experiment.title}"[:DESCRIPTION_MAX],
        "roleArn": fis.role_arn,
        "stopConditions": _stop_conditions(cloud),
        "targets": dict(broken.targets),
        "actions": dict(broken.actions),
        "experimentOptions": {"accountTargeting": "single-account", "emptyTargetResolutionMode": "fail"},
        "tags": {"Name": f"stormproof-{experiment.slug}", "stormproof-environment": environment.name},
        **_logs(fis),
        **_report(fis),
    }


def duration_text(seconds: float) -> str:
    """ISO 8601, as FIS wants it: whole minutes, from one to twelve hours. `20 s` is `PT1M`."""
    return f"PT{math.ceil(min(max(seconds, DURATION_MIN_S), DURATION_MAX_S) / 60)}M"


def cloudformation(request: dict[str, Any]) -> dict[str, Any]:
    """The same template as a CloudFormation template with one resource; FIS's names begin with a capital there."""
    properties = {f"{key[0].upper()}{key[1:]}": value for key, value in request.items() if key != "clientToken"}
    for key in ("StopConditions", "Targets", "Actions", "ExperimentOptions", "LogConfiguration"):
        if key in properties:
            properties[key] = _capitals(properties[key], named=key in ("Targets", "Actions"))
    if "ExperimentReportConfiguration" in properties:
        bucket = properties["ExperimentReportConfiguration"]["outputs"]["s3Configuration"]
        # The one name that is another there.
        properties["ExperimentReportConfiguration"] = {
            "Outputs": {"ExperimentReportS3Configuration": _capitals(bucket, named=False)}
        }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": request["description"],
        "Resources": {"ExperimentTemplate": {"Type": "AWS::FIS::ExperimentTemplate", "Properties": properties}},
        "Outputs": {"ExperimentTemplateId": {"Value": {"Ref": "ExperimentTemplate"}}},
    }


# Their keys are names, tags or parameters of an action, and not FIS's own words.
_OPAQUE = {"resourceTags", "parameters", "tags"}


def _capitals(value: Any, *, named: bool, opaque: bool = False) -> Any:
    """*value* with the keys that are FIS's words capitalised; with *named*, the first level's are somebody's names."""
    if isinstance(value, list):
        return [_capitals(one, named=False, opaque=opaque) for one in value]
    if not isinstance(value, dict) or opaque:
        return value
    if named:
        return {key: _capitals(one, named=False) for key, one in value.items()}
    return {
        f"{key[0].upper()}{key[1:]}": _capitals(one, named=False, opaque=key in _OPAQUE or key == "targets")
        for key, one in value.items()
    }


def _settings(experiment: Experiment, environment: Environment) -> tuple[Cloud, Fis]:
    cloud = environment.cloud
    if cloud is None or cloud.fis is None:
        raise InputError(
            where=experiment.path,
            what="--env",
            expected="an environment of kind aws with a section `fis`",
            got=environment.name,
            hint="experiments/environments/staging.example.yaml shows one",
        )
    return cloud, cloud.fis


def _stop_conditions(cloud: Cloud) -> list[dict[str, str]]:
    """From the guarding alarms. Without any there is nothing that would stop it, which FIS wants to be told."""
    arns = list(cloud.alarms_guard.values())
    assert len(arns) <= STOP_CONDITIONS_MAX, "the file's model does not take more"
    return [{"source": "aws:cloudwatch:alarm", "value": one} for one in arns] or [{"source": "none"}]


def _logs(fis: Fis) -> dict[str, Any]:
    if fis.log_group_arn is None:
        return {}
    arn = fis.log_group_arn if fis.log_group_arn.endswith(":*") else f"{fis.log_group_arn}:*"
    return {"logConfiguration": {"logSchemaVersion": 2, "cloudWatchLogsConfiguration": {"logGroupArn": arn}}}


def _report(fis: Fis) -> dict[str, Any]:
    if fis.report_bucket is None:
        return {}
    output = {"s3Configuration": {"bucketName": fis.report_bucket, "prefix": "stormproof"}}
    return {"experimentReportConfiguration": {"outputs": output}}
