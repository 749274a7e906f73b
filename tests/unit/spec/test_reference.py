"""What is written about the spec, in prose and as a schema, is what the loader does."""

import copy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cogapp import Cog

from stormproof.errors import InputError, UsageError
from stormproof.faults.catalogue import argument_models
from stormproof.spec.environment_file import load_environment
from stormproof.spec.loader import load_experiment
from stormproof.spec.schema import experiment_schema
from stormproof.spec.starter import write_starter

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted(path.parent for path in (ROOT / "experiments").glob("*/experiment.yaml"))


@pytest.mark.parametrize("page", ["hypotheses.md", "spec.md"])
def test_the_generated_parts_of_a_page_are_current(page: str) -> None:
    """`cog -r docs/reference/*.md` would change nothing."""
    path = ROOT / "docs" / "reference" / page
    written = path.read_text()

    assert Cog().process_string(written, fname=page) == written


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    """The schema, itself checked."""
    schema = experiment_schema(argument_models())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_shipped_experiments_load_and_satisfy_the_schema(
    folder: Path, validator: jsonschema.Draft202012Validator
) -> None:
    """Each has its notes, a slug that is its folder's name, and the practice it tests."""
    experiment = load_experiment(folder, catalogue=argument_models(), variables={})

    assert experiment.slug == folder.name
    assert "rel_testing_resiliency_failure_injection_resiliency" in experiment.reliability
    assert "Which property it tests" in (folder / "notes.md").read_text()
    validator.validate(yaml.safe_load((folder / "experiment.yaml").read_text()))


def test_there_are_the_three_experiments_of_this_version() -> None:
    """The parametrised test above must not pass for want of cases."""
    assert {"az-loss", "dependency-timeout", "throttling"} <= {folder.name for folder in SHIPPED}


@pytest.mark.parametrize(
    "change",
    [
        {"titel": "x"},
        {"title": 5},
        {"timeline": {"steady": 15, "fault": "20s", "recovery": "15s"}},
        {"timeline": {"steady": "-15s", "fault": "20s", "recovery": "15s"}},
        {"load": {"locustfile": "load.py"}},
        {"load": {"locustfile": "load.py", "arrivals": "9/s", "users": 4}},
        {"load": {"locustfile": "load.py", "arrivals": "9"}},
        {"faults": []},
        {"faults": [{"az-los": {"zone": "a"}}]},
        {"faults": [{"az-loss": {"zoen": "a"}}]},
        {"faults": [{"az-loss": {"zone": "a"}, "throttling": {"dependency": "cart", "rate": "5/s"}}]},
        {"hypotheses": []},
        {"limits": {"targets": "two"}},
    ],
)
def test_schema_and_loader_refuse_the_same_specs(
    change: dict[str, Any], validator: jsonschema.Draft202012Validator, tmp_path: Path
) -> None:
    """An editor warns where the loader would refuse."""
    spec = yaml.safe_load((ROOT / "experiments" / "az-loss" / "experiment.yaml").read_text())
    broken = {**copy.deepcopy(spec), **change}
    (tmp_path / "load.py").touch()
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(broken))

    assert list(validator.iter_errors(broken))
    with pytest.raises(InputError):
        load_experiment(tmp_path, catalogue=argument_models(), variables={})


def test_init_writes_an_experiment_that_loads(tmp_path: Path) -> None:
    """The first own experiment is valid as it comes."""
    written = write_starter(tmp_path)

    folder = tmp_path / "experiments" / "first"
    assert load_experiment(folder, catalogue=argument_models(), variables={}).slug == "first"
    assert load_environment(tmp_path / "experiments" / "environments", "local").variant == "hardened"
    compile((folder / "load.py").read_text(), "load.py", "exec")
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(written)


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    """Neither an experiment nor an environment that is there."""
    environment = tmp_path / "experiments" / "environments" / "local.yaml"
    environment.parent.mkdir(parents=True)
    environment.write_text("mine")
    write_starter(tmp_path)
    spec = tmp_path / "experiments" / "first" / "experiment.yaml"
    spec.write_text("mine")

    with pytest.raises(UsageError, match="there already"):
        write_starter(tmp_path)
    assert (environment.read_text(), spec.read_text()) == ("mine", "mine")


def test_the_starter_drives_the_shop_as_the_shipped_experiment_does() -> None:
    """One locustfile, not two that drift apart."""
    template = ROOT / "src" / "stormproof" / "spec" / "template" / "load.py.template"

    assert template.read_text() == (ROOT / "experiments" / "az-loss" / "load.py").read_text()
