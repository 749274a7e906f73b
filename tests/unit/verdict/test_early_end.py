"""A run that what it measures may end: where its claims stand meanwhile, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stormproof.analysis.sequence import ANY_TIME
from stormproof.model.verdict import Outcome, Verdict
from stormproof.record.layout import RunDirectory
from stormproof.spec.hypothesis import parse_hypothesis, parse_stop_condition
from stormproof.verdict.assess import assess
from stormproof.verdict.so_far import so_far, standings, stop_reason
from support.synthetic import START_S, Stretch, SyntheticRun

HELD, REFUTED, INCONCLUSIVE = Outcome.HELD, Outcome.REFUTED, Outcome.INCONCLUSIVE
UNTIL_DECIDED = {"at_most": "20s", "until": "decided"}
SURVIVED = ("availability during fault >= 99%", "p99 latency during fault <= 300ms", "time to recover <= 10s")
WEAK = (
    Stretch(start_s=0, end_s=17),
    Stretch(start_s=17, end_s=37, zones=("b", "c"), failed_share=0.33, failed_latency_ms=1.0),
    Stretch(start_s=37, end_s=52),
)


def outcomes(run: RunDirectory, texts: Sequence[str], *, fault_s: float) -> list[Outcome]:
    """Where the claims stand *fault_s* after the onset."""
    seen = so_far(run, until_s=START_S + 17 + fault_s)
    return [one.outcome for one in standings(seen, [parse_hypothesis(text) for text in texts])]


@pytest.mark.parametrize(
    ("text", "undecided_s", "decided_s", "expected"),
    [
        pytest.param("availability during fault >= 99%", 3.0, 7.0, HELD, id="share held"),
        pytest.param("p99 latency during fault <= 300ms", 3.0, 7.0, HELD, id="quantile held"),
        pytest.param("p50 latency during fault <= 15ms", 0.05, 3.0, REFUTED, id="quantile refuted"),
        pytest.param("time to recover <= 10s", 4.5, 6.0, HELD, id="recovered"),
        pytest.param("time to detect <= 3s", 0.5, 1.5, HELD, id="detected"),
        pytest.param("time to detect <= 100ms", 0.05, 1.5, REFUTED, id="detected late"),
    ],
)
def test_a_claim_is_decided_when_it_is_and_not_before(
    tmp_path: Path, text: str, undecided_s: float, decided_s: float, expected: Outcome
) -> None:
    """100 requests a second, none fails; the balancer sees it after 0.85 s."""
    run = SyntheticRun().write(tmp_path / "run")

    assert outcomes(run, [text], fault_s=undecided_s) == [INCONCLUSIVE]
    assert outcomes(run, [text], fault_s=decided_s) == [expected]


def test_what_can_only_be_known_at_the_end_stays_open(tmp_path: Path) -> None:
    """Relative claims, means, rates and counts that may still grow; a claim about another phase is not asked for."""
    run = SyntheticRun().write(tmp_path / "run")
    late = [
        "p99 latency during fault <= 3x steady",
        "mean latency during fault <= 1s",
        "throughput during fault >= 50/s",
        "requests failed during fault <= 5",
        "retry attempts of cart <= 3",
    ]

    assert outcomes(run, [*late, "availability during recovery >= 90%"], fault_s=19.0) == [INCONCLUSIVE] * 5
    weak = SyntheticRun(stretches=WEAK).write(tmp_path / "weak")
    assert outcomes(weak, ["requests failed during fault <= 5"], fault_s=3.0) == [REFUTED]


def test_requests_after_the_settled_instant_do_not_count(tmp_path: Path) -> None:
    """A failure that was due later is not looked at, however early it was seen."""
    run = SyntheticRun(stretches=WEAK).write(tmp_path / "run")
    seen = so_far(run, until_s=START_S + 17.0)

    assert "fault" not in seen.windows
    assert outcomes(run, SURVIVED[:1], fault_s=2.0) == [REFUTED]


def test_a_stop_condition_names_the_claim_and_what_was_found(tmp_path: Path) -> None:
    """It is refuted after a second of failures, and never without any."""
    conditions = [parse_stop_condition("availability during fault >= 99% refuted")]
    weak, well = SyntheticRun(stretches=WEAK).write(tmp_path / "weak"), SyntheticRun().write(tmp_path / "well")

    reason = stop_reason(so_far(weak, until_s=START_S + 18.5), conditions)

    assert reason is not None
    assert reason.startswith("stop condition `availability during fault >= 99% refuted`: ")
    assert stop_reason(so_far(well, until_s=START_S + 36.0), conditions) is None


def early(tmp_path: Path, name: str = "run", **changes: Any) -> Verdict:
    """A run whose fault was ended 7 s after the onset, on the word of the conductor."""
    run = SyntheticRun(fault_span=UNTIL_DECIDED, decided_s=24.0, undo_s=24.1, gone_s=24.4, end_s=40.0)
    return assess(run.with_(**changes).write(tmp_path / name))


def test_findings_of_a_run_that_ended_early_are_valid_at_any_time(tmp_path: Path) -> None:
    """They name the method, and are wider than those of a run of the same length that was planned so."""
    verdict = early(tmp_path, hypotheses=SURVIVED)
    planned = assess(
        SyntheticRun(undo_s=24.1, gone_s=24.4, end_s=40.0, hypotheses=SURVIVED).write(tmp_path / "planned")
    )

    assert verdict.outcome is HELD
    assert [one.method for one in verdict.findings[:2]] == [ANY_TIME, ANY_TIME]
    assert verdict.windows["fault"] == (START_S + 17, START_S + 24.4)
    assert "The fault was ended early: every claim is decided." in verdict.reasons
    assert verdict.findings[0].low is not None
    assert planned.findings[0].low is not None
    assert verdict.findings[0].low < planned.findings[0].low


def test_a_run_that_was_looked_at_keeps_its_intervals_when_nothing_ended_it(tmp_path: Path) -> None:
    """To look until the answer pleases, and to take the planned interval otherwise, would err twice as often."""
    run = SyntheticRun(fault_span=UNTIL_DECIDED, hypotheses=SURVIVED)
    watched = run.with_(fault_span="20s", stop_when=["availability during fault >= 50% refuted"])

    for name, one in {"until": run, "stop": watched}.items():
        assert assess(one.write(tmp_path / name)).findings[0].method == ANY_TIME


def test_what_has_no_such_interval_is_not_decided_by_an_early_end(tmp_path: Path) -> None:
    """A stop condition on a claim ended the run; the mean's interval is one for a length that was planned."""
    stopped = SyntheticRun(
        stop_when=["availability during fault >= 99% refuted"],
        hypotheses=["mean latency during fault <= 1s", "mean latency during steady <= 1s"],
        abort={"at_s": 30.0, "by": "stop_when", "reason": "stop condition `…`"},
    )
    verdict = assess(stopped.write(tmp_path / "run"))

    assert [one.outcome for one in verdict.findings] == [INCONCLUSIVE, HELD]
    assert verdict.findings[0].reason.startswith("Not decided (")
    assert verdict.findings[0].estimate is not None
