"""The lab that is up: what it says of itself is what is so."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stormproof.errors import LabError
from stormproof.faults.envoy_rate_limit import bucket_resource
from stormproof.lab import control
from stormproof.record.atomic import write_bytes, write_json
from support.lab import RunningLab, until

pytestmark = pytest.mark.lab

# Whatever the machine's proxy settings say, the lab is on this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def whole_lab(lab: RunningLab) -> Iterator[RunningLab]:
    """The shared lab, whole before and after."""
    lab.wait_until_whole()
    yield lab
    lab.wait_until_whole()


def get(url: str, *, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str]]:
    with OPENER.open(urllib.request.Request(url, headers=headers or {}), timeout=10) as answer:
        answer.read()
        return answer.status, {key.lower(): value for key, value in answer.headers.items()}


def instance(lab: RunningLab, instance_id: str) -> dict[str, Any]:
    return next(row for row in lab.status()["instances"] if row["id"] == instance_id)


def target_state(lab: RunningLab, instance_id: str) -> str:
    elbv2 = lab.client("elbv2")
    group = elbv2.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
    health = elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return next(row["TargetHealth"]["State"] for row in health if row["Target"]["Id"] == instance_id)


def refuses(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, int(port))) != 0


def test_a_lab_that_is_up_is_whole(whole_lab: RunningLab) -> None:
    """Six instances, two a zone, healthy and running, and no fault."""
    found = whole_lab.status()

    assert found["reason"] is None
    assert found["faults"] == []
    assert sorted(row["zone"] for row in found["instances"]) == ["a", "a", "b", "b", "c", "c"]
    assert all(row["healthy"] and row["state"] == "running" for row in found["instances"])
    assert len({row["pid"] for row in found["instances"]}) == 6


def test_the_machine_s_proxy_settings_do_not_matter(whole_lab: RunningLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a company proxy the lab is still on this machine."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    assert whole_lab.status()["reason"] is None


def test_every_zone_serves_behind_the_balancer(whole_lab: RunningLab) -> None:
    """The balancer spreads requests over all six instances, and each answer says who gave it."""
    servers = set()
    for _ in range(30):
        status, headers = get(whole_lab.environment.base_url + "/")
        assert status == 200
        assert "x-degraded" not in headers
        servers.add((headers["x-zone"], headers["x-instance"]))

    assert servers == {(zone, i.id) for zone, instances in whole_lab.environment.zones.items() for i in instances}


def test_the_environment_can_be_read_back(whole_lab: RunningLab) -> None:
    """`environment` gives what `up` gave, and `up` again finds the lab instead of starting one."""
    assert control.environment(whole_lab.directory) == whole_lab.environment
    assert control.up(whole_lab.directory, variant="hardened") == whole_lab.environment


def test_another_variant_is_refused_while_one_is_up(whole_lab: RunningLab) -> None:
    """A lab is never quietly of another design than was asked for."""
    with pytest.raises(LabError, match=r"naive.*hardened"):
        control.up(whole_lab.directory, variant="naive")


def test_stopping_an_instance_in_ec2_kills_a_process(whole_lab: RunningLab) -> None:
    """`stop_instances` cuts the power: the process is gone, its address refuses, Envoy and ELB say unhealthy."""
    victim = whole_lab.environment.zones["a"][0]
    pid = instance(whole_lab, victim.id)["pid"]
    ec2 = whole_lab.client("ec2")
    ec2.stop_instances(InstanceIds=[victim.id])
    try:
        until(lambda: not psutil.pid_exists(pid))
        until(lambda: refuses(victim.url))
        until(lambda: not instance(whole_lab, victim.id)["healthy"])
        until(lambda: target_state(whole_lab, victim.id) == "unused")
        broken = whole_lab.status()
    finally:
        ec2.start_instances(InstanceIds=[victim.id])

    assert not broken["whole"]
    # Where the looks above took more than two seconds, the healer has acted as well.
    stopped = [fault for fault in broken["faults"] if fault["kind"] != "replacement"]
    assert [(fault["kind"], victim.id in fault["what"]) for fault in stopped] == [("instance", True)]
    whole_lab.wait_until_whole()
    assert get(victim.url + "/healthz")[1]["x-instance"] == victim.id  # at the address that it had
    until(lambda: target_state(whole_lab, victim.id) == "healthy")


def test_a_stop_and_start_at_once_is_not_missed(whole_lab: RunningLab) -> None:
    """Faster than the lab looks: the process has died all the same, and another one serves."""
    victim = whole_lab.environment.zones["a"][0]
    before = instance(whole_lab, victim.id)["pid"]
    ec2 = whole_lab.client("ec2")
    ec2.stop_instances(InstanceIds=[victim.id])
    ec2.start_instances(InstanceIds=[victim.id])

    until(lambda: instance(whole_lab, victim.id)["pid"] not in (before, None))


def test_elb_repeats_the_balancer_not_moto(whole_lab: RunningLab) -> None:
    """A target whose process hangs is `running` in EC2 and unhealthy in ELB: health is what Envoy says."""
    victim = whole_lab.environment.zones["b"][0]
    pid = instance(whole_lab, victim.id)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: target_state(whole_lab, victim.id) == "unhealthy")
        found = instance(whole_lab, victim.id)
    finally:
        os.kill(pid, signal.SIGCONT)

    assert (found["state"], found["healthy"]) == ("running", False)
    until(lambda: target_state(whole_lab, victim.id) == "healthy")


def test_a_process_that_dies_by_itself_is_started_again(whole_lab: RunningLab) -> None:
    """The lab's auto-healing: EC2 says running, so the process comes back without anybody's help."""
    victim = whole_lab.environment.zones["c"][0]
    pid = instance(whole_lab, victim.id)["pid"]
    os.kill(pid, signal.SIGKILL)

    until(lambda: instance(whole_lab, victim.id)["pid"] not in {None, pid})


def test_a_delay_is_felt_seen_and_marked(whole_lab: RunningLab) -> None:
    """A delay set by hand delays calls at the proxy, stands in the status, and is marked in the arrivals."""
    dependency = whole_lab.environment.dependencies["recommendations"]
    assert dependency.delay_percent_key
    assert dependency.delay_duration_key
    assert dependency.access_log
    whole_lab.admin.set({dependency.delay_percent_key: "100", dependency.delay_duration_key: "400"})
    try:
        faults = whole_lab.status()["faults"]
        began = time.monotonic()
        get(dependency.url + dependency.canary_path, headers={"x-stormproof-canary": "delay-test"})
        took_s = time.monotonic() - began
    finally:
        whole_lab.admin.set({dependency.delay_percent_key: None, dependency.delay_duration_key: None})

    assert took_s >= 0.39  # the proxy counts whole milliseconds, from the turn of its loop
    assert [fault["kind"] for fault in faults] == ["delay"]
    assert "recommendations" in faults[0]["what"]
    row = arrival(Path(dependency.access_log), "delay-test")
    assert "DI" in row["flags"]
    assert row["duration_ms"] >= 390


def arrival(log: Path, canary: str) -> dict[str, Any]:
    """The row of one marked call; the log is flushed every 200 ms."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        found[:] = [row for row in rows if row["canary"] == canary]
        return bool(found)

    until(look, within_s=5)
    return found[0]


def test_a_throttle_and_a_changed_bucket_stand_in_the_status(whole_lab: RunningLab) -> None:
    """Both halves of a throttle are faults of their own: a bucket left behind is not a whole lab."""
    cart = whole_lab.environment.dependencies["cart"]
    assert cart.throttle_enabled_key
    assert cart.throttle_config_path
    path = Path(cart.throttle_config_path)
    before = path.read_bytes()
    small = bucket_resource("throttle.cart", rate_per_s=1, burst=1, runtime_key=cart.throttle_enabled_key)
    write_json(path, small)
    try:
        changed = [fault["kind"] for fault in whole_lab.status()["faults"]]
        whole_lab.admin.set({cart.throttle_enabled_key: "100"})
        throttled = [fault["kind"] for fault in whole_lab.status()["faults"]]
    finally:
        whole_lab.admin.set({cart.throttle_enabled_key: None})
        write_bytes(path, before)

    assert changed == ["bucket"]
    assert throttled == ["throttle", "bucket"]


def test_an_attempt_of_the_shop_says_who_made_it(whole_lab: RunningLab) -> None:
    """Arrivals carry a process identity, a logical call and an attempt, for HTTP and for the SDK."""
    shop = whole_lab.environment.zones["a"][1]
    asked_s = time.time()
    get(shop.url + "/?user=somebody")
    get(shop.url + "/cart/somebody")

    def rows(dependency: str) -> list[dict[str, Any]]:
        """Of these calls alone: the log holds what earlier tests asked, and a row comes with a delay."""
        log = whole_lab.environment.dependencies[dependency].access_log
        assert log
        lines = [json.loads(line) for line in Path(log).read_text().splitlines()]
        own = [row for row in lines if f"app/{shop.id}" in (row["user_agent"] or "")]
        return [row for row in own if float(row["start_s"]) > asked_s - 1]

    until(lambda: rows("recommendations") and rows("cart"), within_s=5)
    assert rows("recommendations")[-1]["attempt"] == "1"
    assert len(rows("recommendations")[-1]["op_id"]) == 16
    assert rows("cart")[-1]["sdk_request"].startswith("attempt=1")
    assert rows("cart")[-1]["invocation_id"]
    assert float(rows("cart")[-1]["start_s"]) == pytest.approx(time.time(), abs=30)
