"""`stormproof history …` as it is typed: its streams, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stormproof.cli.entry import call
from support.evidence_runs import SAMPLE, copy_run


def typed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = call(["history", *map(str, arguments)])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def test_old_runs_are_imported_once_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Import, import again, look at all, at one, as JSON, as a page; a run without a verdict is named and left out."""
    reports, page = tmp_path / "reports", tmp_path / "page.html"
    for day in (1, 2):
        copy_run(reports, f"202611{day:02d}T010000Z-az-loss-0001", run={"started_at": f"2026-11-{day:02d}T01:00:00Z"})
    unfinished = reports / "az-loss" / "20261103T010000Z-az-loss-0001"
    unfinished.mkdir()
    (unfinished / "run.json").write_text((SAMPLE / "run.json").read_text())
    where = ("--reports", reports)

    code, shown, said = typed(capsys, "import", reports, *where)
    assert (0, "2 added, 0 changed, 0 known\n") == (code, shown)
    assert f"left out: {unfinished}" in said
    assert "0 added, 0 changed, 2 known\n" == typed(capsys, "import", reports, *where)[1]
    code, shown, _ = typed(capsys, *where)
    assert (0, True, True) == (code, "az-loss" in shown, "✓✓" in shown)
    code, shown, _ = typed(capsys, "az-loss", *where, "--html", page)
    assert (0, True) == (code, "p99 latency during fault <= 300ms" in shown)
    assert "20261102T010000Z-az-loss-0001" in page.read_text()
    (track,) = json.loads(typed(capsys, "az-loss", *where, "--json", "--last", "1")[1])["tracks"]
    assert ["20261102T010000Z-az-loss-0001"] == [one["run_id"] for one in track["runs"]]
    assert [1, 1, 1, 1] == [len(one["nights"]) for one in track["claims"]]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nothing-such",), 64, "there is no run of it"),
        (("import", "nowhere"), 64, "expected a folder"),
        (("--url", "mysql://x/y"), 64, "expected sqlite or postgresql"),
        (("--url", "postgresql://kim:hunter2@127.0.0.1:9/x"), 69, "history at postgresql://kim:***@127.0.0.1:9/x"),
        (("--last", "0"), 64, "--last"),
    ],
)
def test_what_cannot_be_is_said(
    arguments: tuple[str, ...], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One sentence, an exit code of 64 or more, no traceback, no password."""
    monkeypatch.chdir(tmp_path)
    got, _, said = typed(capsys, *arguments)

    assert (code, True) == (got, words in said), said
    assert "Traceback" not in said
    assert "hunter2" not in said
