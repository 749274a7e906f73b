"""What `compile --to fis` writes: compared with files, and held against botocore's and CloudFormation's own schemas.

`STORMPROOF_UPDATE_GOLDEN=1 python -m pytest tests/golden/test_fis.py` writes the files anew.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import botocore.session
import jsonschema
import pytest
from botocore.validate import ParamValidator

from stormproof.errors import InputError
from stormproof.faults import catalogue
from stormproof.model.cloud import CacheGroup
from stormproof.model.environment import Environment
from stormproof.model.experiment import Experiment
from stormproof.model.guardrails import Guardrails
from stormproof.plan.fis import check_fis_has, cloudformation, compile_fis, duration_text
from stormproof.plan.fis_fault import LACKING
from stormproof.plan.iam_policy import calls_of, policy_of
from stormproof.plan.resolve import resolve_faults
from stormproof.record.atomic import dump_json
from stormproof.spec.loader import load_experiment
from support.planning import make_aws_environment

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "aws"


def _compare(name: str, actual: bytes) -> None:
    path = GOLDEN / name
    if os.environ.get("STORMPROOF_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(actual)
    assert actual.decode() == path.read_text()


def _load(slug: str) -> Experiment:
    return load_experiment(ROOT / "experiments" / slug, catalogue=catalogue.argument_models(), variables={})


def _request(slug: str, environment: Environment | None = None) -> dict[str, Any]:
    experiment, where = _load(slug), environment or make_aws_environment()
    return compile_fis(experiment, resolve_faults(experiment, where), where)


def _complaints(request: dict[str, Any]) -> str:
    model = botocore.session.get_session().get_service_model("fis").operation_model("CreateExperimentTemplate")
    assert model.input_shape is not None
    return str(ParamValidator().validate(request, model.input_shape).generate_report())


COMPILED = ("az-loss", "az-network-loss", "az-slow", "capacity-denied")


@pytest.mark.parametrize("slug", COMPILED)
def test_what_fis_has_compiles_to_its_golden_request(slug: str) -> None:
    """A complete request by botocore's model, as JSON and as CloudFormation."""
    request = _request(slug)

    _compare(f"fis-{slug}.json", dump_json(request))
    _compare(f"fis-{slug}.cloudformation.json", dump_json(cloudformation(request)))
    assert _complaints(request) == ""
    assert request["experimentOptions"]["emptyTargetResolutionMode"] == "fail"
    assert request["stopConditions"][0]["source"] == "aws:cloudwatch:alarm"


def test_botocores_model_would_complain() -> None:
    """The check can fail: a key that is not FIS's, a target that lacks what it must have."""
    request = _request("az-loss")
    del request["targets"]["zone-instances"]["selectionMode"]

    assert "selectionMode" in _complaints(request)
    assert "stopCondition" in _complaints({**_request("az-loss"), "stopCondition": []})


@pytest.mark.parametrize("slug", COMPILED)
def test_every_target_is_used_and_every_used_one_is_there(slug: str) -> None:
    """FIS refuses both; and no resource is found by anything less than the environment's tags, or by its name."""
    request = _request(slug)
    used = {target for action in request["actions"].values() for target in action.get("targets", {}).values()}

    assert used == set(request["targets"])
    tags = make_aws_environment().cloud.tags  # type: ignore[union-attr]
    for target in request["targets"].values():
        assert target.get("resourceTags") == tags or target.get("resourceArns")


def test_the_cloudformation_template_is_one() -> None:
    """By AWS's own schema of the resource (it comes with cfn-lint, as moto's dependency), which finds what is wrong."""
    validator = jsonschema.Draft7Validator(_resource_schema("AWS::FIS::ExperimentTemplate"))
    for slug in reversed(COMPILED):
        properties = cloudformation(_request(slug))["Resources"]["ExperimentTemplate"]["Properties"]
        assert [error.message for error in validator.iter_errors(properties)] == [], slug

    del properties["RoleArn"]
    properties["Targets"]["zone-instances"]["resourceTags"] = {}
    assert len(list(validator.iter_errors(properties))) == 2


def test_a_composites_parts_wait_and_end_together() -> None:
    """`at: 1s` is a minute, as FIS waits no shorter; what began before it lasts that minute longer."""
    actions = _request("capacity-denied")["actions"]

    waits = {name: one for name, one in actions.items() if one["actionId"] == "aws:fis:wait"}
    assert {name: one["parameters"] for name, one in waits.items()} == {"step-2-wait": {"duration": "PT1M"}}
    assert actions["step-1-pause-launches"]["parameters"]["duration"] == "PT2M"
    assert actions["step-2-stop-instances"]["parameters"]["startInstancesAfterDuration"] == "PT1M"
    after = {name: one["startAfter"] for name, one in actions.items() if "startAfter" in one}
    assert set(after) == {name for name in actions if name.startswith("step-2-")} - set(waits)
    assert all(one == ["step-2-wait"] for one in after.values())


def test_a_slow_zone_says_what_systems_manager_wants() -> None:
    """Every parameter is one of the document's, as text; FIS's time and the document's are the same."""
    action = _request("az-slow")["actions"]["slow-network"]["parameters"]
    document = json.loads(action["documentParameters"])

    assert action["documentArn"] == "arn:aws:ssm:eu-central-1::document/AWSFIS-Run-Network-Latency-Sources"
    assert document["DelayMilliseconds"] == "500"
    assert document["Sources"] == "eu-central-1a,eu-central-1b,eu-central-1c"
    assert (action["duration"], document["DurationSeconds"]) == ("PT1M", "60")
    assert all(isinstance(value, str) for value in document.values())


def _resource_schema(kind: str) -> dict[str, Any]:
    """Read without importing cfn-lint, which takes seconds."""
    found = importlib.util.find_spec("cfnlint")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "data/schemas"
    by_kind = json.loads((folder / "providers/eu-central-1.json").read_text())
    schema: dict[str, Any] = json.loads((folder / f"resources/{by_kind[kind]}.json").read_text())
    return schema


@pytest.mark.parametrize("slug", ["dependency-timeout", "throttling", "health-checks"])
def test_what_fis_lacks_is_refused_by_name(slug: str) -> None:
    """Every fault that it lacks, and why; compared with a file like a template."""
    with pytest.raises(InputError) as error:
        check_fis_has(_load(slug))

    message = str(error.value).replace(f"{ROOT}/", "")
    _compare(f"fis-{slug}.error.txt", f"{message}\n".encode())
    for fault in _load(slug).faults:
        assert fault.kind in message


def test_every_fault_is_translated_or_refused() -> None:
    """A new kind has to be one or the other."""
    assert set(catalogue.KINDS) - set(LACKING) == {"az-loss", "capacity-denied", "composite"}
    assert set(LACKING) < set(catalogue.KINDS)


def test_without_alarms_fis_is_told_that_nothing_stops_it() -> None:
    """It wants a stop condition, `none` if there is none."""
    environment = make_aws_environment()
    assert environment.cloud is not None
    bare = dataclasses.replace(environment, cloud=dataclasses.replace(environment.cloud, alarms_guard={}))

    assert _request("az-loss", bare)["stopConditions"] == [{"source": "none"}]


@pytest.mark.parametrize("part", ["balancers", "caches"])
def test_a_part_that_fis_lacks_is_refused(part: str) -> None:
    """Load balancers and who leads a cache stay as they are with FIS: a template without them is another outage."""
    environment = make_aws_environment()
    assert environment.cloud is not None
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/0123456789abcdef"
    members = {"s-1": "eu-central-1a", "s-2": "eu-central-1b"}
    cloud = dataclasses.replace(
        environment.cloud,
        load_balancers={"shop": arn},
        cache_groups=(CacheGroup(name="sessions", arn="arn", primary="s-1", members=members),),
        az_loss_parts=(part, "instances"),
    )

    with pytest.raises(InputError, match=rf"az_loss.parts: expected parts that AWS FIS has, got {part}"):
        _request("az-loss", dataclasses.replace(environment, cloud=cloud))


@pytest.mark.parametrize(("seconds", "text"), [(20, "PT1M"), (60, "PT1M"), (61, "PT2M"), (1800, "PT30M")])
def test_durations_are_whole_minutes(seconds: float, text: str) -> None:
    """One at least: FIS knows no shorter fault."""
    assert duration_text(seconds) == text


def test_the_policy_for_az_loss_is_its_golden_one() -> None:
    """What changes something is allowed on the plan's resources only, and reads nowhere outside the region."""
    experiment, environment = _load("az-loss"), make_aws_environment()
    resolved = resolve_faults(experiment, environment)
    policy = policy_of(calls_of(resolved, Guardrails(), discovery=()), environment)

    _compare("iam-az-loss.json", dump_json(policy))
    changing = [one for one in policy["Statement"] if one["Sid"].startswith("Change")]
    assert changing
    assert all("*" not in one["Resource"] for one in changing)
