"""A control group by header: what it shows, and when it is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stormproof.model.verdict import Verdict
from stormproof.record.layout import RunDirectory
from stormproof.verdict.assess import assess
from stormproof.verdict.control import ALIKE, CHECKS, DELIVERED, ROUTED, SPARED
from stormproof.verdict.document import to_document
from support.control_runs import CLAIMS, control_run, marked_samples
from support.synthetic import split


def judged(folder: Path, **effects: Any) -> Verdict:
    return assess(control_run(folder / "run", marked_samples(**effects)))


def failed(verdict: Verdict) -> dict[str, str]:
    return {check.name: check.reason for check in verdict.checks if not check.ok}


def test_what_the_fault_leaves_alone_holds(tmp_path: Path) -> None:
    """Both groups go through the same: held, and each check of the control is there and passed."""
    verdict = judged(tmp_path)

    assert (verdict.outcome.value, failed(verdict)) == ("held", {})
    assert {check.name for check in verdict.checks} >= CHECKS


def test_what_only_the_faulted_group_feels_is_refuted(tmp_path: Path) -> None:
    """Failures and slowness of those that the fault reaches; the control held, and the ratio is the effect."""
    verdict = judged(tmp_path, failed=0.3, slower=2.0)
    availability, latency = verdict.findings

    assert (verdict.outcome.value, failed(verdict)) == ("refuted", {})
    assert availability.estimate == pytest.approx(0.7, abs=0.03)
    assert latency.estimate == pytest.approx(2.0, abs=0.15)
    assert availability.cause is not None
    assert availability.cause.n < 0.85 * 20 * 150, "the control's requests are no evidence against the others"


def test_what_both_go_through_is_no_effect(tmp_path: Path) -> None:
    """Everything becomes a third slower: no effect of the fault, and beside the control none is seen."""
    verdict = judged(tmp_path, slower=1.33, control_slower=1.33)

    assert (verdict.outcome.value, failed(verdict)) == ("held", {})
    assert verdict.findings[1].estimate == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("effects", [{"control_slower": 3.0, "slower": 3.0}, {"control_failed": 0.3, "failed": 0.3}])
def test_a_control_that_felt_the_fault_hides_it(tmp_path: Path, effects: dict[str, float]) -> None:
    """The ratio is near 1 and the claim would hold: the run is invalid instead, and says that the control was hit."""
    verdict = judged(tmp_path, **effects)

    assert verdict.outcome.value == "invalid"
    assert list(failed(verdict)) == [SPARED]
    assert failed(verdict)[SPARED].startswith("the control was hit too")
    assert {one.outcome.value for one in verdict.findings} == {"inconclusive"}


def test_groups_that_differ_without_the_fault_prove_nothing(tmp_path: Path) -> None:
    """A control that is faster all along makes the others look ill; that they did before the fault as well is seen."""
    verdict = judged(tmp_path, slower=1.0, control_slower=0.4, control_slower_before=0.4)

    assert verdict.outcome.value == "invalid"
    assert list(failed(verdict)) == [ALIKE]


def test_a_share_that_was_not_delivered_is_invalid(tmp_path: Path) -> None:
    """A tenth of the arrivals instead of a fifth."""
    verdict = judged(tmp_path, share=0.1)

    assert verdict.outcome.value == "invalid"
    assert list(failed(verdict)) == [DELIVERED]


def test_a_group_that_sends_more_on_each_arrival_has_its_share(tmp_path: Path) -> None:
    """What counts is arrivals: tasks of the faulted group may end at their first failure."""
    assert failed(judged(tmp_path, later=2)) == {}


def test_a_header_that_nobody_routes_is_seen(tmp_path: Path) -> None:
    """A twentieth of the control was answered elsewhere."""
    verdict = judged(tmp_path, strayed=0.05)

    assert verdict.outcome.value == "invalid"
    assert list(failed(verdict)) == [ROUTED]


def test_a_load_that_knew_of_no_control_is_invalid(tmp_path: Path) -> None:
    """Whatever the samples say."""
    verdict = assess(control_run(tmp_path / "run", marked_samples(), told=False))

    assert verdict.outcome.value == "invalid"
    assert list(failed(verdict)) == [DELIVERED]


def test_other_claims_are_about_those_that_the_fault_reaches(tmp_path: Path) -> None:
    """A fifth that it spares does not dilute the failures of the rest."""
    claims = ("availability during fault >= 75%", *CLAIMS)
    run = control_run(tmp_path / "run", marked_samples(failed=0.3), hypotheses=claims)
    finding = assess(run).findings[0]

    assert finding.outcome.value == "refuted"
    assert finding.estimate == pytest.approx(0.7, abs=0.03)
    assert finding.n == pytest.approx(0.8 * 20 * 150, rel=0.05)


@pytest.mark.parametrize("effects", [{"failed": 0.3, "slower": 2.0}, {"control_failed": 0.2, "share": 0.1}])
def test_counted_part_by_part_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effects: dict[str, float]
) -> None:
    """Verdict, checks but for latencies, counts and causes; the worst requests by their row among all."""
    claims = ("availability during fault >= 75%", "availability during fault >= 0.98x control")
    run = control_run(tmp_path / "run", marked_samples(**effects), hypotheses=claims)
    whole = to_document(assess(run))
    _in_parts(run, monkeypatch)

    assert to_document(assess(run)) == whole


def _in_parts(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    split(run, 3)
    monkeypatch.setattr("stormproof.record.sample_part.IN_MEMORY_ROWS_MAX", 0)
    monkeypatch.setattr("stormproof.record.sample_part.BATCH_ROWS", 700)
    monkeypatch.setattr("stormproof.verdict.assess.read_samples", None)
