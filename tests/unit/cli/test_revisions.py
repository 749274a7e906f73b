"""A sealed run that is judged or reported again: beside it, numbered, and the same answer once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from stormproof.cli.entry import call
from support.command import ROOT

if TYPE_CHECKING:
    import pytest

SAMPLE = min((ROOT / "reports" / "sample").glob("*/2*"))


def test_the_same_answer_is_kept_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another verdict than the one on record goes to `revisions/001`; asked again, there is nothing new to keep."""
    run = tmp_path / SAMPLE.name
    shutil.copytree(SAMPLE, run)
    on_record = run / "verdict.json"
    on_record.write_text(on_record.read_text().replace("{", "{ ", 1))

    codes = {call(["analyse", str(run)]) for _ in range(2)}

    assert codes <= {0, 1, 2, 3, 4}
    assert ["001"] == [path.name for path in (run / "revisions").iterdir()]
    assert 2 == capsys.readouterr().err.count("this is not the verdict on record; written to")
