"""Instances that answer: what moto says of them, made true enough to be called directly."""

from __future__ import annotations

import contextlib
import http.server
import math
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from support.emulated_aws import Estate

_FRESH_S = 0.2  # how long what moto said counts: each look calls every instance, and moto is slow


class _Truth:
    """What moto says of the instances and the parameters, asked for again when it is old."""

    def __init__(self, estate: Estate) -> None:
        self._ec2, self._ssm = estate.client("ec2"), estate.client("ssm")
        self._lock, self._read_at = threading.Lock(), -math.inf
        self._states: dict[str, str] = {}
        self._parameters: dict[str, str] = {}

    def read(self) -> tuple[dict[str, str], dict[str, str]]:
        """State by instance, value by parameter."""
        with self._lock:
            if time.monotonic() - self._read_at > _FRESH_S:
                rows = self._ec2.describe_instances()["Reservations"]
                self._states = {one["InstanceId"]: one["State"]["Name"] for row in rows for one in row["Instances"]}
                found = self._ssm.get_parameters_by_path(Path="/shop", Recursive=True)["Parameters"]
                self._parameters = {row["Name"]: row["Value"] for row in found}
                self._read_at = time.monotonic()
            return self._states, self._parameters


@contextlib.contextmanager
def answering(estate: Estate) -> Iterator[dict[str, str]]:
    """Each instance by its id → its URL, which is also in its tag `url`.

    One that does not run answers nothing. One that does says which release the parameter `/shop/release` wants, and is
    degraded while its own parameter `/shop/<id>/key` is "outdated".
    """
    truth = _Truth(estate)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, instance, path = self.path.split("/", 2)
            states, parameters = truth.read()
            if states.get(instance) != "running":
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("x-instance", instance)
            self.send_header("x-release", parameters.get("/shop/release", "v0"))
            if path == "" and parameters.get(f"/shop/{instance}/key") == "outdated":
                self.send_header("x-degraded", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        urls = {one: f"http://127.0.0.1:{server.server_port}/{one}" for own in estate.instances.values() for one in own}
        for one, url in urls.items():
            estate.client("ec2").create_tags(Resources=[one], Tags=[{"Key": "url", "Value": url}])
        try:
            yield urls
        finally:
            server.shutdown()
            estate.client("ec2").delete_tags(Resources=list(urls), Tags=[{"Key": "url"}])


CALLED_DIRECTLY: Mapping[str, Any] = {"instances": {"address": "tag:url"}}  # of an environment file
