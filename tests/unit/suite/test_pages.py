"""The summary: its numbers, its links, and that no text of a run can get out of its place."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stormproof.suite.state import Attempt, Item, SuiteDirectory, SuiteState, hidden, read_state, write_state
from stormproof.suite.write import write_pages
from support.evidence_runs import SAMPLE
from support.suites import entry

EVIL = "</script><script>alert(1)</script>\"'&\x00\x1b[31m"


class Tags(HTMLParser):
    """The names of all elements, and the links."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.links += [value for name, value in attrs if name == "href" and value]


@pytest.fixture
def suite(tmp_path: Path) -> tuple[SuiteDirectory, SuiteState]:
    """The committed run, one with foreign text everywhere, and one that was left out."""
    said = {"started_at": "2026-11-27T03:00:00.000+00:00", "ended_at": "2026-11-27T03:01:00.000+00:00"}
    run = Attempt(run_id=SAMPLE.name, run_dir=str(SAMPLE), outcome="held", target_seconds=40.0, duration_s=60.0, **said)
    evil = Attempt(
        run_id=EVIL, run_dir=str(tmp_path / EVIL.replace("/", "").replace("\x00", "")), outcome="refuted",
        reasons=[EVIL], because=EVIL, **said,
    )  # fmt: skip
    state = SuiteState(
        suite_id="20261127T030000Z-local-0001", environment="local", env="local", source=EVIL, command=EVIL,
        started_at=said["started_at"], not_chosen={EVIL: EVIL},
        items=[
            Item(entry=entry("az-loss"), attempts=[run]),
            Item(entry=entry("evil", title=EVIL, settings=(EVIL,)), attempts=[evil], not_repeated=EVIL),
            Item(entry=entry("left"), left="the deadline"),
        ],
    )  # fmt: skip
    return SuiteDirectory(tmp_path / "reports" / "suites" / state.suite_id), state


def test_the_page_says_the_worst_first_and_links_the_reports(suite: tuple[SuiteDirectory, SuiteState]) -> None:
    """Refuted at the top with what did not hold; a link that leads from the summary to the report of the run."""
    folder, state = suite
    summary, _ = write_pages(folder, state)
    page = summary.read_text()
    found = Tags()
    found.feed(page)

    assert "2 of 3 experiments did not hold: evil refuted, left not run" in page
    assert page.index("What did not hold") < page.index("All experiments")
    assert [(SAMPLE / "report.html").resolve()] == [(folder.path / link).resolve() for link in found.links]
    assert "availability during fault" not in page[: page.index("All experiments")]  # what held is no trouble


def test_no_text_gets_out_of_its_place(suite: tuple[SuiteDirectory, SuiteState]) -> None:
    """No script, no style of others, nothing that XML cannot hold."""
    folder, state = suite
    summary, junit = write_pages(folder, state)
    found = Tags()
    found.feed(summary.read_text())

    assert "script" not in found.names
    assert 1 == found.names.count("style")
    assert "default-src 'none'" in summary.read_text()
    assert "\x1b" not in summary.read_text() + junit.read_text()
    ET.fromstring(junit.read_text())


def test_junit_is_red_for_what_did_not_hold(suite: tuple[SuiteDirectory, SuiteState]) -> None:
    """Refuted a failure, not run an error, not chosen skipped; the counts at the top are those below."""
    folder, state = suite
    _, junit = write_pages(folder, state)
    root = ET.fromstring(junit.read_text())

    counts = {name: int(root.get(name, "-1")) for name in ("tests", "failures", "errors", "skipped")}
    claims = len(root.findall("testsuite[@name='stormproof.az-loss']/testcase")) - 1
    assert claims > 0
    assert {"tests": 4 + claims, "failures": 1, "errors": 1, "skipped": 1} == counts


def test_the_state_comes_back_as_it_was_but_for_secrets(suite: tuple[SuiteDirectory, SuiteState]) -> None:
    """What is read is what was written; the value of a secret is never written."""
    folder, state = suite
    state.items[0].entry = entry("az-loss", settings=("var.password=hunter2", "timeline.fault=10s"))
    write_state(folder, state)
    back = read_state(folder)

    assert "hunter2" not in folder.state.read_text()
    assert ("var.password=[redacted]", "timeline.fault=10s") == back.items[0].entry.settings
    back.items[0].entry = state.items[0].entry
    assert state == back
    assert "timeline.fault=10s" == hidden("timeline.fault=10s")
