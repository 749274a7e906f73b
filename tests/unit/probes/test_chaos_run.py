"""Probes that need no lab, from a plain Chaos Toolkit experiment; `tests/e2e/test_health_probes.py` has the others."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command import ROOT, environment
from support.retry_traces import some_calls, trace

PROBES = ROOT / "probes" / "stormprobes"
WITH_A_LAB = ROOT / "tests" / "e2e" / "test_health_probes.py"
WITH_AN_ACCOUNT = ROOT / "tests" / "aws" / "test_probes.py"
(SAMPLE_RUN,) = (ROOT / "reports" / "sample" / "az-loss").iterdir()


class Well(http.server.BaseHTTPRequestHandler):
    """Always healthy."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A health endpoint."""
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Well)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}/healthz"
    running.shutdown()
    thread.join()
    running.server_close()


def called(name: str, **arguments: Any) -> dict[str, Any]:
    """A probe as a function: `stormprobes.<name>.<name>`."""
    provider = {"type": "python", "module": f"stormprobes.{name}", "func": name, "arguments": arguments}
    return {"type": "probe", "name": name, "provider": provider}


def closing(name: str) -> dict[str, Any]:
    """A probe that reads the record of a run: the command that Stormproof itself asks."""
    arguments = ["-m", f"stormprobes.{name}", "--run", str(SAMPLE_RUN)]
    return {
        "type": "probe",
        "name": f"closing {name}",
        "tolerance": 0,
        "provider": {"type": "process", "path": sys.executable, "arguments": arguments},
    }


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, url: str) -> dict[str, Any]:
    """What each activity of one experiment put out."""
    folder = tmp_path_factory.mktemp("chaos")
    some_calls(trace("axios_retry_linear"), 20).to_csv(folder / "arrivals.csv", index=False)
    experiment = {
        "title": "Somebody else's experiment",
        "description": "Nothing of it is Stormproof's but the probes.",
        "method": [
            called("retry_with_jitter", path="arrivals.csv", format="csv"),
            called("health_endpoint", url=url, interval_s=0.01, count=5),
            closing("health_check"),
            closing("retry_with_jitter"),
        ],
    }
    (folder / "experiment.json").write_text(json.dumps(experiment))
    played = subprocess.run(
        [str(Path(sys.executable).with_name("chaos")), "--no-version-check", "run", "experiment.json"],
        capture_output=True, text=True, timeout=240, cwd=folder, env=environment({}), check=False,
    )  # fmt: skip
    assert 0 == played.returncode, played.stdout + played.stderr
    journal = json.loads((folder / "journal.json").read_text())
    assert "completed" == journal["status"]
    return {one["activity"]["name"]: one["output"] for one in journal["run"] if one["status"] == "succeeded"}


def test_clients_are_read_off_a_file(seen: dict[str, Any]) -> None:
    """The journal holds the whole reading."""
    reading = seen["retry_with_jitter"]

    assert ("linear", 7, 20) == (reading["family"], reading["attempts_max"], reading["n_ops"])


def test_an_endpoint_is_looked_at(seen: dict[str, Any]) -> None:
    """Five looks at a server that is well."""
    assert (5, "healthy") == (seen["health_endpoint"]["ok"], seen["health_endpoint"]["balancer"]["state"])


@pytest.mark.parametrize("name", ["health_check", "retry_with_jitter"])
def test_closing_probes_are_commands(seen: dict[str, Any], name: str) -> None:
    """A process that exits 0 and prints one document, which says whose it is."""
    output = seen[f"closing {name}"]
    document = json.loads(output["stdout"])

    assert (0, name) == (output["status"], document["probe"])
    assert document["value"]["targets" if name == "health_check" else "dependencies"]


def test_no_probe_is_left_out() -> None:
    """What is public in the package is called here or, where it needs a balancer or an account, in the lab."""
    public = {path.stem for path in PROBES.glob("[a-z]*.py")}
    texts = Path(__file__).read_text() + WITH_A_LAB.read_text()
    named = set(re.findall(r"stormprobes\.([a-z][a-z0-9_]*):", texts)) | set(
        re.findall(r"called\(\"([a-z_]+)\"", texts)
    )
    named |= set(re.findall(r'^        "([a-z_]+)": \{', WITH_AN_ACCOUNT.read_text(), re.MULTILINE))

    assert set() == public - named
