"""`run --dry-run` shows exactly what would change, and changes nothing: the state is compared, the calls are read."""

from __future__ import annotations

import dataclasses
import http.server
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormproof.faults import catalogue
from stormproof.lab.snapshot import differences, snapshot
from stormproof.plan.dry_run import dry_run
from stormproof.plan.resolve import resolve_faults
from stormproof.spec.loader import load_experiment
from support.command import ROOT, stormproof, stormproof_here, variables
from support.lab import RunningLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

SHIPPED = sorted(path.parent.name for path in (ROOT / "experiments").glob("*/experiment.yaml"))
READS = ("Describe", "Get", "List")


class Recorder(http.server.ThreadingHTTPServer):
    """Stands in front of an AWS endpoint, passes everything on, and keeps the names of the operations."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Recording)
        self.behind, self.operations = behind, list[str]()


class _Recording(http.server.BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        self._pass_on()

    def do_GET(self) -> None:
        self._pass_on()

    def do_DELETE(self) -> None:
        self._pass_on()

    def _operation(self, body: bytes) -> str:
        """By header (json), by form field (query), else by the method, which is what a REST protocol has for it."""
        target = self.headers.get("X-Amz-Target")
        if target:
            return target.rpartition(".")[2]
        form = urllib.parse.parse_qs(body.decode(errors="replace"))
        return form["Action"][0] if "Action" in form else f"{self.command.title()} {self.path}"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.operations.append(self._operation(body))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        request = urllib.request.Request(
            self.server.behind + self.path, data=body or None, headers=headers, method=self.command
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                status, kind, data = answer.status, answer.headers.get("Content-Type", ""), answer.read()
        except urllib.error.HTTPError as error:
            status, kind, data = error.code, error.headers.get("Content-Type", ""), error.read()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def recorder(lab: RunningLab) -> Iterator[Recorder]:
    """A recorder in front of the lab's control plane."""
    assert lab.environment.aws.endpoint_url is not None
    with Recorder(lab.environment.aws.endpoint_url) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.rota(1 / 3)
@pytest.mark.parametrize("slug", SHIPPED)
def test_nothing_is_different_after_a_dry_run(lab: RunningLab, tmp_path: Path, slug: str) -> None:
    """Envoy's runtime and configuration, every file, the instances, networks and processes; and no run is written."""
    lab.wait_until_whole()
    before = snapshot(lab.environment)
    environment = variables(lab.directory, tmp_path)
    done = stormproof_here(
        "run", ROOT / "experiments" / slug, "--dry-run", "--json", "--out", tmp_path / "runs", **environment
    )

    assert done.code == 0, done.err
    assert done.document["dry_run"] is True
    for fault in done.document["faults"]:
        assert fault["targets"]
        assert fault["now"]
        # The look of capacity-denied asks for a launch: a dry run says that it did not take it.
        assert fault["seen"] == ("not looked at" if slug == "capacity-denied" else "whole")
    assert differences(before, snapshot(lab.environment)) == []
    assert not (tmp_path / "runs").exists()
    assert stormproof_here("undo", "--list", "--out", tmp_path / "runs", **environment).code == 0


@pytest.mark.parametrize("slug", SHIPPED)
def test_only_reading_calls_are_made_to_aws(lab: RunningLab, recorder: Recorder, slug: str) -> None:
    """By their names, read on the wire in front of the control plane."""
    lab.wait_until_whole()
    aws = dataclasses.replace(lab.environment.aws, endpoint_url=f"http://127.0.0.1:{recorder.server_port}")
    environment = dataclasses.replace(lab.environment, aws=aws)
    experiment = load_experiment(ROOT / "experiments" / slug, catalogue=catalogue.argument_models(), variables={})
    dry_run(experiment, resolve_faults(experiment, environment), environment)

    assert [name for name in recorder.operations if not name.startswith(READS)] == []
    if slug == "az-loss":
        assert "DescribeInstances" in recorder.operations, "the recorder sees nothing"


def test_the_text_names_every_target_and_its_state(lab: RunningLab, tmp_path: Path) -> None:
    """For a person who is about to break it."""
    lab.wait_until_whole()
    done = stormproof("run", ROOT / "experiments/az-loss", "--dry-run", **variables(lab.directory, tmp_path))

    assert done.code == 0, done.err
    for instance in lab.environment.zones["a"]:
        assert f'"{instance.id}": "running"' in done.out
    assert done.out.rstrip().endswith("dry run: nothing was changed")


def test_what_is_broken_already_is_said(lab: RunningLab, tmp_path: Path) -> None:
    """A dry run ends as the run would: with the error, before anything is touched."""
    lab.wait_until_whole()
    key = "lab.recommendations.delay_percent"
    lab.admin.set({key: "100", "lab.recommendations.delay_ms": "10"})
    try:
        done = stormproof(
            "run", ROOT / "experiments/dependency-timeout", "--dry-run", **variables(lab.directory, tmp_path)
        )
    finally:
        lab.admin.set({key: None, "lab.recommendations.delay_ms": None})

    assert done.code >= 64
    assert "recommendations" in done.err


def test_without_a_lab_nothing_is_started(no_lab: dict[str, str]) -> None:
    """A dry run does not bring up a lab to say what would happen to it."""
    done = stormproof("run", ROOT / "experiments/az-loss", "--dry-run", **no_lab)

    assert done.code == 69
    assert "stormproof lab up" in done.err
    assert not Path(no_lab["STORMPROOF_LAB_DIR"]).exists()
