"""Who is told what, when: a webhook on loopback, an SNS topic of moto, and what a message says."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormproof.errors import UnavailableError, UsageError
from stormproof.run.message import Message
from stormproof.suite.settings import NotifyFields
from stormproof.suite.state import Attempt, Item, SuiteDirectory, SuiteState, read_state, write_state
from stormproof.suite.tell import tell
from stormproof.suite.webhook import as_mrkdwn, post
from support.suites import entry

VARIABLE = "STORMPROOF_WEBHOOK"
MESSAGE = Message(subject="s", lines=("refuted", "a <!channel> & *b*"), link="https://ci.example.com/1")


class Hook(http.server.ThreadingHTTPServer):
    """Answers with *answers*, one after the other, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self, *answers: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answers, self.bodies = list(answers), list[str]()

    @property
    def url(self) -> str:
        """Where it listens; a path that is a secret."""
        return f"http://127.0.0.1:{self.server_address[1]}/services/SECRET"


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.bodies.append(json.loads(body)["text"])
        self.send_response(self.server.answers.pop(0))
        self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook that takes everything."""
    yield from served(Hook(*[200] * 9))


def served(one: Hook) -> Iterator[Hook]:
    """*one*, listening."""
    thread = threading.Thread(target=one.serve_forever, args=(0.01,))
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()


def night(reports: Path, day: int, outcome: str, link: str = "") -> tuple[SuiteDirectory, SuiteState]:
    """A suite of one experiment that came to *outcome* on that day, on disk."""
    at = f"2026-11-{day:02d}T03:00:00.000+00:00"
    attempt = Attempt(
        run_id=f"202611{day:02d}T030000Z-az-loss-0001", run_dir=str(reports / "none"), started_at=at, outcome=outcome,
        reasons=["half of it failed"],
    )  # fmt: skip
    state = SuiteState(
        suite_id=f"202611{day:02d}T030000Z-local-0001", environment="local", env="local", source="experiments",
        command="stormproof", started_at=at, items=[Item(entry=entry("az-loss"), attempts=[attempt])], link=link,
    )  # fmt: skip
    folder = SuiteDirectory(reports / "suites" / state.suite_id)
    write_state(folder, state)
    return folder, state


def test_trouble_is_told_with_what_why_since_when_and_where(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held, refuted, refuted, held, held: nothing, two messages, the all-clear, nothing. Written down."""
    monkeypatch.setenv(VARIABLE, hook.url)
    link = "https://ci.example.com/{suite}/summary.html"
    for day, outcome in enumerate(("held", "refuted", "refuted", "held", "held"), start=1):
        folder, state = night(tmp_path, day, outcome, link)
        tell(folder, state, NotifyFields(webhook=VARIABLE), reports=tmp_path)

    assert [
        "*REFUTED in local: 1 of 1 experiments did not hold: az-loss refuted*\n"
        f"• az-loss refuted: half of it failed. Since 2026-11-02 03:00 UTC{row}.\n"
        f"https://ci.example.com/202611{day:02d}T030000Z-local-0001/summary.html"
        for day, row in ((2, ""), (3, ", 2 in a row"))
    ] == hook.bodies[:2]
    assert ["*HELD in local: the experiment held*", "• held again: az-loss"] == hook.bodies[2].splitlines()[:2]
    assert 3 == len(hook.bodies)
    assert {f"the webhook in {VARIABLE}": ""} == read_state(
        SuiteDirectory(tmp_path / "suites" / "20261102T030000Z-local-0001")
    ).told


def test_who_cannot_be_told_changes_nothing_but_is_written_down(tmp_path: Path) -> None:
    """No URL: a sentence in the state, no exception."""
    folder, state = night(tmp_path, 1, "refuted")
    told = tell(folder, state, NotifyFields(webhook=VARIABLE), reports=tmp_path)

    assert "expected the https URL" in told[f"the webhook in {VARIABLE}"]
    assert told == read_state(folder).told


@pytest.mark.parametrize(
    ("answers", "calls", "problem"),
    [((200,), 1, ""), ((503, 429, 204), 3, ""), ((500,) * 3, 3, "500"), ((404,), 1, "404"), ((302,), 1, "302")],
)
def test_a_webhook_is_asked_again_only_where_that_may_help(
    answers: tuple[int, ...], calls: int, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Busy: up to three times. Refused or sent elsewhere: once. The URL is a secret and in no message."""
    for hook in served(Hook(*answers)):
        monkeypatch.setenv(VARIABLE, hook.url)
        if problem:
            with pytest.raises(UnavailableError, match=problem) as caught:
                post(MESSAGE, variable=VARIABLE, pause_s=0.0)
            assert "SECRET" not in str(caught.value)
        else:
            post(MESSAGE, variable=VARIABLE, pause_s=0.0)
        assert calls == len(hook.bodies)


@pytest.mark.parametrize(
    "url", ["", "http://hooks.example.com/x", "file:///etc/passwd", "http://127.0.0.1.example.com/"]
)
def test_a_webhook_is_https_or_loopback(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said in the clear, to a file, or to nobody."""
    monkeypatch.setenv(VARIABLE, url)

    with pytest.raises(UsageError, match=VARIABLE):
        post(MESSAGE, variable=VARIABLE, pause_s=0.0)


def test_nobody_is_called_by_foreign_text() -> None:
    """Slack's mentions, links and bold letters in a message are letters."""
    assert "*refuted*\n• a &lt;!channel&gt; &amp; ∗b∗\nhttps://ci.example.com/1" == as_mrkdwn(MESSAGE)


def test_a_topic_gets_a_subject_that_sns_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ASCII, one line, at most 100 characters; the text with all of it."""
    import boto3
    from moto import mock_aws
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.sns.models import sns_backends

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        arn = boto3.client("sns", region_name="eu-central-1").create_topic(Name="chaos")["TopicArn"]
        folder, state = night(tmp_path, 1, "refuted")
        state.items[0].entry = entry("ünruhe" * 30)
        told = tell(folder, state, NotifyFields(topic=arn), reports=tmp_path)
        sent = sns_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"].topics[arn].sent_notifications

    assert {arn: ""} == told
    _, text, subject, *_ = sent[0]
    assert subject.startswith("stormproof local: refuted (1 of 1 experiments did not hold: ?nruhe")
    assert 100 == len(subject)
    assert "half of it failed" in text
