"""The pipelines in docs/examples: they parse, say what is there, and ask AWS for what AWS takes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.session import get_session
from botocore.validate import validate_parameters

from repo.files import ROOT
from stormproof.cli.suiting import suite
from stormproof.suite.selection import specs_in
from stormproof.suite.settings import check_names, load_suite_settings, settings_of

EXAMPLES = ROOT / "docs" / "examples"
# What stands for a CloudFormation function: a value of the right type, whatever it resolves to.
STANDS_FOR = {"!Ref": "reference", "!GetAtt": "arn:aws:iam::123456789012:role/x", "!Sub": "text"}


class _CloudFormation(yaml.SafeLoader):
    """YAML with the short functions of CloudFormation; the text of !Sub is kept."""


for tag, value in STANDS_FOR.items():
    _CloudFormation.add_constructor(
        tag, lambda _loader, node, value=value, tag=tag: node.value if tag == "!Sub" else value
    )


def texts() -> list[Path]:
    """Every example."""
    return sorted(path for path in EXAMPLES.iterdir() if path.is_file())


def resources() -> dict[str, dict[str, Any]]:
    """The resources of the template, by logical id."""
    found: dict[str, dict[str, Any]] = yaml.load((EXAMPLES / "codebuild.yaml").read_text(), _CloudFormation)[
        "Resources"
    ]
    return found


def lower(value: Any) -> Any:
    """CloudFormation's names as CodeBuild's own API spells them."""
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: lower(item) for name, item in value.items()}
    return [lower(one) for one in value] if isinstance(value, list) else value


def check_call(service: str, operation: str, parameters: dict[str, Any]) -> None:
    """Raises what botocore says when *parameters* are not what the operation takes."""
    shape = get_session().get_service_model(service).operation_model(operation).input_shape
    validate_parameters(parameters, shape)


@pytest.mark.parametrize("path", [one for one in texts() if one.suffix in {".yml", ".yaml"}], ids=lambda one: one.name)
def test_it_is_yaml(path: Path) -> None:
    """It parses, and is a mapping."""
    assert isinstance(yaml.load(path.read_text(), _CloudFormation), dict)


def test_every_pipeline_runs_the_night_and_keeps_its_reports() -> None:
    """`make nightly`, with options that `suite` has; pages and JUnit are kept whatever it came to."""
    options = {match for text in (suite.__doc__ or "", _help()) for match in re.findall(r"--[a-z-]+", text)}
    for path in texts():
        text = path.read_text()
        used = re.findall(r'make (?:--\S+ )?nightly ARGS="([^"]*)"', text)
        assert used or path.name == "codebuild.yaml", path.name
        for arguments in used:
            assert set(re.findall(r"--[a-z-]+", arguments)) <= options, path.name
    assert "if: always()" in (EXAMPLES / "github-actions.yml").read_text()
    assert "when: always" in (EXAMPLES / "gitlab-ci.yml").read_text()
    assert "finally:" in (EXAMPLES / "buildspec.yml").read_text()


def _help() -> str:
    return (ROOT / "docs" / "reference" / "cli.md").read_text().split("## stormproof suite\n")[1].split("\n## ")[0]


def test_the_template_asks_for_what_aws_takes() -> None:
    """Project, schedule and the call it makes, held against botocore's models of both services."""
    found = resources()
    project = lower(found["Project"]["Properties"])
    project["source"]["buildspec"] = project["source"].pop("buildSpec")
    schedule = found["Nightly"]["Properties"]
    call = yaml.safe_load(schedule["Target"]["Input"].replace("${Project}", "stormproof-nightly"))

    check_call("codebuild", "CreateProject", project)
    check_call("scheduler", "CreateSchedule", schedule)
    check_call("codebuild", "StartBuild", lower(call))
    assert (ROOT / project["source"]["buildspec"]).is_file()
    assert schedule["Target"]["Arn"].endswith(":aws-sdk:codebuild:startBuild")
    assert 1 == project["concurrentBuildLimit"]


def test_a_wrong_template_is_found() -> None:
    """The check above can say no."""
    with pytest.raises(Exception, match="ConcurrentBuilds"):
        check_call("codebuild", "CreateProject", {"ConcurrentBuilds": 1})


def test_the_script_for_cron_parses() -> None:
    """It is valid bash, executable, and stops at the first failure."""
    script = EXAMPLES / "nightly-cron.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)

    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in script.read_text()


def test_the_settings_of_the_night_name_what_is_there() -> None:
    """experiments/nightly.yaml: every experiment that it names exists, and gets its own overrides."""
    settings = load_suite_settings(ROOT / "experiments" / "nightly.yaml")
    slugs = sorted(specs_in(ROOT / "experiments"))
    check_names(settings, slugs)

    assert "timeline.fault=9s" in settings_of("az-loss", settings, [], slugs)
    assert not [one for one in settings_of("health-checks", settings, [], slugs) if one.startswith("timeline.fault")]
    assert 900.0 == settings.budget.wall_time
