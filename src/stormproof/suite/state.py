"""`suite.json`: what a suite is to do and what became of it, replaced whole before and after each run.

It is written *before* a run is started, with the id that the run will have. A run directory can be made once, so
whatever kills the suite, and whenever, what is on disk says which runs there are: none is lost, and none is counted
twice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from stormproof.errors import RunDirectoryError
from stormproof.record.atomic import write_json
from stormproof.record.redact import redact
from stormproof.suite.entry import Entry

SCHEMA_VERSION = 1
FOLDER = "suites"  # under reports/, beside the experiments' folders
# What an attempt can come to beside a verdict.
ERROR = "error"  # no verdict, or something is not undone
INTERRUPTED = "interrupted"  # the suite died under it: it says nothing, and is done again


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One run of an experiment; *outcome* is None while it is going on, or when the suite died before it knew."""

    run_id: str
    run_dir: str
    started_at: str
    because: str = ""  # why it was run again
    ended_at: str | None = None
    outcome: str | None = None  # a verdict, `error` or `interrupted`
    exit_code: int | None = None
    reasons: list[str] = field(default_factory=list)
    duration_s: float = 0.0
    target_seconds: float = 0.0  # of damage, as measured
    recorded: dict[str, str] = field(default_factory=dict)  # who recorded it → "" or what went wrong


@dataclass(slots=True, kw_only=True)
class Item:
    """One experiment and its attempts."""

    entry: Entry
    attempts: list[Attempt] = field(default_factory=list)
    left: str = ""  # why it was not run at all
    not_repeated: str = ""  # why it was not run again though it should have been

    @property
    def counted(self) -> list[Attempt]:
        """The attempts that came to an end of their own."""
        return [one for one in self.attempts if one.outcome not in (None, INTERRUPTED)]

    @property
    def last(self) -> Attempt | None:
        """The attempt that stands."""
        return self.counted[-1] if self.counted else None


@dataclass(slots=True, kw_only=True)
class SuiteState:
    """The whole file."""

    suite_id: str
    environment: str
    env: str  # as it was asked for: a name, or the path of a file
    source: str  # the folder of experiments
    command: str
    started_at: str
    items: list[Item]
    not_chosen: dict[str, str] = field(default_factory=dict)  # slug → why
    jobs: int = 1
    repeat: bool = True  # what is invalid or inconclusive, once
    wall_time_s: float | None = None
    target_seconds: float | None = None
    deadline_s: float | None = None
    spent_s: float = 0.0
    sessions: int = 1  # 1, and one more each time it was resumed
    ended_at: str | None = None
    stopped: str = ""  # why it ended before everything was done
    link: str = ""  # where people find the folder
    told: dict[str, str] = field(default_factory=dict)  # who was told → "" or what went wrong
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class SuiteDirectory:
    """`reports/suites/<suite-id>/`: the only place that spells its file names."""

    path: Path

    @property
    def state(self) -> Path:
        """What is to be done and what became of it."""
        return self.path / "suite.json"

    @property
    def summary(self) -> Path:
        """The page for people."""
        return self.path / "summary.html"

    @property
    def trends(self) -> Path:
        """The nights before, as pictures."""
        return self.path / "trends.html"

    @property
    def junit(self) -> Path:
        """For CI."""
        return self.path / "junit.xml"

    @property
    def logs(self) -> Path:
        """What each run printed."""
        return self.path / "logs"


def new_suite_id(environment: str, *, now: dt.datetime) -> str:
    """A suite id: UTC time, environment, four random hex digits; sorts by time."""
    return f"{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{environment}-{secrets.token_hex(2)}"


def suites(reports: Path, environment: str) -> list[SuiteState]:
    """The suites of *environment* under *reports*, oldest first; one that cannot be read is left out."""
    found = []
    for path in sorted((reports / FOLDER).glob("*/suite.json")):
        try:
            state = read_state(SuiteDirectory(path.parent))
        except RunDirectoryError:
            continue
        if state.environment == environment:
            found.append(state)
    return found


def write_state(folder: SuiteDirectory, state: SuiteState) -> None:
    """Replace the file; on disk when this returns."""
    document = dataclasses.asdict(state)
    for item in document["items"]:
        item["entry"]["settings"] = [hidden(one) for one in item["entry"]["settings"]]
    write_json(folder.state, redact(document))


def hidden(setting: str) -> str:
    """``path=value`` with the value replaced where the path names a secret; other text as it is, but for secrets."""
    path, equals, value = setting.partition("=")
    return f"{path}={redact({path: value})[path]}" if equals else str(redact(setting))


def read_state(folder: SuiteDirectory) -> SuiteState:
    """The state in *folder*. Raises `RunDirectoryError` when there is none that can be read."""
    where = str(folder.state)
    try:
        document = orjson.loads(folder.state.read_bytes())
        if document["schema_version"] != SCHEMA_VERSION:
            raise RunDirectoryError(
                where=where, what="schema_version", expected=str(SCHEMA_VERSION), got=str(document["schema_version"])
            )
        return SuiteState(**{**document, "items": [_item(one) for one in document["items"]]})
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise RunDirectoryError(where=where, what="", expected="the state of a suite", got=repr(error)) from error


def _item(document: Mapping[str, Any]) -> Item:
    entry = document["entry"]
    lists = {name: tuple(entry[name]) for name in ("tags", "settings", "touches")}
    attempts = [Attempt(**one) for one in document["attempts"]]
    return Item(**{**document, "entry": Entry(**{**entry, **lists}), "attempts": attempts})
