"""The reports of fixed runs, byte for byte. `STORMPROOF_UPDATE_GOLDEN=1 pytest tests/golden` rewrites the files."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from golden.report import storyboard
from stormproof.record.layout import RunDirectory
from stormproof.report.write import write_reports

GOLDEN = Path(__file__).parent / "report"
CASES = [
    (storyboard.held, "report.md"),
    (storyboard.held, "junit.xml"),
    (storyboard.refuted, "report.html"),
    (storyboard.refuted, "report.md"),
    (storyboard.refuted, "junit.xml"),
    (storyboard.invalid, "junit.xml"),
    (storyboard.aborted, "report.md"),
    (storyboard.aborted, "junit.xml"),
]


@pytest.mark.parametrize(("build", "name"), CASES, ids=[f"{build.__name__}-{name}" for build, name in CASES])
def test_the_report_is_the_golden_one(build: Callable[[Path], RunDirectory], name: str, tmp_path: Path) -> None:
    """A fixed run gives the very bytes that a person last looked at and accepted."""
    paths = {path.name: path for path in write_reports(build(tmp_path / "run"))}
    golden = GOLDEN / f"{build.__name__}.{name}"
    if os.environ.get("STORMPROOF_UPDATE_GOLDEN") == "1":
        golden.write_bytes(paths[name].read_bytes())

    expected = golden.read_text().splitlines(keepends=True)
    actual = paths[name].read_text().splitlines(keepends=True)

    assert actual == expected, "".join(list(difflib.unified_diff(expected, actual, "golden", "now", n=1))[:60])
