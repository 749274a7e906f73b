"""`control:` by header in a spec: what it takes, and what could not work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from stormproof.errors import HypothesisError, SpecError
from stormproof.model.experiment import Experiment
from stormproof.model.hypothesis import Hypothesis
from stormproof.spec.hypothesis import parse_hypothesis
from stormproof.spec.hypothesis_text import format_hypothesis
from stormproof.spec.loader import load_experiment

HEADER = "x-stormproof-control"
SPEC: dict[str, Any] = {
    "title": "The shop keeps selling",
    "load": {"locustfile": "load.py", "arrivals": "150/s"},
    "timeline": {"steady": "15s", "fault": "20s", "recovery": "15s"},
    "faults": [{"az-loss": {"zone": "a"}}],
    "hypotheses": ["availability during fault >= 0.99x control"],
    "control": {"header": HEADER, "share": "20%"},
}


def load(folder: Path, **changes: object) -> Experiment:
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump({**SPEC, **changes}))
    return load_experiment(file, variables={}, check_files=False)


def test_a_header_and_its_share_are_read(tmp_path: Path) -> None:
    """And the claim says which header it compares by."""
    experiment = load(tmp_path)
    (claim,) = experiment.hypotheses

    assert experiment.control_header is not None
    assert (experiment.control_header.header, experiment.control_header.share) == (HEADER, 0.2)
    assert isinstance(claim, Hypothesis)
    assert (claim.control_header, claim.zone, claim.is_relative) == (HEADER, None, True)
    assert not claim.can_be_decided_early
    assert parse_hypothesis(format_hypothesis(claim), control_header=HEADER, where=claim.where) == claim


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"control": {"header": HEADER}}, "either `zone`, or `header` with `share`", id="no share"),
        pytest.param({"control": {"share": "20%"}}, "got `share`", id="no header"),
        pytest.param({"control": {}}, "got neither", id="neither"),
        pytest.param({"control": {"zone": "c", "header": HEADER, "share": "9%"}}, "`zone` and `header`", id="both"),
        pytest.param({"control": {"header": "Cookie", "share": "20%"}}, "control.header", id="no x-"),
        pytest.param({"control": {"header": HEADER, "share": "60%"}}, "control.share", id="more than half"),
        pytest.param({"load": {"locustfile": "load.py", "users": 9}}, "`load.arrivals`", id="closed model"),
        pytest.param({"hypotheses": ["availability >= 99%"]}, "a claim with `x control`", id="nothing compared"),
    ],
)
def test_what_could_not_work_is_an_error(tmp_path: Path, changes: dict[str, object], expected: str) -> None:
    """Said before anything starts."""
    with pytest.raises(SpecError) as caught:
        load(tmp_path, **changes)

    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p99 latency in zone a during fault <= 2x control", "no zone: the header says who is in the control"),
        ("throughput during fault >= 0.5x control", "availability, error rate or a latency"),
    ],
)
def test_a_claim_that_means_nothing_is_an_error(text: str, expected: str) -> None:
    """The header, not a zone, divides the requests; and what it divides is no metric of the groups."""
    with pytest.raises(HypothesisError) as caught:
        parse_hypothesis(text, control_header=HEADER)

    assert expected in str(caught.value)


def test_a_composite_that_hits_the_control_zone_is_an_error(tmp_path: Path) -> None:
    """The control by zone looks into what a composite is made of."""
    steps = [{"az-loss": {"zone": "a"}}, {"at": "1s", "az-loss": {"zone": "c"}}]
    faults = [{"composite": {"steps": steps}}]
    claims = ["p99 latency in zone b during fault <= 2x control"]

    with pytest.raises(SpecError, match="no fault is aimed at"):
        load(tmp_path, faults=faults, hypotheses=claims, control={"zone": "c"}, limits={"faults_at_once": 2})
