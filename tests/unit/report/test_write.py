"""A run directory in, three files out: whatever is missing, hostile or long."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import shutil
import socket
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from golden.report import storyboard
from stormproof.errors import RunDirectoryError
from stormproof.model.verdict import Outcome
from stormproof.record.layout import RunDirectory
from stormproof.record.seal import seal
from stormproof.report.bar import interval_bar
from stormproof.report.page_junit import render_junit
from stormproof.report.page_markdown import code, escape, prose
from stormproof.report.plot import draw
from stormproof.report.series import tabulate
from stormproof.report.write import write_reports
from stormproof.verdict.assess import assess
from stormproof.verdict.document import write_verdict
from support.synthetic import SyntheticRun

BOARDS = (
    storyboard.held, storyboard.refuted, storyboard.invalid, storyboard.aborted, storyboard.hostile,
    storyboard.foreign, storyboard.bare,
)  # fmt: skip
WORDS = ("held", "refuted", "invalid", "aborted", "refuted", "refuted", "invalid")


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def html_of(run: RunDirectory) -> str:
    return write_reports(run)[0].read_text()


@pytest.mark.parametrize(("build", "word"), list(zip(BOARDS, WORDS, strict=True)))
def test_every_run_gets_a_page_with_its_verdict_first(build: Any, word: str, tmp_path: Path) -> None:
    """Held or broken, whole or nearly empty: the page begins with the verdict, and has no gap called None or nan."""
    text = Page(html_of(build(tmp_path / "run"))).text
    begin = text[text.index("experiment report") :]
    places = {outcome: begin.find(outcome.value.capitalize()) for outcome in Outcome}

    assert min((place, outcome) for outcome, place in places.items() if place >= 0)[1] == word
    assert begin.index(word.capitalize()) < begin.index("What was claimed")
    assert "None" not in text
    assert "nan" not in text.lower().split()


@pytest.mark.parametrize("build", BOARDS)
def test_nothing_on_the_page_can_act_or_reach_out(build: Any, tmp_path: Path) -> None:
    """No script, no handler, no address to load or follow, no style outside the one sheet: in any report."""
    page = Page(html_of(build(tmp_path / "run")))
    allowed = {
        "html", "head", "meta", "title", "style", "body", "header", "main", "section", "article", "footer", "h1", "h2",
        "h3", "p", "span", "b", "small", "ul", "ol", "li", "dl", "dt", "dd", "div", "table", "thead", "tbody", "tr",
        "th", "td", "pre", "code", "details", "summary", "svg", "rect", "line", "path", "text", "tspan", "circle",
        "desc",
    }  # fmt: skip
    attributes = {name for _, attrs in page.tags for name in attrs}

    assert {tag for tag, _ in page.tags} <= allowed
    assert not [name for name in attributes if name.startswith("on")]
    assert not attributes & {"href", "src", "xlink:href", "action", "style", "srcset", "data"}
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_the_policy_allows_the_one_style_sheet(tmp_path: Path) -> None:
    """The hash in the policy is that of the sheet as it stands in the page."""
    import base64

    html = html_of(storyboard.held(tmp_path / "run"))
    sheet = html.split("<style>", 1)[1].split("</style>", 1)[0]

    assert base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode() in html.split("<style>", 1)[0]


def test_the_page_prints_what_the_judges_wrote(tmp_path: Path) -> None:
    """From samples over the real assessment to the page: outcome, every claim, and every check with its reason."""
    run = SyntheticRun().write(tmp_path / "run")
    judged = assess(run)
    write_verdict(run.verdict, judged)
    text = " ".join(Page(html_of(run)).text.split())

    assert judged.findings
    assert judged.checks
    for said in (judged.outcome.value.capitalize(), *(one.claim for one in judged.findings)):
        assert said in text
    for check in judged.checks:
        assert " ".join(check.reason.replace("`", "").split())[:200] in text


def test_hostile_text_is_shown_not_obeyed(tmp_path: Path) -> None:
    """What a stranger wrote is there to be read, in all its angle brackets."""
    page = Page(html_of(storyboard.hostile(tmp_path / "run")))

    assert storyboard.HOSTILE in page.text
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text


def test_hostile_text_does_not_break_the_xml_or_the_markdown(tmp_path: Path) -> None:
    """junit.xml parses although NUL and escapes were in the texts; report.md keeps its tables."""
    _, markdown, junit = write_reports(storyboard.hostile(tmp_path / "run"))
    suite = ET.parse(junit).getroot()
    table = [line for line in markdown.read_text().splitlines() if line.startswith("| ")]

    assert suite.get("failures") == "2"
    assert {line.replace("\\|", "").count("|") for line in table} == {7}
    assert "<script>" not in markdown.read_text().replace("`", "\0").split("\0")[0]


def test_same_directory_same_bytes_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy elsewhere, reported again with the network taken away, gives the same three files."""
    run = storyboard.refuted(tmp_path / "run")
    shutil.copytree(run.path, tmp_path / "elsewhere" / "copy")
    first = [path.read_bytes() for path in write_reports(run)]

    def refuse(*_: object) -> None:
        raise AssertionError("a report asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    again = [path.read_bytes() for path in write_reports(run)]
    copy = [path.read_bytes() for path in write_reports(RunDirectory(tmp_path / "elsewhere" / "copy"))]

    assert again == first
    assert copy == first


def test_a_sealed_run_is_left_as_it_is(tmp_path: Path) -> None:
    """With SHA256SUMS in place a report goes into a numbered revision, and --out goes where it says."""
    run = storyboard.held(tmp_path / "run")
    write_reports(run)
    seal(run)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}

    second, third = write_reports(run)[0], write_reports(run)[0]
    out = write_reports(run, out=tmp_path / "out")[0]

    assert [second.parent.name, third.parent.name, out.parent.name] == ["001", "002", "out"]
    assert second.read_bytes() == run.report_html.read_bytes()
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """No run.json, or no verdict.json: one clear error."""
    with pytest.raises(RunDirectoryError, match=r"run\.json"):
        write_reports(RunDirectory(tmp_path))
    run = storyboard.bare(tmp_path / "run")
    run.verdict.unlink()
    with pytest.raises(RunDirectoryError, match="analyse"):
        write_reports(run)


def test_a_torn_run_still_gets_its_report(tmp_path: Path) -> None:
    """Events cut in the middle, a broken journal, unreadable samples: the page says what it could not read."""
    run = storyboard.held(tmp_path / "run")
    run.journal.write_text('{"status": ')
    run.events.write_bytes(run.events.read_bytes()[:-40])
    next(run.samples.glob("*.parquet")).write_bytes(b"not parquet")

    text = Page(html_of(run)).text

    assert "The samples could not be read" in text
    assert str(tmp_path) not in text


def test_a_run_of_any_length_stays_under_a_megabyte(tmp_path: Path) -> None:
    """Ten hours, a thousand endpoints, a thousand kinds of failure, ten thousand events, long claims: still a page."""
    seconds = 36_000
    rows = storyboard.samples(until_s=240)
    rows["scheduled_at"] = [storyboard.ZERO_S + number for number in range(seconds)]
    rows["endpoint"] = [f"/endpoint/{number % 1000}" for number in range(seconds)]
    rows.loc[::7, "ok"] = False
    rows["error"] = [f"error {number % 1000}" if number % 7 == 0 else "" for number in range(seconds)]
    third = seconds / 3
    windows = {
        phase: (storyboard.ZERO_S + third * number, storyboard.ZERO_S + third * (number + 1))
        for number, phase in enumerate(("steady", "fault", "recovery"))
    }
    findings = tuple(storyboard.finding(claim=f"{number} " + "long " * 500, reason="r" * 5000) for number in range(300))
    told = storyboard.events(until_s=seconds) + [
        {"event": f"note {number}", "who": "x" * 500, "wall_s": storyboard.ZERO_S + number, "text": "y" * 900}
        for number in range(10_000)
    ]
    run = storyboard.write_run(
        tmp_path / "run",
        the_verdict=storyboard.verdict(windows=windows, findings=findings),
        the_samples=rows,
        the_events=told,
    )

    html, markdown, _ = write_reports(run)

    assert 100_000 < html.stat().st_size < 1_000_000
    assert "more in verdict.json" in html.read_text()
    assert markdown.stat().st_size < 300_000


@pytest.mark.parametrize(
    ("build", "failures", "errors"),
    [
        (storyboard.held, 0, 0),
        (storyboard.refuted, 3, 1),
        (storyboard.invalid, 0, 5),
        (storyboard.aborted, 0, 4),
        (storyboard.foreign, 1, 0),
        (storyboard.bare, 0, 1),
    ],
)
def test_ci_is_red_for_anything_but_held(build: Any, failures: int, errors: int, tmp_path: Path) -> None:
    """Refuted claims are failures, everything undecided is an error, and the counts are those of the cases."""
    suite = ET.parse(write_reports(build(tmp_path / "run"))[2]).getroot()

    assert (suite.get("failures"), suite.get("errors")) == (str(failures), str(errors))
    assert len(suite.findall("testcase/failure")) == failures
    assert len(suite.findall("testcase/error")) == errors


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_verdict_itself_is_a_case(outcome: Outcome, tmp_path: Path) -> None:
    """Even when every finding held and every check is sound, a run that is not held is red."""
    from stormproof.report.facts import read_facts
    from stormproof.report.page import assemble

    run = storyboard.write_run(tmp_path / "run", the_verdict=storyboard.verdict(outcome=outcome))
    suite = ET.fromstring(render_junit(assemble(read_facts(run))))

    red = len(suite.findall("testcase/failure")) + len(suite.findall("testcase/error"))
    assert red == (0 if outcome is Outcome.HELD else 1)


def test_markdown_notifies_nobody_and_links_nowhere() -> None:
    """Mentions, issue numbers and addresses are broken up; lists and headings cannot be begun."""
    assert escape("- @team see #12 http://x <b>") == "\\- @\u200bteam see #\u200b12 http://\u200bx \\<b\\>"
    assert escape("1. one\n\n# two") == "1\u200b. one # two"
    assert escape("71.7 % of all") == "71.7 % of all"
    assert prose("`a <b` is *wrong* `") == "`a <b` is \\*wrong\\* \\`"
    assert code("a`b``c") == "```a`b``c```"


@pytest.mark.parametrize(
    ("changes", "has_bar"),
    [
        ({}, True),
        ({"low": None, "high": None, "estimate": None}, False),
        ({"high": None, "estimate": None}, True),
        ({"low": 0.995, "high": 0.995, "estimate": 0.995}, True),
        ({"low": 0.0, "high": 0.0, "estimate": 0.0, "bound": 0.0}, True),
        ({"high": math.inf}, True),
    ],
)
def test_an_interval_bar_stays_in_its_picture(changes: dict[str, Any], has_bar: bool) -> None:
    """Missing, infinite and degenerate intervals give a bar inside its frame, or none."""
    bar = interval_bar(storyboard.finding(**changes))

    assert (bar is not None) == has_bar
    if bar is not None:
        marks = [bar.low_x, bar.high_x, bar.bound_x, *([bar.estimate_x] if bar.estimate_x is not None else [])]
        assert all(0 <= x <= bar.width for x in marks)
        assert bar.low_x <= bar.high_x


@pytest.mark.parametrize(("op", "left"), [("<=", 0.0), (">=", None)])
def test_the_green_side_of_a_bar_is_the_side_that_keeps_the_bound(op: str, left: float | None) -> None:
    """Below the bound for an upper bound, above it for a lower one."""
    bar = interval_bar(storyboard.finding(op=op))

    assert bar is not None
    assert bar.allowed_x == (bar.bound_x if left is None else left)
    assert bar.allowed_x + bar.allowed_width == pytest.approx(bar.bound_x if op == "<=" else bar.width)


def test_marks_that_would_overlap_take_another_lane() -> None:
    """A fault of half a second among fifty: its four words stand in two rows, each inside the picture."""
    samples = storyboard.samples()
    series = tabulate(samples, [])
    assert series is not None
    short = dataclasses.replace(
        storyboard.confirmation(), undone_at=storyboard.ZERO_S + 17.6, gone_at=storyboard.ZERO_S + 17.8
    )

    for one, rows in ((storyboard.confirmation(), 1), (short, 2)):
        drawing = draw(
            series, windows=storyboard.WINDOWS, confirmations=[one], zero_s=storyboard.ZERO_S, width=1000,
            panel_height=100, ident="wide",
        )  # fmt: skip

        assert len({mark.label.y for mark in drawing.marks}) == rows
        assert {mark.label.text for mark in drawing.marks} == {"injected", "felt", "undone", "gone"}
        fault = next(band for band in drawing.bands if band.phase == "fault")
        assert fault.x == pytest.approx(58 + (1000 - 58 - 14) * 17.1 / 53, abs=0.2)


def test_a_page_about_a_changed_record_says_so(tmp_path: Path) -> None:
    """Somebody wrote "held" into a sealed verdict: the page and the text carry the broken seal, near the top."""
    run = SyntheticRun().write(tmp_path / "run")
    write_verdict(run.verdict, assess(run))
    seal(run)
    untouched = write_reports(run, out=tmp_path / "before")
    assert all("not as it was sealed" not in path.read_text() for path in untouched)

    run.verdict.write_text(run.verdict.read_text().replace('"simulated": true', '"simulated": false'))
    html, markdown, _ = write_reports(run, out=tmp_path / "after")

    assert "verdict.json was changed" in html.read_text()
    assert "not as it was sealed" in markdown.read_text()
