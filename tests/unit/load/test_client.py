"""The client that works things out once, beside Locust's own: the same bytes go out, and the same comes back."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

# Both clients ask the same server the same things in the same order, each three times: the first time everything is
# worked out, the later times it is known. What the server read and what the caller was given are printed side by side.
BOTH = """
import locust, json, sys, zlib
import gevent
from gevent.server import StreamServer
from locust import FastHttpUser
from locust.env import Environment
from stormproof.load import client

ANSWERS = {
    "/gzip": b"HTTP/1.1 200 OK\\r\\ncontent-encoding: gzip\\r\\ncontent-length: %d\\r\\n\\r\\n",
    "/chunked": b"HTTP/1.1 200 OK\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n3\\r\\nabc\\r\\n0\\r\\n\\r\\n",
    "/none": b"HTTP/1.1 204 No Content\\r\\n\\r\\n",
    "/missing": b"HTTP/1.1 404 Not Found\\r\\ncontent-length: 2\\r\\n\\r\\nno",
    "/broken": b"HTTP/1.1 503 Unavailable\\r\\ncontent-length: 2\\r\\nretry-after: 1\\r\\n\\r\\nno",
    "/cookie": b"HTTP/1.1 200 OK\\r\\nset-cookie: basket=7; path=/\\r\\ncontent-length: 2\\r\\n\\r\\nok",
    "/moved": b"HTTP/1.1 302 Found\\r\\nlocation: /plain\\r\\ncontent-length: 0\\r\\n\\r\\n",
    "/kept": b"HTTP/1.1 307 Kept\\r\\nlocation: /moved\\r\\ncontent-length: 0\\r\\n\\r\\n",
    "/loop": b"HTTP/1.1 302 Found\\r\\nlocation: /loop\\r\\ncontent-length: 0\\r\\n\\r\\n",
    "/last": b"HTTP/1.1 200 OK\\r\\nconnection: close\\r\\ncontent-length: 2\\r\\n\\r\\nok",
    "/interim": b"HTTP/1.1 100 Continue\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok",
    "/silent": b"",
    "/cut": b"HTTP/1.1 200 OK\\r\\ncontent-length: 9\\r\\n\\r\\nok",
    "/nonsense": b"this is not HTTP\\r\\n\\r\\n",
}
PACKED = zlib.compressobj(wbits=31)
PACKED = PACKED.compress(b"packed") + PACKED.flush()
ANSWERS["/gzip"] = ANSWERS["/gzip"] % len(PACKED) + PACKED
PLAIN = b"HTTP/1.1 200 OK\\r\\nx-zone: a\\r\\nx-zone: b\\r\\ncontent-length: 4\\r\\n\\r\\nokay"
read = []

def serve(connection, _address):
    stream = connection.makefile("rb")
    while line := stream.readline():
        lines = [line]
        while (line := stream.readline()) not in (b"\\r\\n", b""):
            lines.append(line)
        sizes = [int(one.split(b":")[1]) for one in lines if one.lower().startswith(b"content-length")]
        body = stream.read(sizes[0]) if sizes else b""
        read.append(b"".join(lines).decode("latin-1") + "|" + body.decode("latin-1"))
        path = lines[0].split()[1].decode().split("?")[0]
        answer = ANSWERS.get(path, PLAIN)
        head, end, _ = answer.partition(b"\\r\\n\\r\\n")
        connection.sendall(head + end if lines[0].startswith(b"HEAD") else answer)
        if path in ("/last", "/silent", "/cut", "/nonsense"):
            return

server = StreamServer(("127.0.0.1", 0), serve)
server.start()
HOST = f"http://127.0.0.1:{server.server_port}"
CASES = [
    ("GET", "/plain", {}),
    ("GET", "/a b/ä?q=1 2&r=%20#part", {}),
    ("GET", "/plain", {"headers": {"X-One": "1", "accept-encoding": "identity"}}),
    ("GET", "/plain", {"headers": {"X-One": "2"}, "name": "other"}),
    ("GET", "/plain", {"headers": {"X-Many": ["1", "2"]}}),
    ("GET", "/plain", {"headers": {"X-Bad": "1\\r\\nX-Smuggled: 2"}}),
    ("GET", "/interim", {"headers": {"Expect": "100-continue"}}),
    ("GET", "/plain", {"params": {"p": "1 2"}}),
    ("GET", "/plain", {"auth": ("me", "secret")}),
    ("GET", "http://127.0.0.1:1/refused", {}),
    ("HEAD", "/plain", {}), ("OPTIONS", "/plain", {}), ("DELETE", "/plain", {}),
    ("POST", "/plain", {}), ("POST", "/plain", {"data": "a=1"}), ("POST", "/plain", {"data": {"a": "1"}}),
    ("PUT", "/plain", {"json": {"a": [1]}}), ("PATCH", "/plain", {"data": b"bytes"}),
    ("GET", "/plain", {"allow_redirects": False}),
    *[("GET", path, {}) for path in ANSWERS], ("HEAD", "/moved", {}), ("POST", "/moved", {"data": "x"}),
    ("GET", "/moved", {"allow_redirects": False}),
    ("GET", "/plain", {}),  # once more, with the cookie in the jar
]

def told(of):
    read.clear()
    class User(FastHttpUser):
        host = HOST
        network_timeout = connection_timeout = 5.0
        max_redirects = 4
    events = []
    environment = Environment(user_classes=[User], events=locust.events, host=HOST)
    told_of = ("name", "request_type", "url", "response_length")
    listener = lambda **event: events.append([*map(event.get, told_of), type(event["exception"]).__name__])
    environment.events.request.add_listener(listener)
    session = User(environment).client
    assert isinstance(session.client, client.SparingUserAgent) == of
    given = []
    for method, path, options in CASES:
        for _ in range(3):
            try:
                answer = session.request(method, path, **options)
            except Exception as error:
                given.append((method, path, type(error).__name__, str(error)))
                continue
            request = getattr(answer, "request", None)
            given.append((
                method, path, answer.status_code, repr(answer.content),
                sorted(map(str, (answer.headers or {}).items())),
                type(getattr(answer, "error", None)).__name__, str(getattr(answer, "error", None)),
                [one.status_code for one in getattr(answer, "_history", [])],
                (request.url, request.method, sorted(map(str, request.headers.items())), request.host, request.selector,
                 request.type, request.origin_req_host, request.original_origin, request.unverifiable, request.full_url,
                 str(request.url_split)),
                str(getattr(answer, "_sent_request", None)),
            ))
    environment.events.request.remove_listener(listener)
    return list(read), given, events

stock = told(False)
client.install()
spared = told(True)
assert len(stock[0]) > 100 and len(stock[1]) == 3 * len(CASES)
print(json.dumps([[(a, b) for a, b in zip(x, y) if a != b] + [(len(x), len(y))] * (len(x) != len(y))
                  for x, y in zip(stock, spared)]))
"""


def in_a_worker(script: str) -> str:
    """What *script* prints where Locust may be imported."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_goes_out_and_the_same_comes_back() -> None:
    """Methods, bodies, headers, cookies, redirects, refusals, half answers: bytes, answers and events are alike."""
    assert in_a_worker(BOTH) == "[[], [], []]\n"


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        ("client.SparingCookieJar.add_cookie_header = lambda *_: None", "a cookie that is not sent"),
        (
            """
def learn(self, key, response, learn=client.SparingUserAgent._learn):
    learn(self, key, response)
    if key in client._known:
        client._known.update({one: client._known[key] for one in client._known if one[:2] == key[:2]})
client.SparingUserAgent._learn = learn
""",
            "the bytes of a request with other headers",
        ),
    ],
)
def test_a_client_that_differs_is_noticed(spoil: str, what: str) -> None:
    """The comparison can fail: each of these defects is seen by it."""
    script = BOTH.replace("spared = told(True)", f"{spoil}\nspared = told(True)")

    assert in_a_worker(script) != "[[], [], []]\n", what


def test_an_idle_connection_is_looked_at_without_giving_way() -> None:
    """Open, closed by the peer, with bytes nobody asked for, closed by us, and above descriptor 1,023, all at once."""
    printed = in_a_worker(
        """
        import locust, resource, socket
        import gevent
        from stormproof.load import client

        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        def pair():
            return socket.socketpair()
        gave_way = []
        gevent.spawn(gave_way.append, "others went first")
        near, far = pair()
        print(client.is_open(None, near))
        far.send(b"x")
        print(client.is_open(None, near))
        ended, peer = pair()
        peer.close()
        print(client.is_open(None, ended))
        shut, _ = pair()
        shut.close()
        print(client.is_open(None, shut), client.is_open(None, None))
        many = [pair() for _ in range(520)]
        high = max((one for two in many for one in two), key=lambda one: one.fileno())
        print(high.fileno() > 1023, client.is_open(None, high))
        print(gave_way)
        """
    )

    assert printed.splitlines() == ["True", "False", "False", "False False", "True True", "[]"]


def test_a_name_is_asked_for_and_an_address_is_not() -> None:
    """Both kinds of address are used as they are; a name goes to the resolver, each time."""
    printed = in_a_worker(
        """
        import locust, gevent.socket
        from geventhttpclient.connectionpool import ConnectionPool
        from stormproof.load import client

        client.install()
        asked = []
        own = gevent.socket.getaddrinfo
        gevent.socket.getaddrinfo = lambda host, *rest: asked.append(host) or own(host, *rest)
        for host in ("127.0.0.1", "::1", "localhost", "localhost"):
            found = ConnectionPool(host, 80, host, 80)._resolve()
            addresses = {one[4] for one in own(host, 80, 0, gevent.socket.SOCK_STREAM, gevent.socket.SOL_TCP)}
            print(host, {one[4] for one in found} == addresses, {(int(one[1]), one[2]) for one in found})
        print(asked)
        """
    )

    assert printed.splitlines() == [
        *(f"{host} True {{(1, 6)}}" for host in ("127.0.0.1", "::1", "localhost", "localhost")),
        "['localhost', 'localhost']",
    ]


def test_users_share_what_they_send_alike_and_nothing_else() -> None:
    """Two users of a class send the same bytes; one of a class with another default header sends its own, each time."""
    printed = in_a_worker(
        """
        import locust
        from gevent.server import StreamServer
        from locust import FastHttpUser
        from locust.env import Environment
        from stormproof.load import client

        read = []
        def serve(connection, _address):
            while asked := connection.recv(4096):
                read.append(b"x-class: b" in asked.lower())
                connection.sendall(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
        server = StreamServer(("127.0.0.1", 0), serve)
        server.start()
        client.install()
        class A(FastHttpUser):
            host = f"http://127.0.0.1:{server.server_port}"
        class B(A):
            default_headers = {"X-Class": "b"}
        environment = Environment(user_classes=[A, B], events=locust.events)
        for user_class in (A, B, A, B, A):
            session = user_class(environment).client
            print([session.get("/").status_code for _ in range(2)], read[-2:])
        session.client.default_headers.update({"X-Class": "b"})  # as a control group's client is marked
        print([session.get("/").status_code for _ in range(2)], read[-2:], len(client._known))
        """
    )

    of_a, of_b = "[204, 204] [False, False]", "[204, 204] [True, True]"
    assert printed.splitlines() == [of_a, of_b, of_a, of_b, of_a, f"{of_b} 2"]
