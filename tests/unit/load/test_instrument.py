"""The changed HTTP client. In a process of its own, because importing Locust patches the whole process."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def in_a_worker(script: str) -> str:
    """What *script* prints where Locust may be imported."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FEED = """
import locust, sys
from geventhttpclient.response import HTTPSocketPoolResponse
from stormproof.load.instrument import bounded_feed

class Pieces:
    def __init__(self, *pieces): self.pieces = list(pieces)
    def recv(self, size): return self.pieces.pop(0)

class Pool:
    def __init__(self): self.what = None
    def return_socket(self, sock): self.what = "kept"
    def release_socket(self, sock): self.what = "closed"

def outcome(method, *pieces):
    pool = Pool()
    try:
        response = HTTPSocketPoolResponse(Pieces(*pieces, b""), pool, method=method)
        return response.status_code, dict(response.info()), response.read(), pool.what
    except Exception as error:
        return type(error).__name__, str(error), pool.what

HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-length: 4\\r\\nx-zone: a\\r\\n\\r\\n"
CASES = [(method, *pieces) for method in ("GET", "HEAD", "POST") for pieces in (
    (HEAD + b"okay",), (HEAD, b"ok", b"ay"), (HEAD + b"okay and more",), (HEAD,), (HEAD, b"ok"), (b"not http",),
    (b"HTTP/1.1 100 Continue\\r\\n\\r\\n", HEAD + b"okay"), (HEAD[:20], HEAD[20:] + b"okay"),
)]
plain = [outcome(*case) for case in CASES]
HTTPSocketPoolResponse.feed = bounded_feed(HTTPSocketPoolResponse.feed, TIMEOUT_S)
bounded = [outcome(*case) for case in CASES]
"""


def test_a_bounded_response_is_what_the_library_reads() -> None:
    """Whole, in pieces, cut off, too long, malformed, interim: answers and the socket's fate are the library's own."""
    script = FEED.replace("TIMEOUT_S", "10.0")

    printed = in_a_worker(script + "print(len(plain), [c for c, p, b in zip(CASES, plain, bounded) if p != b])")

    assert printed.split(maxsplit=1) == ["24", "[]\n"]


def test_a_body_later_than_its_time_is_cut_off() -> None:
    """With no time at all, what came in one read is fine and what needs more reads is a time-out."""
    script = FEED.replace("TIMEOUT_S", "-1.0")

    printed = in_a_worker(script + "print(bounded[0][0], bounded[1][0])")

    assert printed.split() == ["200", "TimeoutError"]
