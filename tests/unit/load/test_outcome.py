"""Errors as a few stable words."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import pytest

from stormproof.load.outcome import TEXT_MAX, error_text, is_own_shortage


class CatchResponseError(Exception):
    """Named like Locust's, which carries what a locustfile says about a response."""


@pytest.mark.parametrize(
    ("exception", "status", "expected"),
    [
        (None, 200, ""),
        (TimeoutError("timed out"), 0, "timeout"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), 0, "connection refused"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), 0, "reset"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 0, "reset"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), 0, "unreachable"),
        (ValueError("whatever"), 503, "status 503"),
        (ValueError("at 0x7f0011"), 0, "ValueError"),
        (CatchResponseError("price  is\nwrong"), 200, "price is wrong"),
    ],
)
def test_each_failure_has_its_word(exception: BaseException | None, status: int, expected: str) -> None:
    """One failure, one word; no address, no message of the library."""
    assert error_text(exception, status) == expected


def test_the_innermost_cause_decides() -> None:
    """Libraries wrap: the word is that of the exception at the bottom."""
    wrapped = RuntimeError("retries exceeded")
    wrapped.original = ConnectionRefusedError(errno.ECONNREFUSED, "no")  # type: ignore[attr-defined]

    assert error_text(wrapped, 0) == "connection refused"


def test_a_long_word_of_the_locustfile_is_cut() -> None:
    """A body pasted into a failure does not end up in every row."""
    assert len(error_text(CatchResponseError("x" * 5000), 200)) == TEXT_MAX


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EADDRNOTAVAIL])
def test_our_own_shortage_is_not_the_workloads_failure(number: int) -> None:
    """No file descriptors or ports left is the generator's failure, however deep it is wrapped."""
    wrapped = RuntimeError("retries exceeded")
    wrapped.__cause__ = OSError(number, "ours")

    assert is_own_shortage(wrapped)
    assert not is_own_shortage(ConnectionRefusedError(errno.ECONNREFUSED, "theirs"))
    assert not is_own_shortage(None)


def test_every_failure_that_locust_may_report_has_a_word() -> None:
    """What FastHttpUser catches, wrapped as it wraps it: none of it falls through to a class name.

    Runs in a child because importing Locust patches the process. When Locust learns a new failure, this fails.
    """
    script = """
import locust
import json, inspect
from locust.contrib import fasthttp
from geventhttpclient.useragent import RetriesExceeded
from stormproof.load.outcome import error_text
made = {}
for kind in fasthttp.FAILURE_EXCEPTIONS:
    if kind in (fasthttp.ConnectionError, OSError):
        continue  # umbrellas: what they wrap decides
    error = kind() if kind is fasthttp.Timeout else kind("x")
    made[f"{kind.__module__}.{kind.__name__}"] = error_text(RetriesExceeded("url", 0, original=error), 0)
print(json.dumps(made))
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    words = json.loads(answer.stdout.splitlines()[-1])

    assert len(words) >= 6
    assert set(words.values()) <= {"timeout", "connection refused", "reset", "closed", "tls", "malformed answer"}
