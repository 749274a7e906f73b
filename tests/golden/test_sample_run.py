"""The run that is committed: old data must go on being judged to the same bytes, by every later version."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stormproof.record.layout import RunDirectory
from stormproof.record.seal import broken
from stormproof.report.write import write_reports
from stormproof.verdict.assess import assess
from stormproof.verdict.document import dump_verdict
from support.command import ROOT

SAMPLES = sorted((ROOT / "reports" / "sample").glob("*/2*"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_stored_run_keeps_its_verdict(path: Path, tmp_path: Path) -> None:
    """Whole under its seal, judged to the verdict that stands in it, and reported from its directory alone."""
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    run = RunDirectory(copy)

    assert broken(run) == []
    assert dump_verdict(assess(run)) == run.verdict.read_bytes()
    assert all(page.stat().st_size > 0 for page in write_reports(run, out=tmp_path / "out"))


def test_there_is_a_stored_run() -> None:
    """The test above must not pass for want of cases."""
    assert len(SAMPLES) >= 1
