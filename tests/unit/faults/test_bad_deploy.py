"""A bad release is bound to a deployment that knows it, and to everything that it may reach."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from stormproof.errors import InputError
from stormproof.faults import bad_deploy, catalogue
from stormproof.faults.protocol import Seen
from stormproof.model.environment import Deployment
from support.planning import make_environment

DEPLOYMENT = Deployment(
    parameter="/deployment/shop/wanted", status_parameter="/deployment/shop/status", broken=("2-bad", "3-bad")
)
ENVIRONMENT = dataclasses.replace(make_environment(), deployment=DEPLOYMENT)


def test_every_instance_may_be_reached() -> None:
    """How far a release gets is not in the fault's hands: limits must count all of them."""
    fault = catalogue.resolve("bad-deploy", {}, ENVIRONMENT, fault_id="1-bad-deploy")

    assert fault.targets == ("i-a1", "i-a2", "i-b1", "i-b2", "i-c1", "i-c2")
    assert fault.target["release"] == "2-bad"
    assert catalogue.resolve("bad-deploy", {"release": "3-bad"}, ENVIRONMENT, fault_id="1").target["release"] == "3-bad"


@pytest.mark.parametrize(
    ("environment", "arguments"),
    [(ENVIRONMENT, {"release": "2"}), (make_environment(), {}), (make_environment(), {"release": "2-bad"})],
    ids=["a release that works", "no deployment", "no deployment, and a name"],
)
def test_only_a_release_that_is_known_to_fail(environment: object, arguments: dict[str, str]) -> None:
    """Releasing something else would test nothing, or break what nobody can mend."""
    with pytest.raises(InputError, match=r"bad-deploy\.release"):
        catalogue.resolve("bad-deploy", arguments, environment, fault_id="1", where="e.yaml:9")  # type: ignore[arg-type]


@pytest.fixture
def servers() -> Iterator[list[tuple[str, dict[str, object]]]]:
    """Three instances that say which release they are, and how well; what they say can be changed."""
    running, found = [], []
    for _ in range(3):
        says: dict[str, object] = {"release": "1", "status": 200}

        class Handler(BaseHTTPRequestHandler):
            own = says

            def do_GET(self) -> None:
                self.send_response(int(str(self.own["status"])))
                self.send_header("x-build", str(self.own["release"]))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        found.append((f"http://127.0.0.1:{server.server_address[1]}", says))
    yield found
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([("1", 200), ("1", 200), ("1", 200)], Seen.WHOLE),
        ([("2-bad", 503), ("1", 200), ("1", 200)], Seen.BROKEN),
        ([("2-bad", 503)] * 3, Seen.BROKEN),
        ([("1", 200), ("1", 200), ("1", 503)], Seen.PARTIAL),
        ([("1", 200), ("1", 200), ("0", 200)], Seen.PARTIAL),
        ([("2-bad", 200), ("1", 200), ("1", 200)], Seen.PARTIAL),
        ([("2-bad", 200)] * 3, Seen.PARTIAL),
    ],
    ids=[
        "all good", "one bad", "all bad", "one is ill otherwise", "two good releases",
        "it does not fail", "it fails nowhere",
    ],
)  # fmt: skip
def test_what_the_instances_say_decides(
    servers: list[tuple[str, dict[str, object]]], states: list[tuple[str, int]], expected: Seen
) -> None:
    """Felt when one serves the bad build and is not well; whole when all are, with one release that is not ours."""
    for (_, says), (release, status) in zip(servers, states, strict=True):
        says |= {"release": release, "status": status}
    fault = bad_deploy.BadDeploy(
        parameter="/p", status_parameter="/s", release="2-bad", urls=[url for url, _ in servers], configuration={}
    )

    assert fault.look().seen is expected


def test_who_does_not_answer_is_neither() -> None:
    """A server that is gone says nothing about a release."""
    fault = bad_deploy.BadDeploy(
        parameter="/p", status_parameter="/s", release="2-bad", urls=["http://127.0.0.1:9"], configuration={}
    )

    assert fault.look().seen is Seen.PARTIAL
