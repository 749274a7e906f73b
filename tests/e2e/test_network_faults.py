"""The faults of a dependency's proxy in the lab that is up: what a caller meets on its own socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import statistics
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stormproof.faults import catalogue
from stormproof.faults.canary import ask, ask_together
from stormproof.faults.protocol import Fault, Seen
from stormproof.lab.topology import tls_percent_key
from stormproof.record.arrivals import parse_line
from support.lab import RunningLab, until

pytestmark = pytest.mark.lab


@pytest.fixture
def whole_lab(lab: RunningLab) -> Iterator[RunningLab]:
    """The shared lab, whole before and after."""
    lab.wait_until_whole()
    yield lab
    lab.wait_until_whole()


@contextmanager
def in_force(lab: RunningLab, kind: str, **arguments: Any) -> Iterator[Fault]:
    """A fault, acted and seen, and reverted at the end whatever becomes of the test."""
    wanted = {**catalogue.module(kind).EXAMPLE, **arguments}
    resolved = catalogue.resolve(kind, wanted, lab.environment, fault_id="1")
    fault = catalogue.bind(kind, resolved.target, resolved.configuration)
    prior = fault.prior()
    fault.act()
    try:
        until(lambda: fault.look().seen is Seen.BROKEN)
        yield fault
    finally:
        fault.revert(prior)
        until(lambda: fault.look().seen is Seen.WHOLE)


@contextmanager
def caller(lab: RunningLab) -> Iterator[http.client.HTTPConnection]:
    """A caller of recommendations, as the shop is one; it keeps its connection."""
    parts = urllib.parse.urlsplit(lab.environment.dependencies["recommendations"].url)
    with contextlib.closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)) as connection:
        yield connection


def get_once(lab: RunningLab) -> int:
    with caller(lab) as connection:
        return get(connection)


def get(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/recommendations?user=u", headers={"user-agent": "test app/e2e"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def arrivals(lab: RunningLab, dependency: str, since_s: float) -> list[dict[str, Any]]:
    """What the proxy has logged since; its log is flushed every 200 ms."""
    log = lab.environment.dependencies[dependency].access_log
    assert log is not None
    rows = [parse_line(line, dependency) for line in Path(log).read_bytes().splitlines()]
    return [row for row in rows if row is not None and row["t_start_s"] >= since_s]


def test_a_caller_is_refused_by_the_kernel(whole_lab: RunningLab) -> None:
    """ECONNREFUSED on a new connection; one that was open is closed; another dependency does not notice."""
    with caller(whole_lab) as kept:
        assert get(kept) == 200
        with in_force(whole_lab, "dependency-refuse"):
            with pytest.raises(ConnectionRefusedError):
                get_once(whole_lab)
            kept.sock.settimeout(5)
            assert kept.sock.recv(1) == b""
            assert ask(whole_lab.environment.dependencies["reviews"].url + "/healthz", timeout_s=5).status == 200
    assert get_once(whole_lab) == 200


def test_a_caller_is_reset_half_way(whole_lab: RunningLab) -> None:
    """ECONNRESET once the request is sent; the proxy marks that one, and none of our canary's."""
    since_s = time.time()
    with in_force(whole_lab, "dependency-reset") as fault:
        with caller(whole_lab) as connection:
            connection.connect()  # accepted
            with pytest.raises(ConnectionResetError):
                get(connection)
        for _ in range(10):
            assert fault.look().seen is Seen.BROKEN

        def reset() -> list[dict[str, Any]]:
            return [row for row in arrivals(whole_lab, "recommendations", since_s) if "UR" in row["flags"]]

        until(lambda: len(reset()) > 0)
        assert whole_lab.status()["faults"] == [{"kind": "listener", "what": _LISTENERS_CHANGED}]
        assert [(row["outcome"], row["status"]) for row in reset()] == [("reset", 0)]


_LISTENERS_CHANGED = "listeners/listeners.json, which Envoy watches, is not the lab's"


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ("expired", "certificate_has_expired"),
        ("wrong-host", "somebody-else.lab.test"),
        ("self-signed", "self_signed_certificate"),
    ],
)
def test_a_handshake_fails_for_its_own_reason(whole_lab: RunningLab, certificate: str, reason: str) -> None:
    """The answer names the reason; with the right certificate on the same way the request succeeds."""
    with in_force(whole_lab, "dependency-bad-tls", certificate=certificate) as fault:
        assert reason in fault.look().evidence["text"]
    control = tls_percent_key("recommendations", "valid")
    whole_lab.admin.set({control: "100"})
    try:
        until(lambda: whole_lab.status()["faults"] != [])
        assert get_once(whole_lab) == 200
    finally:
        whole_lab.admin.set({control: None})


def test_a_lookup_fails(whole_lab: RunningLab) -> None:
    """The proxy has asked a name server and was told that there is no such name."""
    with in_force(whole_lab, "dependency-dns"):
        since_s = time.time()
        assert get_once(whole_lab) == 503
        log = Path(str(whole_lab.environment.dependencies["recommendations"].access_log))

        def details() -> list[str]:
            lines = [json.loads(line) for line in log.read_bytes().splitlines() if line.endswith(b"}")]
            return [str(line["details"]) for line in lines if float(line["start_s"]) >= since_s]

        until(lambda: any("Domain_name_not_found" in detail for detail in details()))


def test_latency_varies_within_its_bounds(whole_lab: RunningLab) -> None:
    """Thirty requests: each between delay - jitter and delay + jitter, spread over that range, not a few values."""
    with in_force(whole_lab, "dependency-latency", delay="250ms", jitter="100ms"):
        since_s = time.time()
        with caller(whole_lab) as connection:
            assert {get(connection) for _ in range(30)} == {200}

        def held_back() -> list[float]:
            rows = arrivals(whole_lab, "recommendations", since_s)
            return [row["duration_ms"] for row in rows if row["client"] == "e2e"]

        until(lambda: len(held_back()) == 30)
        took_ms = held_back()

    assert min(took_ms) >= 149
    assert len({round(each / 5) for each in took_ms}) >= 8
    # Uniform over ±100 ms has a standard deviation of 58 ms; late timers can only push values up.
    assert statistics.stdev(took_ms) >= 30
    assert 200 <= statistics.median(took_ms) <= 350


def test_a_caller_cannot_slow_itself_down(whole_lab: RunningLab) -> None:
    """The proxy's own delay header is not taken from callers: a mark is the fault's, or nobody's."""
    begun = time.monotonic()
    with caller(whole_lab) as connection:
        connection.request("GET", "/recommendations?user=u", headers={"x-envoy-fault-delay-request": "3000"})
        assert connection.getresponse().status == 200

    assert time.monotonic() - begun < 2


def test_a_share_is_a_share(whole_lab: RunningLab) -> None:
    """Of 200 requests 30 % are answered with the error, give or take (99.99 % of the binomial)."""
    with in_force(whole_lab, "dependency-error", status=500, share="30%"), caller(whole_lab) as connection:
        statuses = [get(connection) for _ in range(200)]

    assert set(statuses) == {200, 500}
    assert 35 <= statuses.count(500) <= 87


@pytest.mark.parametrize("dependency", ["cart", "sqs", "s3"])
def test_an_aws_service_is_refused_too(whole_lab: RunningLab, dependency: str) -> None:
    """Every dependency has the listener, whatever stands behind it."""
    parts = urllib.parse.urlsplit(whole_lab.environment.dependencies[dependency].url)
    with in_force(whole_lab, "dependency-refuse", dependency=dependency), socket.socket() as probe:
        assert probe.connect_ex((parts.hostname, parts.port)) != 0


def test_a_time_out_for_a_share_is_felt_and_spares_the_rest(whole_lab: RunningLab) -> None:
    """A look of many requests meets it; of 60 calls of a caller about 30 % are late, and the others are not."""
    with in_force(whole_lab, "dependency-timeout", delay="400ms", share="30%") as fault:
        evidence = fault.look().evidence
        assert 1 <= evidence["held_back"] < evidence["requests"] == 20
        url = whole_lab.environment.dependencies["recommendations"].url + "/recommendations?user=u"
        late = sum(reply.took_ms >= 320 for reply in ask_together(url, 60, timeout_s=5))
    assert 4 <= late <= 36  # outside with a probability of one in a hundred thousand
