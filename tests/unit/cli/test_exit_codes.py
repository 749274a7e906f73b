"""What the entry point makes of an output that cannot be written: a code of its own, and never a verdict's."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from stormproof.cli.entry import call, main
from support.command import ROOT

SPEC = str(ROOT / "experiments" / "az-loss")


@pytest.fixture
def unread() -> Iterator[TextIO]:
    """A stream whose reader has gone away, as `| head -1` does."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    yield stream
    with contextlib.suppress(BrokenPipeError):  # what was printed is still in it
        stream.close()


@pytest.mark.parametrize("arguments", [["validate", SPEC], ["schema"], ["--help"]])
def test_an_output_that_nobody_reads_is_no_verdict(
    arguments: list[str], unread: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """typer ends a broken pipe with 1, which is *refuted* here; ours is 70."""
    monkeypatch.setattr(sys, "stdout", unread)
    monkeypatch.setattr(sys, "stderr", sys.stderr)  # typer wraps it: put back afterwards

    assert 70 == call(arguments)


def test_a_full_disk_is_said_as_such(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No room for the output: 69 and a sentence, and not "a defect in stormproof"."""
    with contextlib.suppress(OSError), Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)

        assert 69 == call(["schema"])
    said = capsys.readouterr().err
    assert "error: expected room to write, got No space left on device\n" == said


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder where a file was to be: its name and the system's word for it, and nothing is left beside it."""
    assert 69 == call(["compile", SPEC, "--to", "chaostoolkit", "--out", str(tmp_path)])
    assert f"error: {tmp_path}: expected to read or write it, got Is a directory\n" in capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "code"), [(["validate", "nowhere"], 65), (["validate", SPEC], 0)])
def test_closed_streams_change_no_exit_code(arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`2>&-` and `>&-` leave Python without a stream: the crash that this was ended with 1."""
    monkeypatch.setattr(sys, "argv", ["stormproof", *arguments])
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the test runner's own handlers stay

    with pytest.raises(SystemExit) as ended:
        main()

    assert code == ended.value.code


def test_an_output_without_our_characters_keeps_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`PYTHONIOENCODING=ascii`, an ISO-8859-1 locale: `–` becomes `?`, and JSON stays UTF-8."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for flags in ([], ["--json"]):
        out = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
        monkeypatch.setattr(sys, "argv", ["stormproof", "evidence", "coverage", *flags])
        with pytest.raises(SystemExit) as ended:
            main()

        assert 0 == ended.value.code
        assert (
            ("…" in json.dumps(json.loads(out.getvalue()), ensure_ascii=False)) if flags else (b" ? " in out.getvalue())
        )


def test_a_folder_that_is_gone_is_said_as_such(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`undo` in a folder that somebody has deleted meanwhile: 69, and what to do."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert 69 == call(["undo", "--list"])
    assert "error: the current folder: expected one that is there" in capsys.readouterr().err
