"""`stormproof evidence …` as it is typed: its files, its streams, its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stormproof.cli.entry import call
from support.evidence_runs import chain_of, copy_run


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = call(["evidence", *map(str, arguments)])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def test_from_a_run_to_a_bundle_that_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """record, coverage, bundle, verify; then a byte is changed, and verify names the file."""
    reports, out = tmp_path / "reports", tmp_path / "bundle"
    copy_run(reports, "20261101T000000Z-az-loss-0001")
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)

    code, shown, _ = run(capsys, "record", "--reports", reports, "--json")
    assert (0, 1) == (code, len(json.loads(shown)["recorded"]))
    code, shown, said = run(capsys, "coverage", "--reports", reports, "--json", "--out", tmp_path / "pillar.html")
    document = json.loads(shown)
    assert (0, True, 65) == (code, document["simulated"], len(document["practices"]))
    assert "emulated" in said
    assert "Simulated." in (tmp_path / "pillar.html").read_text()
    bundled = ("bundle", "--env", "local", "--reports", reports, "--out", out, "--key", key)
    assert 0 == run(capsys, *bundled)[0]
    assert 64 == run(capsys, *bundled)[0]
    code, shown, _ = run(capsys, "verify", out, "--public-key", public)
    assert (0, True) == (code, "unanchored" in shown)
    assert 69 == run(capsys, "verify", out, "--require-anchor")[0]
    report = out / "runs" / "000001" / "report.html"
    os.truncate(report, report.stat().st_size - 1)
    code, shown, _ = run(capsys, "verify", out, "--json")
    assert (69, ["runs/000001/report.html"]) == (code, [one["file"] for one in json.loads(shown)["problems"]])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("verify",), 64, "expected a bundle, or --env"),
        (("verify", "nowhere.zip"), 64, "no bundle"),
        (("verify", "--env", "local"), 64, "no records"),
        (("verify", "--env", "../x"), 65, "environment"),
        (("coverage", "--env", "staging"), 64, "no evidence of it"),
        (("coverage", "--as-of", "soon"), 64, "expected a day"),
        (("anchor", ".", "--env", "local"), 64, "no records to anchor"),
        (("record", "nowhere"), 65, "a run directory"),
        (("publish", "--workload-id", "x", "--env", "local"), 64, "there are no records"),
    ],
)
def test_what_cannot_be_is_said(
    arguments: tuple[str, ...], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One sentence, an exit code of 64 or more, no traceback."""
    monkeypatch.chdir(tmp_path)
    got, _, said = run(capsys, *arguments)

    assert (code, True) == (got, words in said)
    assert "Traceback" not in said


def test_the_chain_of_an_environment_is_anchored_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tag; then the head is on record outside, and a lost record is missed."""
    store = chain_of(tmp_path / "reports", runs=2)
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", repository], check=True)
    for setting in ("user.name=Kim", "user.email=kim@example.com"):
        subprocess.run(["git", "-C", repository, "config", *setting.split("=")], check=True)
    subprocess.run(["git", "-C", repository, "commit", "-q", "--allow-empty", "-m", "begin"], check=True)
    where: tuple[Any, ...] = ("--env", "local", "--reports", tmp_path / "reports")

    assert (0, "stormproof-evidence/local/000002\n") == run(capsys, "anchor", repository, *where)[:2]
    code, shown, _ = run(capsys, "verify", *where, "--anchor", repository, "--require-anchor")
    assert (0, True) == (code, "anchored to record 2" in shown)
    next(store.records.glob("000002-*")).unlink()
    store.head.unlink()
    code, shown, _ = run(capsys, "verify", *where, "--anchor", repository)
    assert (69, True) == (code, "the chain was cut" in shown)
