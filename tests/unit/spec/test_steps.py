"""Steps: several faults one after the other, each stretch with a name that claims can use."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from stormproof.errors import HypothesisError, SpecError
from stormproof.model.hypothesis import Phase
from stormproof.spec.hypothesis import parse_hypothesis
from stormproof.spec.hypothesis_text import format_hypothesis
from stormproof.spec.loader import load_experiment
from stormproof.spec.schema import experiment_schema

SPEC = """\
title: One thing after the other
load: {locustfile: load.py, arrivals: 50/s}
timeline: {steady: 5s, recovery: 4s}
steps:
  - name: first
    duration: 6s
    faults:
      - one: {}
  - name: both
    duration: 8s
    faults:
      - one: {}
      - other: {}
hypotheses:
  - availability during first >= 90%
  - availability during fault >= 50%
limits: {faults_at_once: 2}
"""


class Nothing(BaseModel):
    """A fault without arguments."""


CATALOGUE: dict[str, type[BaseModel]] = {"one": Nothing, "other": Nothing}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """The spec's file, its locustfile beside it."""
    (tmp_path / "load.py").touch()
    file = tmp_path / "stepped.yaml"
    file.write_text(SPEC)
    return file


def changed(spec: Path, before: str, after: str) -> Path:
    assert before in SPEC
    spec.write_text(SPEC.replace(before, after))
    return spec


def test_steps_are_read_in_their_order(spec: Path) -> None:
    """The fault phase is as long as the steps; every fault has an id of its own, by its place in the whole."""
    experiment = load_experiment(spec, catalogue=CATALOGUE)

    assert [("first", 6.0), ("both", 8.0)] == [(step.name, step.duration_s) for step in experiment.steps]
    assert 14.0 == experiment.timeline.fault_s
    assert {"first": ("1-one",), "both": ("2-one", "3-other")} == experiment.step_fault_ids
    assert ["one", "one", "other"] == [fault.kind for fault in experiment.faults]


def test_a_claim_can_be_about_a_step(spec: Path) -> None:
    """Its window is the step's; its phase is the fault, on whose checks it rests."""
    claim, whole = load_experiment(spec, catalogue=CATALOGUE).hypotheses

    assert ("first", Phase.FAULT, "fault") == (claim.window, claim.phase, whole.window)
    assert "availability during first >= 90%" == format_hypothesis(claim)


@pytest.mark.parametrize(
    ("before", "after", "where", "words"),
    [
        ("name: both", "name: first", ":9", "expected a name of its own, got `first`, again"),
        ("name: both", "name: fault", ":9", "expected a name of its own, got `fault`, a phase"),
        ("name: both", "name: Both", ":9", "expected"),
        ("recovery: 4s}", "recovery: 4s, fault: 3s}", ":3", "expected no `fault` beside `steps`"),
        ("hypotheses:", "faults:\n  - one: {}\nhypotheses:", ":14", "expected no `faults` beside `steps`"),
        ("    duration: 6s\n", "", ":5", "expected the key `duration`"),
        ("      - other: {}", "      - others: {}", ":13", "did you mean `other`?"),
        ("faults_at_once: 2", "faults_at_once: 1", ":17", "at most 1 in force together"),
        ("faults_at_once: 2", "faults_at_once: 2, duration: 20s", ":17", "25s of warm-up and phases"),
        ("    faults:\n      - one: {}\n  - name: both", "    faults: []\n  - name: both", ":7", "faults"),
        ("steps:", "step:", ":4", "did you mean `steps`?"),
    ],
)
def test_a_slip_is_refused_where_it_stands(spec: Path, before: str, after: str, where: str, words: str) -> None:
    """File, line, expected, got."""
    with pytest.raises(SpecError) as caught:
        load_experiment(changed(spec, before, after), catalogue=CATALOGUE)

    assert (True, True) == (where in str(caught.value), words in str(caught.value)), caught.value


@pytest.mark.parametrize("lost", ["steps", "faults", "fault"])
def test_without_steps_there_are_faults_and_their_phase(spec: Path, lost: str) -> None:
    """One way or the other: neither is an error that names both."""
    document = yaml.safe_load(SPEC)
    del document["steps"]
    document["hypotheses"] = document["hypotheses"][1:]
    if lost != "steps":
        document["faults" if lost == "fault" else "timeline"] = [{"one": {}}] if lost == "fault" else {
            **document["timeline"], "fault": "3s",
        }  # fmt: skip
    spec.write_text(yaml.safe_dump(document))
    with pytest.raises(SpecError, match="expected the key `fault") as caught:
        load_experiment(spec, catalogue=CATALOGUE)

    assert ("`steps`" in str(caught.value)) is (lost != "fault")


def test_a_step_that_is_not_there_gets_the_nearest_that_is() -> None:
    """A phase or a step; without steps, a phase."""
    with pytest.raises(HypothesisError, match=r"a phase or a step: steady, fault, recovery, first.*\n.*\n.*`first`"):
        parse_hypothesis("availability during firts >= 90%", steps=["first"])
    with pytest.raises(HypothesisError, match="expected a phase: steady, fault, recovery"):
        parse_hypothesis("availability during first >= 90%")


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"faults": [{"one": {}}]}, False),
        ({"steps": None}, False),
        ({"timeline": {"steady": "5s", "fault": "3s", "recovery": "4s"}}, False),
        ({"steps": [{"name": "first", "faults": [{"one": {}}]}]}, False),
        ({"steps": [{"name": "first", "duration": "6s", "faults": [{"unknown": {}}]}]}, False),
    ],
)
def test_the_schema_knows_steps(change: dict[str, object], valid: bool) -> None:
    """Editors are told the same as the loader: one way or the other, and what a step has."""
    document = {key: value for key, value in {**yaml.safe_load(SPEC), **change}.items() if value is not None}
    schema = json.loads(json.dumps(experiment_schema(CATALOGUE)))

    assert valid is jsonschema.Draft202012Validator(schema).is_valid(document)
