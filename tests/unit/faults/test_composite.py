"""Several faults as one: bound part by part, in order, with what each needs checked where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import FaultError, InputError, SpecError
from stormproof.faults import catalogue, composite
from stormproof.model.experiment import FaultRequest
from stormproof.model.plan import ResolvedFault
from stormproof.plan.compile import compile_experiment
from stormproof.plan.guardrails import check_guardrails
from stormproof.plan.resolve import kinds_of, resolve_faults
from stormproof.spec.loader import load_experiment
from support.planning import make_environment, make_experiment

ZONE = {"az-loss": {"zone": "a"}}
SLOW = {"at": "3s", "dependency-timeout": {"dependency": "recommendations", "delay": "3s"}}


def resolved(*steps: dict[str, Any]) -> ResolvedFault:
    return catalogue.resolve("composite", {"steps": list(steps)}, make_environment(), fault_id="1-composite")


def test_each_part_is_a_fault_of_its_own() -> None:
    """An id, targets, an effect and an offset each; the whole touches what the parts touch."""
    whole = resolved(ZONE, SLOW)

    assert [part.fault_id for part in whole.atoms] == ["1-composite.1-az-loss", "1-composite.2-dependency-timeout"]
    assert [part.at_s for part in whole.atoms] == [0.0, 3.0]
    assert [part.effect["kind"] for part in whole.atoms] == ["zone-silent", "arrivals-delayed"]
    assert set(whole.targets) == {name for part in whole.atoms for name in part.targets}
    assert kinds_of((whole,)) == ["az-loss", "dependency-timeout"]


def test_the_undo_is_told_backwards() -> None:
    """What was broken last is mended first."""
    whole = resolved(ZONE, SLOW)

    assert whole.undo == f"{whole.parts[1].undo}; then {whole.parts[0].undo}"


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([{"at": "3s", **ZONE}, {**SLOW, "at": "1s"}], "order of `at`"),
        ([ZONE, {"composite": {"steps": [ZONE, SLOW]}}], "no composite"),
        ([ZONE, {**SLOW, **ZONE}], "one known fault"),
        ([ZONE, {"at": "3s"}], "one known fault"),
        ([ZONE, {"az-loss": {"zone": "z"}}], "a, b, c"),
        ([ZONE, {"az-loss": {"zon": "a"}}], "az-loss.zone"),
    ],
    ids=["out of order", "nested", "two in a step", "none in a step", "unknown zone", "unknown argument"],
)
def test_what_cannot_be_a_composite(steps: list[dict[str, Any]], says: str) -> None:
    """Refused while it is planned, with what would do."""
    with pytest.raises(InputError, match=r"composite|az-loss") as caught:
        resolved(*steps)

    assert says in str(caught.value)


def test_limits_count_the_parts() -> None:
    """One entry under `faults`, and yet two faults at once and three things touched."""
    request = FaultRequest(kind="composite", arguments={"steps": [ZONE, SLOW]}, where="e.yaml:9")

    with pytest.raises(InputError, match=r"limits\.faults_at_once: expected at most 1 .* got 2"):
        resolve_faults(make_experiment(faults=(request,), targets=3), make_environment())
    with pytest.raises(InputError, match=r"limits\.targets: expected at most 2 .* got 3"):
        resolve_faults(make_experiment(faults=(request,), targets=2), make_environment())


def test_guardrails_are_asked_about_the_parts() -> None:
    """A kind that is forbidden is forbidden inside a composite as well."""
    import datetime as dt

    from stormproof.errors import GuardrailError
    from stormproof.model.guardrails import Guardrails

    now = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
    guardrails = Guardrails(faults=("composite", "az-loss"))
    with pytest.raises(GuardrailError, match="dependency-timeout"):
        check_guardrails(guardrails, make_experiment(), (resolved(ZONE, SLOW),), make_environment(), now=now)


def test_the_compiled_plan_names_the_parts() -> None:
    """One inject and one rollback, and every part in the block that people and reports read."""
    compiled = compile_experiment(make_experiment(), [resolved(ZONE, SLOW)], noop=False, seed=7, base_url="http://x")

    assert [one["name"] for one in compiled["rollbacks"]] == ["undo-1-composite"]
    (told,) = compiled["extensions"][0]["faults"]
    assert [(part["fault_id"], part["at_s"]) for part in told["parts"]] == [
        ("1-composite.1-az-loss", 0.0), ("1-composite.2-dependency-timeout", 3.0),
    ]  # fmt: skip


def test_parts_that_need_different_endpoints_cannot_be_one() -> None:
    """The configuration is one for all of a run; a silent last-wins would send a part elsewhere."""
    import dataclasses

    one, other = resolved(ZONE, SLOW).parts
    other = dataclasses.replace(other, configuration={**one.configuration, "aws_region": "elsewhere"})
    with pytest.raises(FaultError, match="aws_region"):
        composite._merged([one, other])


def test_as_a_whole_it_is_never_injected() -> None:
    """Without an entry in the ledger for each part nothing may be broken."""
    whole = resolved(ZONE, SLOW)
    with pytest.raises(FaultError, match="part by part"):
        catalogue.bind("composite", whole.target, whole.configuration).act()


SPEC = """\
title: t
load: {locustfile: load.py, arrivals: 1/s}
timeline: {steady: 1s, fault: 1s, recovery: 1s}
limits: {faults_at_once: 2}
hypotheses: [availability >= 99%]
faults:
  - composite:
      steps:
        - az-loss: {zone: a}
        - STEP
"""


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("az-los: {zone: a}", "did you mean `az-loss`"),
        ("az-loss: {zon: a}", "did you mean `zone`"),
        ("composite: {steps: []}", "a fault that is no composite"),
        ("{at: 3s}", "one fault a step"),
        ("{at: 3, az-loss: {zone: b}}", "got 3 without a unit"),
        ("{az-loss: {zone: b}, throttling: {dependency: cart, rate: 5/s}}", "one fault a step"),
        ("az-loss: b", "a mapping of arguments"),
    ],
)
def test_a_slip_in_a_step_is_an_error_with_its_line(tmp_path: Path, step: str, says: str) -> None:
    """As precise as under `faults:` itself."""
    (tmp_path / "load.py").touch()
    (tmp_path / "experiment.yaml").write_text(SPEC.replace("STEP", step))

    with pytest.raises(SpecError, match=r"experiment\.yaml:10") as caught:
        load_experiment(tmp_path, catalogue=catalogue.argument_models())

    assert says in str(caught.value)
    assert "steps.1" in str(caught.value)


@pytest.mark.parametrize("steps", ["3", "[az-loss]", "[{at: 3s}]"])
def test_steps_that_are_none_are_an_error_for_whoever_only_reads(tmp_path: Path, steps: str) -> None:
    """Also without a catalogue, as `analyse` reads the spec of a run: never a traceback."""
    head = SPEC.partition("      steps:")[0]
    (tmp_path / "experiment.yaml").write_text(f"{head}      steps: {steps}\n")

    with pytest.raises(SpecError, match=r"composite\.steps"):
        load_experiment(tmp_path, check_files=False)


def test_the_offsets_count_for_the_limit(tmp_path: Path) -> None:
    """A scenario that cannot end in time is refused before it begins."""
    (tmp_path / "load.py").touch()
    text = SPEC.replace("STEP", "{at: 20s, az-loss: {zone: b}}").replace("limits: {", "limits: {duration: 20s, ")
    (tmp_path / "experiment.yaml").write_text(text)

    with pytest.raises(SpecError, match=r"limits\.duration.* 25s"):
        load_experiment(tmp_path, catalogue=catalogue.argument_models())


def test_the_spec_itself_counts_the_steps(tmp_path: Path) -> None:
    """`validate` says what `run` would refuse."""
    (tmp_path / "load.py").touch()
    text = SPEC.replace("STEP", "{at: 1s, az-loss: {zone: b}}").replace("faults_at_once: 2", "faults_at_once: 1")
    (tmp_path / "experiment.yaml").write_text(text)

    with pytest.raises(SpecError, match=r"faults_at_once: 2"):
        load_experiment(tmp_path, catalogue=catalogue.argument_models())
