"""Where everything is inside a run directory: the only place that spells the file names."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from stormproof.errors import RunDirectoryError


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """One run on disk. `docs/reference/run-directory.md` says what each file is."""

    path: Path

    @property
    def run_json(self) -> Path:
        """Who, when, exact command, versions, seed, environment."""
        return self.path / "run.json"

    @property
    def spec(self) -> Path:
        """What was asked, after `--set`."""
        return self.path / "spec.yaml"

    @property
    def plan(self) -> Path:
        """The compiled Chaos Toolkit experiment."""
        return self.path / "plan.json"

    @property
    def environment(self) -> Path:
        """The resolved environment, redacted."""
        return self.path / "environment.json"

    @property
    def ledger(self) -> Path:
        """What must be undone, written before each fault."""
        return self.path / "ledger.jsonl"

    @property
    def events(self) -> Path:
        """Everything that happened, one line each."""
        return self.path / "events.jsonl"

    @property
    def journal(self) -> Path:
        """chaoslib's own journal."""
        return self.path / "journal.json"

    @property
    def readings(self) -> Path:
        """What each probe saw, when."""
        return self.path / "readings.jsonl"

    @property
    def samples(self) -> Path:
        """The folder of Parquet parts, one a load worker."""
        return self.path / "samples"

    @property
    def arrivals(self) -> Path:
        """The folder of Parquet parts, one a dependency."""
        return self.path / "arrivals"

    @property
    def logs(self) -> Path:
        """What the child processes printed."""
        return self.path / "logs"

    @property
    def verdict(self) -> Path:
        """Windows, findings, confirmations, verdict."""
        return self.path / "verdict.json"

    @property
    def report_html(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def report_md(self) -> Path:
        """The page for chat and pull requests."""
        return self.path / "report.md"

    @property
    def junit(self) -> Path:
        """For CI."""
        return self.path / "junit.xml"

    @property
    def incident(self) -> Path:
        """What people write about a refutation; it is not sealed, because they go on writing."""
        return self.path / "incident.md"

    @property
    def sums(self) -> Path:
        """SHA-256 of every file: the seal of a finished run."""
        return self.path / "SHA256SUMS"

    def create(self) -> RunDirectory:
        """Make the directory and its folders; it must not exist yet."""
        self.path.mkdir(parents=True, exist_ok=False)
        for folder in (self.samples, self.arrivals, self.logs):
            folder.mkdir()
        return self

    def require(self) -> RunDirectory:
        """This directory, if it looks like a run; else `RunDirectoryError`."""
        if not self.path.is_dir():
            raise RunDirectoryError(where=str(self.path), what="", expected="a run directory", got="nothing there")
        if not self.run_json.is_file():
            raise RunDirectoryError(
                where=str(self.path),
                what="run.json",
                expected="a run directory, which has a run.json",
                got="none",
                hint="a run directory is reports/<slug>/<run-id>",
            )
        return self


def is_run_id(text: str, slug: str) -> bool:
    """Whether *text* is an id that `new_run_id` could have made for *slug*."""
    return re.fullmatch(rf"\d{{8}}T\d{{6}}Z-{re.escape(slug)}-[0-9a-f]{{4}}", text) is not None


def new_run_id(slug: str, *, now: dt.datetime | None = None) -> str:
    """A run id: UTC time, slug, four random hex digits; sorts by time."""
    at = now or dt.datetime.now(dt.UTC)
    return f"{at.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{slug}-{secrets.token_hex(2)}"
