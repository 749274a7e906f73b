"""Watching a balancer and, past it, its targets: what becomes a look, a gap, a fault."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from stormprobes._health_watch import Look, faults_from, watch


class Switch(http.server.BaseHTTPRequestHandler):
    """Answers 200, or 503 while the server's `broken` is set."""

    def do_GET(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        self.send_response(503 if self.server.broken.is_set() else 200)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def target() -> Iterator[http.server.ThreadingHTTPServer]:
    """A target that a test can break."""
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Switch)
    running.broken, running.asked = threading.Event(), 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_target_that_breaks_and_mends_is_a_fault_that_is_detected(target: Any) -> None:
    """The balancer (a fake: its n-th answer is scripted) follows some looks later; times come from the direct looks."""
    calls = 0

    def read() -> dict[str, Any]:
        nonlocal calls
        calls += 1
        (target.broken.set if 5 <= calls < 15 else target.broken.clear)()
        return {"targets": {"t": {"zone": "", "healthy": not 10 <= calls < 20, "flags": ["scripted"]}}}

    url = f"http://127.0.0.1:{target.server_address[1]}/healthz"
    seen = watch(read, seconds=3.0, every_s=0.1, target_urls={"t": url}, settings=None)

    (fault,) = seen.faults
    assert (("t",), True) == (fault.targets, fault.silences)
    unhealthy = [look.at_s for look in seen.opinions if not look.targets["t"].healthy]
    assert fault.end_low_s is not None
    assert fault.onset_low_s < fault.onset_high_s < unhealthy[0] < fault.end_low_s < unhealthy[-1]
    assert seen.requests is not None
    assert {200, 503} == set(seen.requests["status"])


def test_a_balancer_that_cannot_be_asked_at_first_is_no_reading() -> None:
    """It raises: nothing that looks like fine is returned."""

    def refuse() -> dict[str, Any]:
        raise OSError("refused")

    with pytest.raises(OSError, match="refused"):
        watch(refuse, seconds=1.0, every_s=0.1, target_urls={}, settings=None)


def test_a_balancer_that_falls_silent_leaves_a_gap() -> None:
    """Two looks, failures between them: the first lasts until the first failure, and nothing is made up."""
    calls = 0

    def read() -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls in {2, 3, 4}:
            raise ValueError("no such cluster")
        return {"targets": {"t": {"healthy": True}}}

    seen = watch(read, seconds=0.8, every_s=0.1, target_urls={}, settings=None)

    first, second = seen.opinions[:2]
    assert second.at_s - first.at_s > 0.3
    assert first.until_s < second.at_s


@pytest.mark.parametrize("seconds", [0.0, -1.0, 4000.0])
def test_a_watch_has_bounds(seconds: float) -> None:
    """An hour at most, more than nothing."""
    with pytest.raises(ValueError, match="seconds"):
        watch(dict, seconds=seconds, every_s=0.1, target_urls={}, settings=None)


def looked(good: Sequence[bool], target: str = "t") -> list[Look]:
    return [
        Look(target=target, sent_at=float(number), done_at=number + 0.1, status=200 if ok else 0)
        for number, ok in enumerate(good)
    ]


@pytest.mark.parametrize(
    ("good", "spans"),
    [
        ([True, True], []),
        ([True, False, False, True], [(0.0, 1.1, 2.0, 3.1)]),
        ([True, False], [(0.0, 1.1, None, None)]),
        ([False, True, True], []),  # nobody saw it break
        ([False, True, False, True, False], [(1.0, 2.1, 2.0, 3.1), (3.0, 4.1, None, None)]),
    ],
)
def test_a_fault_lies_between_whole_looks(good: list[bool], spans: list[tuple[float | None, ...]]) -> None:
    """From the last whole look before to the first broken one; what was broken from the start has no onset."""
    faults = faults_from(looked(good))

    assert spans == [
        (fault.onset_low_s, pytest.approx(fault.onset_high_s), fault.end_low_s, fault.end_high_s) for fault in faults
    ]


def test_each_target_has_its_own_faults() -> None:
    """Looks at several are not mixed."""
    faults = faults_from([*looked([True, False, True], "b"), *looked([True, True, False], "a")])

    assert [("b",), ("a",)] == [fault.targets for fault in faults]
