"""The head of an answer is what geventhttpclient makes of it, however it comes in pieces."""

from __future__ import annotations

import pytest

from unit.load.test_client import in_a_worker

SCRIPT = """
import locust, random
from geventhttpclient.response import HTTPResponse
from stormproof.load import answer_head

HEADS = [head.replace("|", "\\r\\n").encode("latin-1") for head in (
    "HTTP/1.1 200 OK||",
    "HTTP/1.1 200 OK|Content-Length: 2|X-Zone: a|Date: Thu, 26 Nov 2026 09:00:00 GMT||ok",
    "HTTP/1.1 200 OK|Set-Cookie: a=1|set-cookie: b=2|X:y|SET-COOKIE: c=3|Content-Length: 0||",
    "HTTP/1.1 204 No Content|Empty:|Also-Empty:   |Last: \xe4\xf6 ||",
    "HTTP/1.1 100 Continue|A: 1||HTTP/1.1 200 OK|B: 2|Content-Length: 0||",
    "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Trailer: T||2|ok|0|T: at the end||",
    "HTTP/1.1 200 OK|Folded: one| two|Content-Length: 0||",
)]

def told():
    draw = random.Random(7)
    rows = []
    for head in HEADS:
        for pieces in [1, *range(2, 40)]:
            cuts = sorted(draw.sample(range(1, len(head)), min(pieces - 1, len(head) - 1)))
            answer = HTTPResponse("GET")
            try:
                for start, end in zip([0, *cuts], [*cuts, len(head)]):
                    answer.feed(head[start:end])
                error = ""
            except Exception as problem:
                error = repr(problem)
            rows.append((answer.get_code(), dict.items(answer._headers_index).__repr__(), answer.message_complete,
                         bytes(answer._body_buffer), error))
    return rows

stock = told()
answer_head.install()
SPOIL
print(len(stock), [one for one in zip(stock, told()) if one[0] != one[1]][:3])
"""


def test_it_is_what_the_library_makes_of_it() -> None:
    """Lines that come twice, empty ones, folded ones, trailers, two heads in a row; cut anywhere."""
    assert in_a_worker(SCRIPT.replace("SPOIL", "")) == "273 []\n"


TWICE = "answer_head._add = lambda headers, name, value: dict.__setitem__(headers, name.lower(), (name, value))"
PIECES = """
def last_piece(answer, text):
    answer._current_header_value, answer._header_state = text, 2
HTTPResponse._on_header_value = last_piece
"""


@pytest.mark.parametrize("spoil", [TWICE, PIECES])
def test_a_difference_is_noticed(spoil: str) -> None:
    """The comparison can fail: a line that comes twice is lost, and so is the first piece of a value."""
    assert not in_a_worker(SCRIPT.replace("SPOIL", spoil)).endswith(" []\n")
