"""An experiment file becomes an `Experiment`, or one error with file, line, path, expected and got."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from stormproof.errors import InputError, SpecError
from stormproof.model.experiment import ArrivalProcess
from stormproof.spec.loader import dump_document, load_document, load_experiment, reliability_choices, slug_of
from stormproof.spec.quantity import Duration

SPEC = """\
title: The shop keeps selling
why: It must.
reliability: [rel_fault_isolation_multiaz_region_system]
load:
  locustfile: load.py
  arrivals: 150/s
timeline: {steady: 15s, fault: 20s, recovery: 15s}
faults:
  - az-loss: {zone: a}
hypotheses:
  - availability during fault >= 99.5%
  - time to recover <= 10s
stop_when:
  - availability < 50% for 5s
limits: {duration: 3m, targets: 2}
"""


class AzLossArguments(BaseModel):
    """Stands for the catalogue's own model."""

    model_config = ConfigDict(extra="forbid")

    zone: str


class DelayArguments(BaseModel):
    """A fault with a quantity."""

    model_config = ConfigDict(extra="forbid")

    dependency: str
    delay: Duration = Field(default=3.0, gt=0)


CATALOGUE: dict[str, type[BaseModel]] = {"az-loss": AzLossArguments, "dependency-timeout": DelayArguments}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An experiment's folder, whole."""
    folder = tmp_path / "az-loss"
    folder.mkdir()
    (folder / "load.py").touch()
    (folder / "experiment.yaml").write_text(SPEC)
    return folder


def _refusal(folder: Path, old: str, new: str) -> str:
    assert old in SPEC
    (folder / "experiment.yaml").write_text(SPEC.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_experiment(folder, catalogue=CATALOGUE, variables={})
    return str(caught.value)


def test_every_key_reaches_the_model_in_its_unit(folder: Path) -> None:
    """Seconds, shares and rates; the locustfile absolute; the fault's arguments as written."""
    experiment = load_experiment(folder, catalogue=CATALOGUE)

    assert (experiment.slug, experiment.title, experiment.why) == ("az-loss", "The shop keeps selling", "It must.")
    assert experiment.load.arrivals_per_s == 150.0
    assert experiment.load.users is None
    assert experiment.load.process is ArrivalProcess.UNIFORM
    assert Path(experiment.load.locustfile) == (folder / "load.py").resolve()
    assert experiment.timeline.total_s == 50.0
    assert experiment.limits.duration_s == 180.0
    fault = experiment.faults[0]
    assert (fault.kind, fault.arguments) == ("az-loss", {"zone": "a"})
    assert fault.where.endswith("experiment.yaml:9")
    assert [hypothesis.where.rsplit(":", 1)[1] for hypothesis in experiment.hypotheses] == ["11", "12"]
    assert experiment.stop_when[0].for_s == 5.0


def test_a_folder_and_its_file_are_the_same_experiment(folder: Path) -> None:
    """SPEC may be either."""
    assert load_experiment(folder) == load_experiment(folder / "experiment.yaml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("timeline:", "timelin:", ["experiment.yaml:7: timelin: ", "did you mean `timeline`"]),
        ("  arrivals", "  arivals", ["experiment.yaml:6: load.arivals: ", "did you mean `arrivals`"]),
        ("title: The shop keeps selling", "guardrails: {}", [":1: guardrails: ", "belongs to the environment's file"]),
        ("title: The shop keeps selling\n", "", [":1: title: expected the key `title`, got none"]),
        ("fault: 20s", "fault: -20s", [":7: timeline.fault: ", "got -20s", "cannot be negative"]),
        ("fault: 20s", "fault: 20", [":7: timeline.fault: ", "say the unit: 15s"]),
        ("fault: 20s", "fault: 0s", [":7: timeline.fault: expected a duration above 0"]),
        ("fault: 20s", "fault: 4m", [":15: limits.duration: ", "within limits.duration (3m)", "4m32s"]),
        ("limits: {duration: 3m, targets: 2}", "limits: {targets: 2000}", [":15: limits.targets: ", "got 2000"]),
        ("150/s", "0/s", [":6: load.arrivals: expected a rate above 0"]),
        ("150/s", "lots", [":6: load.arrivals: expected a rate like"]),
        ("arrivals: 150/s", "users: 1.5", [":6: load.users: expected a whole number, got 1.5"]),
        ("arrivals: 150/s", "users: 0", [":6: load.users: ", "got 0"]),
        ("arrivals: 150/s", "users: yes", [":6: load.users: expected a whole number, got 'yes'"]),
        ("arrivals: 150/s", "arrivals: 150/s\n  users: 4", ["load.users: expected either arrivals", "got both"]),
        ("  arrivals: 150/s\n", "", [":4: load: expected arrivals", "got neither"]),
        ("arrivals: 150/s", "arrivals: 9/s\n  delivered: 0%", [":7: load.delivered: expected a share above 0%"]),
        ("arrivals: 150/s", "users: 4\n  process: poisson", [":7: load.process: expected no process"]),
        ("arrivals: 150/s", "arrivals: 9/s\n  process: bursty", [":7: load.process: ", "'uniform' or 'poisson'"]),
        ("load.py", "laod.py", [":5: load.locustfile: expected a file beside the spec", "laod.py"]),
        ("az-loss: {zone: a}", "az-los: {zone: a}", [":9: faults.0.az-los: ", "did you mean `az-loss`"]),
        ("az-loss: {zone: a}", "az-loss: {zoen: a}", [":9: faults.0.az-loss.zoen: ", "did you mean `zone`"]),
        ("az-loss: {zone: a}", "az-loss: {}", [":9: faults.0.az-loss.zone: expected the key `zone`"]),
        ("az-loss: {zone: a}", "az-loss: {zone: 1}", [":9: faults.0.az-loss.zone: expected text, got 1"]),
        ("az-loss: {zone: a}", "az-loss: a", [":9: faults.0.az-loss: expected a mapping of arguments"]),
        ("az-loss: {zone: a}", "{az-loss: {zone: a}, b: {}}", [":9: faults.0: expected one fault", "2 keys"]),
        ("az-loss: {zone: a}", "dependency-timeout: {dependency: r, delay: 0s}",
         ["delay: expected greater than 0, got '0s'"]),
        ("faults:\n  - az-loss: {zone: a}", "faults: []", [":8: faults: ", "at least 1 item"]),
        ("faults:\n  - az-loss: {zone: a}", "faults: {az-loss: {zone: a}}",
         [":8: faults: expected a list, got a mapping"]),
        ("  - az-loss: {zone: a}", "  - az-loss", [":9: faults.0: expected a mapping"]),
        ("- availability during fault >= 99.5%", "- availabilty >= 99.5%", [":11: ", "did you mean `availability`"]),
        ("- time to recover <= 10s", "- availability during fault >= 99.5%", [":12: ", "each claim once"]),
        ("- time to recover <= 10s", "- 5", [":12: hypotheses.1: expected text, got 5"]),
        ("< 50% for 5s", "< 50%", [":14: ", "expected `for`"]),
        ("rel_fault_isolation_multiaz_region_system", "rel_fault_isolation_multiaz",
         [":3: reliability.0: ", "did you mean"]),
        ("The shop keeps selling", "${title}", [":1: title: ", "`${title}`, which has none", "STORMPROOF_VAR_TITLE"]),
        ("zone: a", "zone: '${oops'", [":9: faults.0.az-loss.zone: ", "`${oops`"]),
        ("why: It must.", "schema_version: 2", [":2: schema_version: "]),
    ],
)  # fmt: skip
def test_a_broken_spec_is_one_error_with_its_line(folder: Path, old: str, new: str, says: list[str]) -> None:
    """File, line, path, what was expected, what came; and the nearest known word."""
    message = _refusal(folder, old, new)

    assert "experiment.yaml:" in message
    for part in says:
        assert part in message


def test_no_hypotheses_is_an_error(folder: Path) -> None:
    """An experiment without a claim is none."""
    claims = "hypotheses:\n  - availability during fault >= 99.5%\n  - time to recover <= 10s"

    assert ":10: hypotheses: " in _refusal(folder, claims, "hypotheses: []")


def test_a_timeline_beyond_the_default_limit_is_an_error(folder: Path) -> None:
    """A spec without limits has them all the same."""
    message = _refusal(folder, "20s, recovery: 15s}", "20m, recovery: 15s}\n#")

    assert "within limits.duration" in message


def test_several_errors_are_counted(folder: Path) -> None:
    """The first is told, the others are announced."""
    assert "(1 more after this one)" in _refusal(folder, "steady: 15s, fault: 20s", "steady: 15, fault: 20")


def test_an_experiment_that_is_not_there_names_the_nearest(folder: Path) -> None:
    """A slip in the name of the folder."""
    with pytest.raises(SpecError, match="did you mean `az-loss`"):
        load_experiment(folder.parent / "az-lost")


def test_without_a_catalogue_faults_are_taken_as_they_are(folder: Path) -> None:
    """Analysis needs the hypotheses of a run whose faults it does not know."""
    (folder / "experiment.yaml").write_text(SPEC.replace("az-loss: {zone: a}", "meteor: {size: 5}"))

    assert load_experiment(folder).faults[0].kind == "meteor"


def test_a_locustfile_that_is_no_python_is_found_before_anything_starts(folder: Path) -> None:
    """The error names the spec's line and the locustfile's; nothing of the file is run."""
    (folder / "load.py").write_text("raise SystemExit('was run')\nthis is not python(\n")

    with pytest.raises(SpecError, match=r"experiment\.yaml:5: load\.locustfile: expected a Python file, .*line 2"):
        load_experiment(folder)


def test_the_copy_in_a_run_directory_needs_no_locustfile(folder: Path, tmp_path: Path) -> None:
    """spec.yaml is what was asked after --set, and reads back to the same claims anywhere."""
    document = load_document(folder, overrides={"timeline.fault": "8s"}, variables={})
    copy = tmp_path / "spec.yaml"
    copy.write_text(dump_document(document))

    again = load_experiment(copy, check_files=False)

    assert again.timeline.fault_s == 8.0
    assert [one.text for one in again.hypotheses] == [one.text for one in load_experiment(folder).hypotheses]


def test_every_reliability_choice_that_ships_names_its_practice() -> None:
    """The data file is whole: 65 choices with practice and title."""
    choices = reliability_choices()

    assert len(choices) == 65
    assert all(choice["practice"].startswith("REL") and choice["title"] for choice in choices.values())


@pytest.mark.parametrize(
    ("path", "slug"),
    [("x/az-loss/experiment.yaml", "az-loss"), ("x/My Test.yaml", "my-test"), ("x/../experiment.yaml", None)],
)
def test_the_slug_is_safe_in_a_path(path: str, slug: str | None) -> None:
    """Small letters, digits and hyphens, from the folder's or the file's name."""
    made = slug_of(Path(path))

    assert made == slug if slug else made.replace("-", "").isalnum()
