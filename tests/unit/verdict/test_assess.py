"""Whole run directories: what must come out, on the evidence alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import RunDirectoryError
from stormproof.model.verdict import Outcome, Verdict
from stormproof.record.atomic import dump_json
from stormproof.record.layout import RunDirectory
from stormproof.verdict.assess import assess
from stormproof.verdict.document import to_document
from support.synthetic import START_S, Stretch, SyntheticRun

HELD, REFUTED, INCONCLUSIVE = Outcome.HELD, Outcome.REFUTED, Outcome.INCONCLUSIVE
INVALID, ABORTED = Outcome.INVALID, Outcome.ABORTED
NAIVE = (
    Stretch(start_s=0, end_s=17),
    Stretch(start_s=17, end_s=37, zones=("b", "c"), failed_share=0.33, failed_latency_ms=1.0),
    Stretch(start_s=37, end_s=52),
)


def assessed(tmp_path: Path, **changes: Any) -> Verdict:
    return assess(SyntheticRun(**changes).write(tmp_path / "run"))


def failed_checks(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.ok]


def test_a_survivor_held(tmp_path: Path) -> None:
    """Felt, delivered, steady, and every interval within its bound."""
    verdict = assessed(tmp_path)

    assert verdict.outcome is HELD
    assert failed_checks(verdict) == []
    assert verdict.windows == {
        "steady": (START_S + 2, START_S + 17),
        "fault": (START_S + 17, START_S + 37),
        "recovery": (START_S + 37, START_S + 52),
    }


def test_a_weak_one_is_refuted(tmp_path: Path) -> None:
    """A third failing, fast: availability and recovery are refuted, p99 is not held for failing fast."""
    verdict = assessed(tmp_path, stretches=NAIVE)

    assert verdict.outcome is REFUTED
    assert [finding.outcome for finding in verdict.findings] == [REFUTED, INCONCLUSIVE, REFUTED]
    assert verdict.reasons[0].startswith("`availability during fault >= 99%` is refuted. ")


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        pytest.param({"felt": False}, "fault felt", id="not felt"),
        pytest.param({"felt": None}, "fault felt", id="nobody saw"),
        pytest.param({"injected": False}, "fault felt", id="never injected"),
        pytest.param({"effect": {"kind": "zone-silent", "zone": "b"}}, "fault met by the workload", id="zone answers"),
        pytest.param({"effect": {"kind": "zone-silent", "zone": "z"}}, "fault met by the workload", id="no such zone"),
        pytest.param({"effect": {"kind": "new"}}, "fault met by the workload", id="unknown effect"),
        pytest.param({"gone": False}, "fault undone and seen gone", id="not gone"),
        pytest.param({"delivered": 0.9}, "load delivered", id="sent too little"),
        pytest.param({"late_share": 0.1}, "load delivered", id="sent too late"),
        pytest.param(
            {"stretches": (Stretch(start_s=0, end_s=17, failed_share=0.05), *NAIVE[1:])}, "steady before", id="unsteady"
        ),
        pytest.param({"hypotheses": ["time to detect <= 3s"], "readings": False}, "probes saw", id="blind probe"),
        pytest.param(
            {"hypotheses": ["availability of /none during fault >= 99%"]}, "data for every claim", id="no data"
        ),
        pytest.param({"abort": {"at_s": 25, "by": "failure", "reason": "the player died"}}, "nothing of ours failed"),
    ],
)
@pytest.mark.parametrize("stretches", [None, NAIVE], ids=["healthy", "weak"])
def test_what_makes_a_run_invalid(
    tmp_path: Path, changes: dict[str, Any], check: str, stretches: tuple[Stretch, ...] | None
) -> None:
    """A run that did not test its claims is invalid, not held and not refuted, and names the check."""
    verdict = assessed(tmp_path, **({"stretches": stretches} | changes))

    assert verdict.outcome is INVALID
    assert check in failed_checks(verdict)
    assert any(check in reason for reason in verdict.reasons)


def test_findings_of_an_untested_claim_are_inconclusive(tmp_path: Path) -> None:
    """Without a fault only a claim about the steady phase keeps its outcome; the numbers stay."""
    hypotheses = ["availability during steady >= 99%", "availability during fault >= 99%"]
    verdict = assessed(tmp_path, felt=False, hypotheses=hypotheses)

    assert [finding.outcome for finding in verdict.findings] == [HELD, INCONCLUSIVE]
    assert verdict.findings[1].estimate == 1.0
    assert verdict.findings[1].reason.startswith("Not tested (fault felt: ")


DELAYED = {"kind": "arrivals-delayed", "dependency": "recommendations", "delay_ms": 3000}
REJECTED = {"kind": "arrivals-rejected", "dependency": "cart", "status": [400]}


@pytest.mark.parametrize(
    ("effect", "arrivals", "met"),
    [
        pytest.param(DELAYED, [{"at_s": 20, "duration_ms": 3004.0}], True, id="slow"),
        pytest.param(DELAYED, [{"at_s": 20, "duration_ms": 200.0, "flags": "DI,DC"}], True, id="given up, marked"),
        pytest.param(DELAYED, [{"at_s": 20, "duration_ms": 200.0}], False, id="fast"),
        pytest.param(DELAYED, [{"at_s": 10, "duration_ms": 3004.0}], False, id="before the fault"),
        pytest.param(DELAYED, [{"at_s": 20, "duration_ms": 3004.0, "canary": True}], False, id="only our canary"),
        pytest.param(DELAYED, [{"at_s": 20, "duration_ms": 3004.0, "dependency": "x"}], False, id="another one"),
        pytest.param(DELAYED, [], False, id="nobody calls it"),
        pytest.param(REJECTED, [{"at_s": 20, "flags": "RL", "status": 400}], True, id="rejected"),
        pytest.param(REJECTED, [{"at_s": 20, "flags": "URX", "status": 400}], False, id="another flag"),
        pytest.param(REJECTED, [{"at_s": 20, "flags": "RL", "canary": True}], False, id="only our canary rejected"),
    ],
)
def test_the_workload_must_meet_the_fault(
    tmp_path: Path, effect: dict[str, Any], arrivals: list[dict[str, Any]], met: bool
) -> None:
    """A canary that felt it is not enough: a call of the workload must have met it."""
    rows = [{"dependency": effect["dependency"]} | row for row in arrivals]
    verdict = assessed(tmp_path, effect=effect, arrivals=rows)

    assert ("fault met by the workload" in failed_checks(verdict)) is not met
    assert verdict.outcome is (HELD if met else INVALID)


@pytest.mark.parametrize(
    ("at_s", "stretches", "expected"),
    [
        pytest.param(1, None, ABORTED, id="in the warm-up"),
        pytest.param(10, None, ABORTED, id="in steady"),
        pytest.param(17.2, None, ABORTED, id="before it was felt"),
        pytest.param(25, None, ABORTED, id="in the fault, nothing refuted"),
        pytest.param(35, NAIVE, REFUTED, id="in the fault, already refuted"),
        pytest.param(45, None, ABORTED, id="in recovery"),
        pytest.param(45, NAIVE, REFUTED, id="in recovery, refuted"),
    ],
)
def test_aborted(tmp_path: Path, at_s: float, stretches: tuple[Stretch, ...] | None, expected: Outcome) -> None:
    """What an abort kept from happening is not held against the run; what was refuted before stays refuted."""
    abort = {"at_s": at_s, "by": "person", "reason": "Ctrl-C"}
    felt = None if at_s == 17.2 else True
    verdict = assessed(tmp_path, abort=abort, stretches=stretches, felt=felt)

    assert verdict.outcome is expected
    assert failed_checks(verdict) == []
    assert any("Ctrl-C" in reason for reason in verdict.reasons)


def test_time_to_detect_from_readings(tmp_path: Path) -> None:
    """Seen unhealthy at the first reading after 0.85 s; the canaries' gap lowers the lower end."""
    verdict = assessed(tmp_path, hypotheses=["time to detect <= 3s"])
    (finding,) = verdict.findings

    assert verdict.outcome is HELD
    assert finding.estimate == pytest.approx(0.9)
    assert finding.low == pytest.approx(0.5)
    assert finding.high == pytest.approx(0.9)


def test_never_detected_is_refuted(tmp_path: Path) -> None:
    """Twenty seconds of readings and no detection break a bound of three."""
    verdict = assessed(tmp_path, hypotheses=["time to detect <= 3s"], detect_after_s=None)

    assert verdict.outcome is REFUTED
    assert verdict.findings[0].estimate is None


def test_a_copy_gives_the_same_bytes(tmp_path: Path) -> None:
    """The verdict of the directory copied elsewhere, without verdict and reports, is byte-identical."""
    run = SyntheticRun().write(tmp_path / "run")
    shutil.copytree(run.path, tmp_path / "far" / "away")
    there = assess(RunDirectory(tmp_path / "far" / "away"))

    assert dump_json(to_document(assess(run))) == dump_json(to_document(there))


def test_altered_samples_change_the_verdict(tmp_path: Path) -> None:
    """The verdict comes from the samples, not from anything that remembers it."""
    run = SyntheticRun(hypotheses=["availability during fault >= 99%"]).write(tmp_path / "run")
    SyntheticRun(stretches=NAIVE).write(tmp_path / "other")
    before = assess(run).outcome
    shutil.copy(tmp_path / "other" / "samples" / "part-000.parquet", run.samples / "part-000.parquet")

    assert (before, assess(run).outcome) == (HELD, REFUTED)


def test_lost_rows_make_it_invalid(tmp_path: Path) -> None:
    """A run without its samples tested nothing."""
    run = SyntheticRun().write(tmp_path / "run")
    (run.samples / "part-000.parquet").unlink()
    verdict = assess(run)

    assert verdict.outcome is INVALID
    assert "every request recorded" in failed_checks(verdict)


def test_a_killed_run_is_invalid(tmp_path: Path) -> None:
    """Without the end of the load and without an abort nobody knows what was delivered."""
    run = SyntheticRun().write(tmp_path / "run")
    lines = run.events.read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["event"] not in {"load.stopped", "run.ended", "fault.gone"}]
    run.events.write_text("\n".join(kept) + "\n" + '{"torn')
    verdict = assess(run)

    assert verdict.outcome is INVALID
    assert {"load delivered", "fault undone and seen gone"} <= set(failed_checks(verdict))


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_no_run_directory(tmp_path: Path, content: str | None) -> None:
    """What is no run directory is one error, never a verdict."""
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunDirectoryError):
        assess(RunDirectory(tmp_path))


def rewrite_events(run: RunDirectory, change: Callable[[dict[str, Any]], None]) -> None:
    rows = [json.loads(line) for line in run.events.read_text().splitlines()]
    for row in rows:
        change(row)
    run.events.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_load_missing_in_one_phase_is_not_hidden_by_the_others(tmp_path: Path) -> None:
    """96 % sent overall, 90 % in the fault phase: the claim about the fault was not tested."""
    run = SyntheticRun().write(tmp_path / "run")

    def withhold(row: dict[str, Any]) -> None:
        for worker in row.get("workers", []) if row["event"] == "load.stopped" else []:
            for second in worker["per_second"]:
                if START_S + 17 <= second[0] < START_S + 37:
                    second[2] = 90
            worker["sent"] = sum(second[2] for second in worker["per_second"])
            assert worker["sent"] / worker["offered"] > 0.95

    rewrite_events(run, withhold)
    verdict = assess(run)

    assert verdict.outcome is INVALID
    assert failed_checks(verdict) == ["load delivered"]
    assert "90.0% in fault" in verdict.reasons[0]


@pytest.mark.parametrize("quiet", [False, True])
def test_a_closed_model_must_be_heard_in_every_phase(tmp_path: Path, quiet: bool) -> None:
    """Nothing is offered on a schedule; a phase without a request is all that can be missed."""
    stretches = NAIVE[:1] + NAIVE[2:] if quiet else None
    run = SyntheticRun(stretches=stretches, hypotheses=["availability during steady >= 99%"]).write(tmp_path / "run")

    def close(row: dict[str, Any]) -> None:
        if row["event"] == "load.started":
            row.update(model="closed", users=40, offered_per_s=None)

    rewrite_events(run, close)
    verdict = assess(run)

    assert ("load delivered" in failed_checks(verdict)) is quiet
    assert verdict.outcome is (INVALID if quiet else HELD)


def test_two_faults_are_one_fault_phase(tmp_path: Path) -> None:
    """From the first onset to the last sighting that one is gone; both must be felt."""
    run = SyntheticRun().write(tmp_path / "run")
    second = []
    for line in run.events.read_text().splitlines():
        row = json.loads(line)
        if row["event"].startswith("fault."):
            row |= {"fault_id": "2-az-loss", "at": row["at"] + 3, "effect": {}}
            second.append(row | ({"last_ok_at": row["last_ok_at"] + 3} if "last_ok_at" in row else {}))
    with run.events.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in second)
    verdict = assess(run)

    assert verdict.outcome is HELD
    assert verdict.windows["fault"] == (START_S + 17, START_S + 40)
    assert [confirmation.fault_id for confirmation in verdict.confirmations] == ["1-az-loss", "2-az-loss"]
