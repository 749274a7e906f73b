"""Guardrails, the kill switch and stop conditions: refused before anything is touched, or stopped while it goes on."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stormprobes.alarm_state import alarm_state
from stormproof.cli.confirming import confirm
from stormproof.errors import GuardrailError
from stormproof.lab.snapshot import differences, snapshot
from stormproof.model.guardrails import Guardrails
from support.command import ROOT, started, stormproof, stormproof_here, variables, wait_for
from support.lab import RunningLab
from support.planning import make_environment, make_experiment

pytestmark = [pytest.mark.lab, pytest.mark.timeout(150)]

SHORT = ("--set", "timeline.steady=3s", "--set", "timeline.fault=40s", "--set", "timeline.recovery=10s")


def experiment(folder: Path, *, allowed: dict[str, Any], slug: str = "az-loss", **change: Any) -> Path:
    """The shipped *slug* with *change*, in a place where the environment has *allowed* as its guardrails."""
    spec = yaml.safe_load((ROOT / "experiments" / slug / "experiment.yaml").read_text())
    there = folder / "experiments" / slug
    there.mkdir(parents=True)
    (there / "load.py").write_text((ROOT / "experiments" / slug / "load.py").read_text())
    (there / "experiment.yaml").write_text(yaml.safe_dump({**spec, **change}))
    environments = folder / "experiments" / "environments"
    environments.mkdir()
    (environments / "local.yaml").write_text(yaml.safe_dump({"name": "local", "kind": "lab", "guardrails": allowed}))
    return there


@pytest.fixture(scope="module")
def whole(lab: RunningLab) -> dict[str, Any]:
    """What the lab is like; whatever these tests do to it has to end there."""
    lab.wait_until_whole()
    return snapshot(lab.environment)


ALL_WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def closed_window() -> dict[str, Any]:
    """A window of one hour that is twelve hours away."""
    hour = (time.gmtime().tm_hour + 12) % 24
    return {"days": ALL_WEEK, "from": f"{hour:02}:00", "to": f"{(hour + 1) % 24:02}:00", "zone": "UTC"}


@pytest.mark.parametrize(
    ("guardrails", "change", "code", "says"),
    [
        ({"faults": ["throttling"]}, {}, 64, "guardrails.faults"),
        ({"accounts": ["999999999999"]}, {}, 64, "guardrails.accounts"),
        ({"regions": ["eu-west-1"]}, {}, 64, "guardrails.regions"),
        ({"tags": {"chaos-ready": "yes, please"}}, {}, 64, "guardrails.tags"),
        ({"change_windows": [closed_window()]}, {}, 64, "guardrails.change_windows"),
        ({"kill_switch": "/"}, {}, 64, "guardrails.kill_switch"),
        ({"kill_switch": "http://127.0.0.1:9/stop"}, {}, 64, "guardrails.kill_switch"),
        ({"max_targets": 1}, {"limits": {"duration": "3m", "targets": 1000}}, 64, "guardrails.max_targets"),
        ({"max_duration": "2m"}, {"limits": {"duration": "1h"}}, 64, "guardrails.max_duration"),
        ({"max_targets": 1}, {"guardrails": {"max_targets": 9}}, 65, "belongs to the environment's file"),
        ({}, {"limits": {"duration": "3m", "targets": 1}}, 65, "limits.targets"),
        ({}, {"limits": {"duration": "3m", "share": "30%"}}, 65, "limits.share"),
        ({}, {"faults": [{"az-loss": {"zone": "a"}}, {"az-loss": {"zone": "a"}}]}, 65, "limits.faults_at_once"),
        ({}, {"stop_when": ['alarm "nobody made me"']}, 65, "expected an alarm"),
    ],
)
def test_what_is_not_allowed_is_refused_before_anything_is_touched(
    lab: RunningLab,
    whole: dict[str, Any],
    tmp_path: Path,
    guardrails: dict[str, Any],
    change: dict[str, Any],
    code: int,
    says: str,
) -> None:
    """One crafted attempt at each; the lab after is the lab before, and there is no run."""
    spec = experiment(tmp_path, allowed=guardrails, **change)
    done = stormproof_here("run", spec, "--out", tmp_path / "runs", **variables(lab.directory, tmp_path))

    assert done.code == code, done.err
    assert says in done.err
    assert differences(whole, snapshot(lab.environment)) == []
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", [("run", "--dry-run"), ("rehearse",)], ids=" ".join)
def test_a_dry_run_and_a_rehearsal_are_refused_alike(lab: RunningLab, tmp_path: Path, command: tuple[str, ...]) -> None:
    """A rehearsal breaks things too; and a dry run that promises what the run refuses would be a lie."""
    spec = experiment(tmp_path, allowed={"faults": ["throttling"]})
    done = stormproof_here(*command, spec, "--out", tmp_path / "runs", **variables(lab.directory, tmp_path))

    assert done.code == 64
    assert "guardrails.faults" in done.err
    assert not (tmp_path / "runs").exists()


def test_a_spec_cannot_bring_an_environment_of_its_own(lab: RunningLab, tmp_path: Path) -> None:
    """A file for the same environment, without the guardrails, beside the spec: refused, not preferred."""
    crafted = experiment(tmp_path / "crafted", allowed={})
    known = tmp_path / "known"
    experiment(known, allowed={"faults": ["throttling"]})
    environment = variables(lab.directory, tmp_path)
    done = stormproof("run", crafted, "--out", tmp_path / "runs", cwd=known, **environment)

    assert done.code == 64
    assert "which is the same environment" in done.err
    assert not (tmp_path / "runs").exists()


def test_a_plain_experiment_does_not_slip_past(lab: RunningLab, tmp_path: Path) -> None:
    """What `compile` makes of a spec is refused where the spec itself would be."""
    spec = experiment(tmp_path, allowed={"faults": ["throttling"]})
    environment = variables(lab.directory, tmp_path)
    plain = spec / "plain.json"
    assert stormproof("compile", spec, "--to", "chaostoolkit", "--out", plain, **environment).code == 0
    done = stormproof("run", plain, "--out", tmp_path / "runs", **environment)

    assert done.code == 64
    assert "guardrails.faults" in done.err


@pytest.mark.parametrize("given", [(), ("--confirm", "local"), ("--confirm", "yes")])
def test_an_environment_that_wants_a_phrase_gets_it_or_nothing_happens(
    lab: RunningLab, tmp_path: Path, given: tuple[str, ...]
) -> None:
    """Without a terminal nobody is asked: the phrase has to be on the command line."""
    spec = experiment(tmp_path, allowed={"confirm": "required"})
    done = stormproof_here("run", spec, *given, "--out", tmp_path / "runs", **variables(lab.directory, tmp_path))

    assert done.code == 64
    assert "local az-loss" in done.err
    assert not (tmp_path / "runs").exists()


@contextlib.contextmanager
def typed(text: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A terminal at which somebody has typed *text*."""
    keyboard, terminal = os.openpty()
    os.write(keyboard, text.encode())
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield
    os.close(keyboard)


def test_the_phrase_is_typed_at_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is asked for by name; another answer ends it."""
    guardrails, environment, spec = Guardrails(confirm=True), make_environment(), make_experiment()
    with typed("local az-loss\n", monkeypatch):
        confirm(guardrails, environment, spec, given=None)
    assert "type: local az-loss" in capsys.readouterr().err

    with typed("y\n", monkeypatch), pytest.raises(GuardrailError, match="another phrase"):
        confirm(guardrails, environment, spec, given=None)


def events_of(out: Path) -> list[dict[str, Any]]:
    """The events of the only run under *out*, so far."""
    return [
        json.loads(line)
        for path in out.glob("*/2*/events.jsonl")
        for line in path.read_text().splitlines()
        if line.endswith("}")
    ]


def felt(out: Path) -> bool:
    """Whether the fault of the run under *out* has been felt."""
    return any(row["event"] == "fault.felt" for row in events_of(out))


def assert_aborted(run: Any, out: Path, environment: dict[str, str], lab: RunningLab, says: str) -> dict[str, Any]:
    """It ends as aborted, for the reason; the lab is whole, nothing is left to undo. Returns the abort event."""
    stdout, stderr = run.communicate(timeout=60)
    assert run.returncode == 4, stderr[-2000:]
    assert json.loads(stdout)["verdict"] == "aborted"
    (abort,) = [row for row in events_of(out) if row["event"] == "abort"]
    assert says in abort["reason"]
    lab.wait_until_whole()
    assert stormproof_here("undo", "--list", "--out", out, **environment).code == 0
    return abort


@pytest.mark.alone  # a load that is not delivered makes it invalid, whatever ended it
def test_a_kill_switch_thrown_during_the_fault_ends_it(lab: RunningLab, tmp_path: Path) -> None:
    """Within seconds, though it is asked only once a second; and the phrase on the command line lets it begin."""
    lab.wait_until_whole()
    guardrails = {
        "kill_switch": "../stop-chaos",
        "confirm": "required",
        "faults": ["dependency-timeout"],
        "tags": {"chaos-ready": "true"},
    }
    spec = experiment(tmp_path, slug="dependency-timeout", allowed=guardrails)
    environment, out = variables(lab.directory, tmp_path), tmp_path / "runs"
    phrase = ("--confirm", "local dependency-timeout")
    with started("run", spec, *phrase, "--json", "--out", out, *SHORT, **environment) as run:
        wait_for("the fault", lambda: felt(out), within_s=40)
        thrown_at = time.time()
        (tmp_path / "experiments" / "stop-chaos").touch()
        abort = assert_aborted(run, out, environment, lab, "stop-chaos is there")

    assert abort["by"] == "person"
    gone = [row["at"] for row in events_of(out) if row["event"] == "fault.gone"]
    assert gone
    assert gone[-1] - thrown_at < 8


@pytest.mark.alone  # a load that is not delivered makes it invalid, whatever ended it
def test_a_probe_ends_the_run(lab: RunningLab, tmp_path: Path) -> None:
    """Two of six targets are lost: fewer than five are healthy, and stay so for a second."""
    lab.wait_until_whole()
    spec = experiment(tmp_path, allowed={}, stop_when=["healthy targets < 5 for 1s"])
    environment, out = variables(lab.directory, tmp_path), tmp_path / "runs"
    with started("run", spec, "--json", "--out", out, *SHORT, **environment) as run:
        wait_for("the fault", lambda: felt(out), within_s=40)
        abort = assert_aborted(run, out, environment, lab, "last reading: 4 healthy targets")

    assert abort["by"] == "stop_when"


@pytest.fixture
def alarm(lab: RunningLab) -> Iterator[Any]:
    """An alarm of the lab's CloudWatch, and how to set its state."""
    cloudwatch = lab.client("cloudwatch", attempts=3)
    cloudwatch.put_metric_alarm(
        AlarmName="checkout-5xx",
        MetricName="5xx",
        Namespace="shop",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    yield lambda state: cloudwatch.set_alarm_state(AlarmName="checkout-5xx", StateValue=state, StateReason="a test")
    cloudwatch.delete_alarms(AlarmNames=["checkout-5xx"])


def test_the_probe_reads_the_state_of_an_alarm(lab: RunningLab, alarm: Any) -> None:
    """Its own word, INSUFFICIENT_DATA included; an unknown name and no answer are errors."""
    url, region = lab.environment.aws.endpoint_url, lab.environment.aws.region
    os.environ.update({"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "NO_PROXY": "*"})
    try:
        for state in ("INSUFFICIENT_DATA", "OK", "ALARM"):
            alarm(state)
            seen = alarm_state(["checkout-5xx"], region, url)["alarms"]["checkout-5xx"]
            assert (seen["state"], seen["reason"]) == (state, "a test")
        with pytest.raises(ValueError, match="'nobody'"):
            alarm_state(["checkout-5xx", "nobody"], region, url)
        with pytest.raises(OSError, match="cloudwatch"):
            alarm_state(["checkout-5xx"], region, "http://127.0.0.1:9")
        with pytest.raises(ValueError, match="1 to 100"):
            alarm_state([], region, url)
    finally:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY"):
            del os.environ[name]


def test_an_alarm_that_rings_already_refuses_the_run(
    lab: RunningLab, whole: dict[str, Any], alarm: Any, tmp_path: Path
) -> None:
    """An experiment on a sick system proves nothing; one without data is told, and watched."""
    lab.wait_until_whole()
    spec = experiment(tmp_path, allowed={}, stop_when=['alarm "checkout-5xx"'])
    environment = variables(lab.directory, tmp_path)
    alarm("ALARM")
    done = stormproof("run", spec, "--out", tmp_path / "runs", **environment)
    assert done.code == 64
    assert "in state ALARM before the start" in done.err
    assert differences(whole, snapshot(lab.environment)) == []

    alarm("INSUFFICIENT_DATA")
    told = stormproof("run", spec, "--dry-run", **environment)
    assert told.code == 0, told.err
    assert "in state INSUFFICIENT_DATA" in told.err


@pytest.mark.alone  # a load that is not delivered makes it invalid, whatever ended it
def test_an_alarm_ends_the_run(lab: RunningLab, alarm: Any, tmp_path: Path) -> None:
    """Polled while the fault is in force."""
    lab.wait_until_whole()
    alarm("OK")
    spec = experiment(
        tmp_path,
        slug="dependency-timeout",
        allowed={},
        stop_when=['alarm "checkout-5xx"', "error rate > 99% for 9s"],
    )
    environment, out = variables(lab.directory, tmp_path), tmp_path / "runs"
    with started("run", spec, "--json", "--out", out, *SHORT, **environment) as run:
        wait_for("the fault", lambda: felt(out), within_s=40)
        rung_at = time.time()
        alarm("ALARM")
        abort = assert_aborted(run, out, environment, lab, 'alarm "checkout-5xx"')

    assert abort["by"] == "stop_when"
    assert abort["wall_s"] - rung_at < 5
