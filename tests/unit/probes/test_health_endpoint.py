"""A look at a live endpoint: a real server on loopback, and what a balancer would have made of its answers."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Sequence

import pytest

from stormprobes._health_watch import Look
from stormprobes.health_endpoint import balancer_of, health_endpoint, main
from support.command import stormproof


class Statuses(http.server.BaseHTTPRequestHandler):
    """Answers with the server's next status; 302 points to another host."""

    def do_GET(self) -> None:
        left: list[int] = self.server.statuses  # type: ignore[attr-defined]
        self.send_response(left.pop(0) if left else 200)
        self.send_header("Location", "http://127.0.0.2:9/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    """A server whose `statuses` a test fills."""
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Statuses)
    running.statuses = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def url_of(server: http.server.ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/healthz"


def test_answers_are_counted_and_a_balancer_is_followed(server: http.server.ThreadingHTTPServer) -> None:
    """Three failures in a row eject, two successes take back."""
    server.statuses += [200, 503, 503, 503, 200, 200, 200]  # type: ignore[attr-defined]
    reading = health_endpoint(url_of(server), 0.01, 7, 1.0, 3, 2)

    assert {"200": 4, "503": 3} == reading["answers"]
    assert (7, 4, 2) == (reading["looks"], reading["ok"], reading["flips"])
    assert [False, True] == [change["healthy"] for change in reading["balancer"]["changes"]]
    assert "healthy" == reading["balancer"]["state"]
    assert 0 < reading["latency_ms"]["p50"] <= reading["latency_ms"]["max"]


def test_a_redirect_is_an_answer_and_not_followed(server: http.server.ThreadingHTTPServer) -> None:
    """Only the host that was named is called; a balancer would not call it healthy either."""
    server.statuses += [302]  # type: ignore[attr-defined]
    reading = health_endpoint(url_of(server), 0.01, 1)

    assert ({"302": 1}, 0) == (reading["answers"], reading["ok"])


def test_no_answer_is_a_reading_without_latencies() -> None:
    """Nobody listens: not an error of the probe."""
    reading = health_endpoint("http://127.0.0.1:9/healthz", 0.01, 3, 0.2, 3, 2)

    assert ({"no answer": 3}, None, "unhealthy") == (
        reading["answers"], reading["latency_ms"]["p50"], reading["balancer"]["state"],
    )  # fmt: skip


def seen(good: Sequence[bool]) -> list[Look]:
    return [
        Look(target="", sent_at=number, done_at=number + 0.5, status=200 if ok else 500)
        for number, ok in enumerate(good)
    ]


@pytest.mark.parametrize(
    ("good", "u", "h", "changes", "healthy_share"),
    [
        ([True, False, False, True], 3, 2, [], 1.0),
        ([True, False, False, False], 3, 2, [(3.5, False)], 1.0),
        ([False, False, True, True], 2, 2, [(1.5, False), (3.5, True)], 1.5 / 3.5),
        ([False, True, False, True], 1, 1, [(0.5, False), (1.5, True), (2.5, False), (3.5, True)], 1.5 / 3.5),
        ([False, True, False, True, False], 2, 2, [], 1.0),  # never two in a row
    ],
)
def test_thresholds_count_failures_in_a_row(
    good: list[bool], u: int, h: int, changes: list[tuple[float, bool]], healthy_share: float
) -> None:
    """A state lasts from the end of the look that decided it."""
    said = balancer_of(seen(good), unhealthy_threshold=u, healthy_threshold=h)

    assert changes == [(change["after_s"], change["healthy"]) for change in said["changes"]]
    assert pytest.approx(healthy_share) == said["healthy_share"]


@pytest.mark.parametrize(
    "wrong", [["--url", "ftp://x/"], ["--url", "http://127.0.0.1/", "--count", "0"], ["--url", "http:///x"]]
)
def test_arguments_that_make_no_sense_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """64 and a sentence; nothing is called."""
    assert 64 == main(wrong)
    assert "expected" in capsys.readouterr().err


def test_the_command_prints_one_document_or_a_table(server: http.server.ThreadingHTTPServer) -> None:
    """`stormproof probe health`: JSON for programs, lines for people, words for a slip."""
    looked = ["--url", url_of(server), "--count", "3", "--interval", "10ms"]
    as_json, as_text = stormproof("probe", "health", *looked, "--json"), stormproof("probe", "health", *looked)
    slip = stormproof("probe", "health", "--url", url_of(server), "--interval", "fast")

    assert ("health_endpoint", 3, 0) == (
        json.loads(as_json.out)["probe"], as_json.document["value"]["ok"], as_json.code,
    )  # fmt: skip
    assert "healthy answers             3 (100.0%)" in as_text.out
    assert (64, True) == (slip.code, "--interval fast: expected a duration" in slip.err)
