"""The probes of health checks under plain `chaos run`, and a closing reading of a run, on the real lab."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormproof.faults.aws import simulated_environment
from support.command import environment, stormproof
from support.lab import RunningLab

CHAOS = Path(sys.executable).with_name("chaos")
WATCHED_S = 8.0
ALARM = "errors-of-a-plain-experiment"


def activity(kind: str, name: str, function: str, **arguments: Any) -> dict[str, Any]:
    module, func = function.split(":")
    return {
        "type": kind,
        "name": name,
        "provider": {"type": "python", "module": module, "func": func, "arguments": arguments},
    }


def watching(lab: RunningLab, victim: str) -> dict[str, Any]:
    """A plain experiment: both probes watch in the background while chaostoolkit-aws stops and starts an instance."""
    proxy, aws = lab.environment.proxy, lab.environment.aws
    assert proxy is not None
    groups = lab.client("elbv2").describe_target_groups()["TargetGroups"]
    urls = {one.id: f"{one.url}/healthz" for zone in lab.environment.zones.values() for one in zone}
    envoy = activity(
        "probe", "envoy", "stormprobes.health_check:watch_envoy", admin_url=proxy.admin_url,
        cluster=proxy.balancer_cluster, seconds=WATCHED_S, target_names=dict(lab.environment.target_names),
        target_urls={victim: urls[victim]},
    )  # fmt: skip
    elbv2 = activity(
        "probe", "elbv2", "stormprobes.health_check:watch_elbv2", target_group_arn=groups[0]["TargetGroupArn"],
        region=aws.region, seconds=WATCHED_S, endpoint_url=aws.endpoint_url,
    )  # fmt: skip
    looks = [
        activity("probe", "target_health", "stormprobes.target_health:target_health",
                 admin_url=proxy.admin_url, cluster=proxy.balancer_cluster),
        activity("probe", "elbv2_target_health", "stormprobes.elbv2_target_health:elbv2_target_health",
                 target_group_arn=groups[0]["TargetGroupArn"], region=aws.region, endpoint_url=aws.endpoint_url),
        activity("probe", "alarm_state", "stormprobes.alarm_state:alarm_state",
                 names=[ALARM], region=aws.region, endpoint_url=aws.endpoint_url),
    ]  # fmt: skip
    stop = activity("action", "stop", "chaosaws.ec2.actions:stop_instances", instance_ids=[victim])
    start = activity("action", "start", "chaosaws.ec2.actions:start_instances", instance_ids=[victim])
    return {
        "title": "Somebody else's experiment",
        "description": "Watches what the balancer makes of an instance that stops.",
        "configuration": {"aws_region": aws.region},
        "method": [
            *looks,
            {**envoy, "background": True},
            {**elbv2, "background": True},
            {**stop, "pauses": {"before": 1}},
            {**start, "pauses": {"before": 3}},
        ],
        "rollbacks": [start],
    }


@pytest.fixture
def alarm(lab: RunningLab) -> Iterator[None]:
    """An alarm of the lab's CloudWatch, for as long as the test."""
    cloudwatch = lab.client("cloudwatch", attempts=3)
    cloudwatch.put_metric_alarm(
        AlarmName=ALARM, MetricName="5xx", Namespace="shop", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    yield
    cloudwatch.delete_alarms(AlarmNames=[ALARM])


@pytest.mark.lab
@pytest.mark.usefixtures("alarm")
def test_a_plain_experiment_reads_the_health_check(lab: RunningLab, tmp_path: Path) -> None:
    """Envoy's times agree with its settings; elbv2 gives what its API knows; single looks work."""
    victim = lab.environment.zones["b"][0].id
    file = tmp_path / "watch.json"
    file.write_text(json.dumps(watching(lab, victim)))
    known = simulated_environment(lab.environment.aws.endpoint_url or "", lab.environment.aws.region)
    played = subprocess.run(
        [str(CHAOS), "--no-version-check", "run", str(file)],
        capture_output=True, text=True, timeout=90, cwd=tmp_path, env=environment(known), check=False,
    )  # fmt: skip
    assert played.returncode == 0, played.stdout + played.stderr
    lab.wait_until_whole()
    journal = json.loads((tmp_path / "journal.json").read_text())
    seen = {item["activity"]["name"]: item["output"] for item in journal["run"]}
    envoy, elbv2 = seen["envoy"], seen["elbv2"]

    times = next(iter(envoy["targets"][victim]["faults"].values()))
    assert times["ejected_for"] == ["failed_active_health_check"]
    assert 0 < times["detect_low_s"] <= times["detect_s"] <= times["detect_high_s"]
    assert 0 < times["readd_s"] < 5
    assert (0.5, 2) == (envoy["theory"]["interval_s"], envoy["theory"]["unhealthy_threshold"])
    assert envoy["theory"]["eject_agrees"] is True
    assert envoy["unhealthy_but_fine_min"] > 0
    # moto's API is all that elbv2 can be here: its states are the lab's doing, its settings its defaults.
    assert set(elbv2["targets"]) == {one.id for zone in lab.environment.zones.values() for one in zone}
    assert (elbv2["theory"]["interval_s"] > 0, elbv2["detect_s"]) == (True, None)
    assert elbv2["reasons"]["detect_s"] == "no fault of this record breaks a target"
    for name in ("target_health", "elbv2_target_health"):  # before anything was stopped
        assert [True] * 6 == [one["healthy"] for one in seen[name]["targets"].values()]
    assert "OK" == seen["alarm_state"]["alarms"][ALARM]["state"]  # moto's first word for an alarm without data


@pytest.mark.lab
def test_the_command_looks_at_a_live_balancer(lab: RunningLab) -> None:
    """`stormproof probe health` on the lab's own front door."""
    url = f"{lab.environment.base_url}/healthz"
    done = stormproof("probe", "health", "--url", url, "--count", "5", "--interval", "50ms", "--json")

    assert (done.code, done.document["value"]["ok"]) == (0, 5), done.err
