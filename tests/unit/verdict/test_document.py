"""`verdict.json`, there and back."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from stormproof.errors import RunDirectoryError
from stormproof.record.atomic import dump_json
from stormproof.verdict.assess import assess
from stormproof.verdict.document import from_document, read_verdict, to_document, write_verdict
from support.synthetic import SyntheticRun


def test_there_and_back(tmp_path: Path) -> None:
    """What is written reads back equal."""
    verdict = assess(SyntheticRun().write(tmp_path / "run"))
    write_verdict(tmp_path / "verdict.json", verdict)

    assert read_verdict(tmp_path / "verdict.json") == verdict


def test_steps_are_written_where_there_are_any(tmp_path: Path) -> None:
    """There and back with them; a run without has no such key, as before."""
    verdict = assess(SyntheticRun().write(tmp_path / "run"))
    stepped = replace(verdict, steps={"first": (1.0, 2.5)})

    assert "steps" not in to_document(verdict)
    assert {"first": [1.0, 2.5]} == to_document(stepped)["steps"]
    assert stepped == from_document(to_document(stepped))


def test_infinity_becomes_null(tmp_path: Path) -> None:
    """JSON has no infinity; the reason says it in words."""
    verdict = assess(SyntheticRun().write(tmp_path / "run"))
    endless = replace(verdict, findings=(replace(verdict.findings[0], high=math.inf),))

    assert to_document(endless)["findings"][0]["high"] is None
    assert b"Infinity" not in dump_json(to_document(endless))


@pytest.mark.parametrize("broken", [{"schema_version": 2}, {"schema_version": 1}])
def test_another_schema_and_missing_fields_are_errors(broken: dict[str, int]) -> None:
    """A document that is no verdict of this schema is refused with one error."""
    with pytest.raises(RunDirectoryError):
        from_document(dict(broken))


@pytest.mark.parametrize("content", [None, b"{", b"[]"])
def test_no_verdict_to_read(tmp_path: Path, content: bytes | None) -> None:
    """None, torn, or no object: one error that names the file."""
    if content is not None:
        (tmp_path / "verdict.json").write_bytes(content)
    with pytest.raises(RunDirectoryError, match=r"verdict\.json"):
        read_verdict(tmp_path / "verdict.json")
