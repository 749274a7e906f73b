"""Specs whose fault may end early, that stop on a claim, or that have a control group."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stormproof.errors import SpecError, StormproofError
from stormproof.model.experiment import Experiment
from stormproof.model.hypothesis import ClaimStopCondition
from stormproof.plan.compile import compile_experiment
from stormproof.plan.describe import describe, describe_text
from stormproof.spec.hypothesis import parse_stop_condition
from stormproof.spec.hypothesis_text import format_stop_condition
from stormproof.spec.loader import load_experiment
from support.planning import make_environment, make_fault

UNTIL = {"at_most": "60s", "until": "decided"}
SPEC = {
    "title": "The shop keeps selling",
    "load": {"locustfile": "load.py", "arrivals": "150/s"},
    "timeline": {"steady": "15s", "fault": UNTIL, "recovery": "15s"},
    "faults": [{"az-loss": {"zone": "a"}}],
    "hypotheses": ["availability during fault >= 99.5%", "time to recover <= 10s"],
}


def load(folder: Path, overrides: dict[str, str] | None = None, **changes: object) -> Experiment:
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump({**SPEC, **changes}))
    return load_experiment(file, overrides=overrides, variables={}, check_files=False)


def test_a_fault_may_be_said_by_its_longest_time(tmp_path: Path) -> None:
    """Its length is `at_most`, and nothing ends it in its first five seconds unless the spec says another time."""
    default = load(tmp_path).timeline
    longer = load(tmp_path, {"timeline.fault.at_least": "20s"}).timeline

    assert (default.fault_s, default.until_decided, default.fault_min_s) == (60.0, True, 5.0)
    assert longer.fault_min_s == 20.0


def test_set_changes_one_way_into_the_other(tmp_path: Path) -> None:
    """A spec that says one duration can be ended early in passing, and the other way round."""
    plain = {**SPEC["timeline"], "fault": "20s"}  # type: ignore[dict-item]
    early = load(tmp_path, {"timeline.fault.at_most": "8s", "timeline.fault.until": "decided"}, timeline=plain)
    fixed = load(tmp_path, {"timeline.fault": "8s"})

    assert (early.timeline.fault_s, early.timeline.until_decided) == (8.0, True)
    assert (fixed.timeline.fault_s, fixed.timeline.until_decided) == (8.0, False)


@pytest.mark.parametrize(
    ("changes", "overrides", "expected"),
    [
        pytest.param({}, {"timeline.fault.until": "bored"}, "decided", id="another word"),
        pytest.param({}, {"timeline.fault.utnil": "decided"}, "did you mean `until`?", id="misspelt"),
        pytest.param({}, {"timeline.fault.at_most": "3s"}, "no more than `at_most`", id="shorter than its least"),
        pytest.param({}, {"timeline.fault.at_least": "1s"}, "at least 5s", id="too short a least"),
        pytest.param({"load": {"locustfile": "l.py", "users": 9}}, {}, "`load.arrivals`", id="closed model"),
        pytest.param({"hypotheses": ["availability during recovery >= 9%"]}, {}, "nothing to decide", id="no claim"),
        pytest.param({"control": {"zone": "c"}}, {}, "`x control`", id="control of nothing"),
        pytest.param(
            {"control": {"zone": "a"}, "hypotheses": ["p99 latency in zone b during fault <= 2x control"]},
            {},
            "no fault is aimed at",
            id="control that is hit",
        ),
    ],
)
def test_what_could_not_work_is_an_error(
    tmp_path: Path, changes: dict[str, object], overrides: dict[str, str], expected: str
) -> None:
    """Said before anything starts, with the line and what was expected."""
    with pytest.raises(SpecError) as caught:
        load(tmp_path, overrides, **changes)

    assert expected in str(caught.value)


def test_the_compiled_hold_ends_at_the_event(tmp_path: Path) -> None:
    """The player waits for `decided`, `at_most` at the longest, which is what plain `chaos run` does."""
    compiled = compile_experiment(load(tmp_path), [make_fault()], noop=False, seed=1, base_url="http://127.0.0.1:1")
    holds = [one["provider"]["arguments"] for one in compiled["method"] if one["name"].startswith("hold-")]

    assert holds == [
        {"phase": "steady", "seconds": 15.0},
        {"phase": "fault", "seconds": 60.0, "until": "decided"},
    ]
    (extension,) = compiled["extensions"]
    assert extension["timeline"]["fault_until"] == "decided"
    assert "as long as it may" in extension["note"]


def test_the_plan_says_when_the_fault_will_end(tmp_path: Path) -> None:
    """And which claims keep it in force until `at_most`."""
    late = load(tmp_path, hypotheses=["availability during fault >= 99%", "throughput during fault >= 140/s"])
    plans = [describe(one, (make_fault(),), make_environment()) for one in (load(tmp_path), late)]
    said = [next(line for line in describe_text(plan).splitlines() if "until" in line) for plan in plans]

    assert plans[0]["fault_ends"]["not_before_its_end"] == []
    assert said[0] == "  until     decided: the fault lasts 5s to 1m, and ends once every claim about it is decided"
    assert said[1].endswith("throughput during fault >= 140/s")


def test_a_stop_condition_may_state_a_claim() -> None:
    """It reads back; what is not known before the end of the phase is refused."""
    one = parse_stop_condition("availability of /cart during fault >= 99% refuted")

    assert isinstance(one, ClaimStopCondition)
    assert format_stop_condition(one) == one.text
    for text in ("time to recover <= 3s refuted", "p99 latency during fault <= 2x steady refuted", "refuted"):
        with pytest.raises(StormproofError):
            parse_stop_condition(text)
