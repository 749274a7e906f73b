"""The post-incident record: drafted from a refuted run, finished by people, closed by the re-test that holds."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import orjson
import pytest
import yaml

from stormproof.model.verdict import Outcome
from stormproof.record.atomic import write_json
from stormproof.record.layout import RunDirectory
from stormproof.record.seal import broken, seal
from stormproof.report.facts import read_facts
from stormproof.suite.after import record_all, recorders
from stormproof.suite.incident import draft, render
from stormproof.suite.retest import close_earlier, is_open
from stormproof.verdict.document import read_verdict, write_verdict
from support.evidence_runs import SAMPLE, copy_run, rejudge

CLAIM, LOOSER = "p95 latency during fault <= 250ms", "p95 latency during fault <= 9s"
IMPOSSIBLE = "p99 latency during fault <= 1ms"
TEXT_OF_PEOPLE = "\nThe alarm was muted since the last game day. See [here](../../x)."


@pytest.fixture
def refuted(tmp_path: Path) -> RunDirectory:
    """The committed run, judged by a claim that it does not keep."""
    run = copy_run(tmp_path, "20261101T030000Z-az-loss-0009")
    spec = yaml.safe_load(run.spec.read_text()) | {"hypotheses": [IMPOSSIBLE]}
    run.spec.write_text(yaml.safe_dump(spec, sort_keys=False))
    return rejudge(run)


def slim(reports: Path, run_id: str, outcome: Outcome, *, claim: str = CLAIM, **about: object) -> RunDirectory:
    """The documents of the committed run as *run_id*, with one more finding: *claim*, which came to *outcome*."""
    run = RunDirectory(reports / "az-loss" / run_id)
    run.path.mkdir(parents=True)
    shutil.copy(SAMPLE / "spec.yaml", run.spec)
    write_json(run.run_json, orjson.loads((SAMPLE / "run.json").read_bytes()) | about)
    verdict = read_verdict(SAMPLE / "verdict.json")
    one = dataclasses.replace(verdict.findings[0], claim=claim, outcome=outcome)
    write_verdict(run.verdict, dataclasses.replace(verdict, outcome=outcome, findings=(one, *verdict.findings)))
    return run


def test_a_refuted_run_is_drafted_with_what_its_record_says(refuted: RunDirectory) -> None:
    """The claim, what was broken, timeline, requests, evidence; the rest is for people. The seal stays whole."""
    assert draft(refuted)
    text = refuted.incident.read_text()

    assert [] == broken(refuted)
    assert f"`{IMPOSSIBLE}`" in text
    assert "Broken on purpose: stop 2 instances of zone a" in text
    assert "| fault | all | 3,136 | 0 |" in text
    assert "3,118 of 3,136 requests were worse than it allows" in text
    assert "at most as many users" in text
    assert "[report.html](report.html)" in text or "[verdict.json](verdict.json)" in text
    assert 2 == text.count("*To be written by the people who know.*")
    assert "**simulated**" in text
    assert text == render(read_facts(refuted))


def test_a_draft_is_made_once_and_only_of_a_refutation(refuted: RunDirectory, tmp_path: Path) -> None:
    """What people have written stays; a run that held has none."""
    draft(refuted)
    refuted.incident.write_text("ours now")

    assert not draft(refuted)
    assert "ours now" == refuted.incident.read_text()
    assert not draft(slim(tmp_path, "20261101T040000Z-az-loss-0002", Outcome.HELD))


def test_foreign_text_is_redacted_and_no_mark_up(refuted: RunDirectory) -> None:
    """A title that leaks a key, opens a comment, and adds a heading and a link does none of it."""
    evil = "AKIAABCDEFGHIJKLMNOP\n<!-- stormproof:closed-by x -->\n## Closed\n[click](http://evil.example) @all"
    run = refuted
    verdict = read_verdict(run.verdict)
    write_verdict(run.verdict, dataclasses.replace(verdict, title=evil, reasons=(evil,), repeat=evil))
    seal(run)
    draft(run)
    text = run.incident.read_text()

    assert "AKIA" not in text
    assert is_open(text)
    assert not [line for line in text.splitlines() if line.startswith(("## Closed", "[click]"))]
    assert "[click](http" not in re.sub(r"`[^`]*`", "", text)  # in a code span it is only text


def test_the_retest_that_holds_closes_it(tmp_path: Path) -> None:
    """Same faults, and the refuted claim is held: a section is appended after what people wrote, once."""
    earlier = slim(tmp_path, "20261101T030000Z-az-loss-0001", Outcome.REFUTED, variant="naive")
    later = slim(tmp_path, "20261102T030000Z-az-loss-0002", Outcome.HELD)
    draft(earlier)
    written = earlier.incident.read_text() + TEXT_OF_PEOPLE
    earlier.incident.write_text(written)

    assert [earlier.incident] == close_earlier(later)
    assert [] == close_earlier(later)
    text = earlier.incident.read_text()
    assert text.startswith(written)
    assert not is_open(text)
    assert "- variant: `naive` then, `hardened` now" in text
    assert 1 == text.count("## Closed by a re-test")


@pytest.mark.parametrize("other", ["bound", "faults", "environment", "before", "refuted"])
def test_what_is_no_retest_closes_nothing(tmp_path: Path, other: str) -> None:
    """Another bound, other faults, another environment, an earlier run, one that did not hold."""
    earlier = slim(tmp_path, "20261102T030000Z-az-loss-0001", Outcome.REFUTED)
    later = slim(
        tmp_path,
        f"202611{'01' if other == 'before' else '03'}T030000Z-az-loss-0002",
        Outcome.REFUTED if other == "refuted" else Outcome.HELD,
        claim=LOOSER if other == "bound" else CLAIM,
        environment="staging" if other == "environment" else "local",
    )
    if other == "faults":
        later.spec.write_text(later.spec.read_text().replace("zone: a", "zone: b"))
    earlier.incident.write_text("open\n")

    assert [] == close_earlier(later)
    assert "open\n" == earlier.incident.read_text()


def test_the_recorders_draft_and_say_what_went_wrong(refuted: RunDirectory) -> None:
    """After a run: the draft is there; a run without a verdict is a sentence, not a crash."""
    by = recorders(refuted.path.parent.parent, None)

    assert {"history": "", "incident": ""} == record_all(refuted, by)
    assert refuted.incident.is_file()
    refuted.incident.unlink()
    refuted.verdict.unlink()
    assert "expected a verdict, got none" in record_all(refuted, by)["incident"]
