"""Whole run directories whose claims are about what a closing probe read: verdict, report, and again from a copy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from stormproof.model.verdict import Outcome, Verdict
from stormproof.record.atomic import append_line
from stormproof.record.layout import RunDirectory
from stormproof.report.write import write_reports
from stormproof.verdict.assess import assess
from stormproof.verdict.document import dump_verdict, from_document, to_document, write_verdict
from support.synthetic import SyntheticRun

CLAIMS = [
    "retry jitter of cart in {full, equal}",
    "retry amplification of cart <= 2",
    "availability during fault >= 99%",
]
READING: dict[str, Any] = {
    "dependencies": {
        "cart": {
            "arrivals": 412,
            "clients": 6,
            "fault": {"jitter": "full", "attempts_max": 3, "n_ops": 300, "confidence": {"jitter": 0.95}},
            "amplification": {"fault": {"estimate": 1.2, "low": 1.1, "high": 1.3, "n_ops": 300, "method": "blocks"}},
        }
    }
}


def run_with(path: Path, row: dict[str, Any] | None, **changes: Any) -> RunDirectory:
    """A run that survives its fault, with *row* as the last line of the retry probe."""
    run = SyntheticRun(hypotheses=CLAIMS, **changes).write(path)
    if row is not None:
        append_line(run.readings, {"probe": "retry_with_jitter", "wall_s": 1.0, "mono_s": 1.0, **row})
        told = "probe.read" if "reading" in row else "probe.blind"
        append_line(run.events, {"event": told, "who": "conductor", "wall_s": 1.0, "probe": "retry_with_jitter"})
    return run


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.ok]


def test_claims_about_a_reading_hold(tmp_path: Path) -> None:
    """The reason says that words rest on a confidence, and numbers on an interval."""
    verdict = assess(run_with(tmp_path / "run", {"reading": READING}))

    assert verdict.outcome is Outcome.HELD
    assert failed(verdict) == []
    assert "each word was read with a confidence of 0.9" in verdict.reasons[0]


def test_a_word_that_is_not_accepted_refutes_the_run(tmp_path: Path) -> None:
    """As any other claim."""
    cart = READING["dependencies"]["cart"]
    other = {**cart, "fault": {**cart["fault"], "jitter": "none"}}
    verdict = assess(run_with(tmp_path / "run", {"reading": {"dependencies": {"cart": other}}}))

    assert verdict.outcome is Outcome.REFUTED
    assert verdict.reasons == (f"`{CLAIMS[0]}` is refuted. {verdict.findings[0].reason}",)


@pytest.mark.parametrize("row", [None, {"error": "no answer within 90 s"}], ids=["no line", "an error"])
def test_a_blind_closing_probe_makes_the_run_invalid(tmp_path: Path, row: dict[str, Any] | None) -> None:
    """Never held: the claims that need it are inconclusive, those that do not keep their finding."""
    verdict = assess(run_with(tmp_path / "run", row))

    assert verdict.outcome is Outcome.INVALID
    assert "closing probes saw" in failed(verdict)
    assert [one.outcome for one in verdict.findings] == [Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE, Outcome.HELD]


def test_an_aborted_run_is_not_blamed_on_a_probe_that_was_not_asked(tmp_path: Path) -> None:
    """It is aborted, not invalid."""
    abort = {"at_s": 25, "by": "stop_when", "reason": "availability < 50% for 5s"}
    verdict = assess(run_with(tmp_path / "run", None, abort=abort))

    assert verdict.outcome is Outcome.ABORTED
    assert failed(verdict) == []


def test_a_fault_that_was_not_felt_leaves_claims_about_retries_untested(tmp_path: Path) -> None:
    """Whatever the probe read."""
    verdict = assess(run_with(tmp_path / "run", {"reading": READING}, felt=False))

    assert verdict.outcome is Outcome.INVALID
    assert all(one.outcome is Outcome.INCONCLUSIVE for one in verdict.findings)


def test_a_copy_is_judged_from_the_reading_in_the_file(tmp_path: Path) -> None:
    """To the same bytes; and the verdict comes back from them as it was."""
    run = run_with(tmp_path / "run", {"reading": READING})
    verdict = assess(run)
    shutil.copytree(run.path, tmp_path / "copy")

    assert dump_verdict(assess(RunDirectory(tmp_path / "copy"))) == dump_verdict(verdict)
    assert from_document(to_document(verdict)) == verdict
    assert to_document(verdict)["findings"][0]["found"] == "full"
    assert "found" not in to_document(verdict)["findings"][1]  # as in verdicts before there were words


def test_the_reports_say_what_was_read(tmp_path: Path) -> None:
    """The word where others have an estimate, and a section with the probe's main numbers, in each format."""
    run = run_with(tmp_path / "run", {"reading": READING})
    write_verdict(run.verdict, assess(run))
    html, markdown, junit = (path.read_text() for path in write_reports(run))

    for text in (html, markdown):
        assert "confidence 0.95" in text
        assert "amplification, fault" in text
        assert "412 from 6 clients" in text
    assert "1.2× (1.1× to 1.3×)" in markdown
    assert "found full, confidence 0.95, wanted in {full, equal}" in junit


def test_the_reports_say_that_a_probe_was_blind(tmp_path: Path) -> None:
    """Escaped, like every text that is not ours."""
    run = run_with(tmp_path / "run", {"error": "it ended with code 1: <b>boom</b>"})
    write_verdict(run.verdict, assess(run))
    html, markdown, _ = (path.read_text() for path in write_reports(run))

    assert "saw nothing" in html
    assert "<b>boom" not in html
    assert "saw nothing" in markdown
