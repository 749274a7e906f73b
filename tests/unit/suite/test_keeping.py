"""Which runs may go, which never do, and that no run begins where there are too many."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from stormproof.cli.entry import call
from stormproof.errors import InputError
from stormproof.evidence.chain import append, store_of
from stormproof.evidence.record import build_record
from stormproof.evidence.settings import EvidenceSettings, Retention
from stormproof.evidence.source import RunSource, read_source
from stormproof.faults.ledger import Ledger
from stormproof.record.atomic import write_json
from stormproof.record.layout import RunDirectory
from stormproof.record.seal import seal
from stormproof.record.stored import stored_runs, total_bytes
from stormproof.run.lock import environment_lock
from stormproof.suite.keeping import judged
from support.command import ROOT
from support.evidence_runs import SAMPLE

NOW = dt.datetime(2026, 11, 26, 12, 0, tzinfo=dt.UTC)
LONG_AGO = "20260101T030000Z"
MIB = 1 << 20


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs, seen from a project of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORMPROOF_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "experiments").mkdir()
    return tmp_path / "reports"


def stored(reports: Path, number: int, *, at: str = LONG_AGO, sealed: bool = True) -> RunDirectory:
    """A run of 1 MiB, long past."""
    run = RunDirectory(reports / "az-loss" / f"{at}-az-loss-{number:04x}").create()
    write_json(run.run_json, {"run_id": run.path.name})
    (run.samples / "part.parquet").write_bytes(b"x" * MIB)
    if sealed:
        seal(run)
    return run


def kept(reports: Path, *, keep_days: int = 90) -> list[str]:
    """Why each is kept, oldest first."""
    return [one.kept for one in judged(reports, keep_days=keep_days, now=NOW)]


@functools.cache
def source() -> RunSource:
    """The committed run, read once."""
    return read_source(SAMPLE)


def recorded(reports: Path, *retained: tuple[RunDirectory, Retention]) -> None:
    """Evidence of each of these runs, to be kept that long."""
    for run, retention in retained:
        about = {**source().run, "run_id": run.path.name, "started_at": "2026-01-01T03:00:00+00:00"}
        one = dataclasses.replace(source(), run=about)
        build = functools.partial(numbered, one, EvidenceSettings(retention=retention))
        append(store_of(reports, "local"), build, name=run.path.name)


def numbered(one: RunSource, settings: EvidenceSettings, sequence: int, previous: str | None) -> dict[str, Any]:
    """A record in its chain."""
    return build_record(one, settings, sequence=sequence, previous_sha256=previous)


def test_only_what_nothing_keeps_may_go(reports: Path) -> None:
    """Eight runs of long ago; each but the first and the last has a reason to stay, which is said."""
    runs = [stored(reports, number, sealed=number != 3) for number in range(8)]
    Ledger(runs[2].ledger).intend("1-az-loss", kind="az-loss", target={}, configuration={}, prior={})
    os.utime(runs[3].path, (NOW.timestamp(), NOW.timestamp()))
    for path in runs[3].path.rglob("*"):
        os.utime(path, (NOW.timestamp() - 3600, NOW.timestamp() - 3600))
    recorded(
        reports, (runs[4], Retention(days=400)), (runs[5], Retention(legal_hold=True)), (runs[7], Retention(days=100))
    )
    runs[6].incident.write_text("what people wrote")
    stored(reports, 9, at="20261101T030000Z")
    with environment_lock("local", run=runs[1].path, duration_s_max=60):
        found = kept(reports)

    assert found == [
        "",
        "it is going on",
        "still to be undone: 1-az-loss",
        "it has no seal and was written to within a day: it may be going on elsewhere",
        "evidence that is kept until 2027-02-05",
        "evidence under a legal hold",
        "incident.md is people's: delete such a run by hand",
        "",  # its evidence was to be kept for a hundred days
        "younger than 90 days",
    ]


def test_a_run_that_was_cut_off_long_ago_may_go(reports: Path) -> None:
    """Without a seal, undone, and silent for months: nobody comes back to it."""
    run = stored(reports, 1, sealed=False)
    for path in run.path.rglob("*"):
        os.utime(path, (1.7e9, 1.7e9))

    assert kept(reports) == [""]


def test_a_chain_that_is_not_whole_keeps_everything(reports: Path) -> None:
    """Nobody knows what it held: an error, and nothing is deleted."""
    run = stored(reports, 1)
    recorded(reports, (run, Retention(days=400)))
    store_of(reports, "local").head.unlink()

    with pytest.raises(InputError, match="expected a whole chain"):
        kept(reports)
    assert call(["reports", "prune", "--out", str(reports), "--keep-days", "1", "--yes"]) == 65
    assert run.path.is_dir()


def test_nothing_is_deleted_without_yes(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Listed first; with --yes exactly what was listed goes, and what is no run stays."""
    old, young = stored(reports, 1), stored(reports, 2, at=f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}")
    (reports / "az-loss" / "notes.md").write_text("mine")
    link = reports / "az-loss" / f"{LONG_AGO}-az-loss-00ff"
    link.symlink_to(young.path)
    Path("experiments/reports.yaml").write_text("keep_days: 90\n")
    asked = ["reports", "prune", "--out", str(reports)]

    assert call([*asked, "--json"]) == 0
    listed = orjson.loads(capsys.readouterr().out)
    assert old.path.is_dir()
    assert call([*asked, "--yes"]) == 0

    assert [(row["run"], row["goes"]) for row in listed["runs"]] == [(old.path.name, True), (young.path.name, False)]
    assert listed["bytes"] > MIB
    assert "1 of 2 runs deleted, 1.0 MiB of 2.0 MiB" in capsys.readouterr().out
    assert sorted(one.name for one in (reports / "az-loss").iterdir()) == sorted(
        [young.path.name, "notes.md", link.name]
    )
    assert call(asked) == 0
    assert "0 of 1 runs would go" in capsys.readouterr().out


def test_what_a_prune_was_cut_off_in_is_finished(reports: Path) -> None:
    """Half a run is not listed as one, and goes with the next."""
    half = reports / "az-loss" / f".pruned-{LONG_AGO}-az-loss-0001"
    half.mkdir(parents=True)
    (half / "run.json").write_text("{}")

    assert stored_runs(reports) == []
    assert call(["reports", "prune", "--out", str(reports), "--keep-days", "1", "--yes"]) == 0
    assert not half.exists()


@pytest.mark.parametrize("command", [("run", "az-loss"), ("suite", "")])
def test_no_run_begins_over_the_quota(
    reports: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, str]
) -> None:
    """Before a lab is brought up or a folder made: 69, how much there is, and how to make room."""
    stored(reports, 1)
    Path("experiments/reports.yaml").write_text("quota: 1MiB\n")
    before = total_bytes(stored_runs(reports))
    name, slug = command

    code = call([name, str(ROOT / "experiments" / slug), "--env", "local", "--out", str(reports), "--quiet"])

    said = capsys.readouterr().err
    assert code == 69
    assert "expected runs of less than 1.0 MiB before another begins, as experiments/reports.yaml says, got 1.0" in said
    assert "hint: stormproof reports prune" in said
    assert "bringing up a lab" not in said
    assert total_bytes(stored_runs(reports)) == before


def test_without_settings_there_is_no_bound(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is ever too old: the command says what to say."""
    assert call(["reports", "prune", "--out", str(reports)]) == 64
    assert "hint: --keep-days 90" in capsys.readouterr().err


def test_unknown_settings_are_errors(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the line."""
    Path("experiments/reports.yaml").write_text("keep_days: 90\nqouta: 1GiB\n")

    assert call(["reports", "prune", "--out", str(reports)]) == 65
    assert "experiments/reports.yaml:2: qouta" in capsys.readouterr().err
