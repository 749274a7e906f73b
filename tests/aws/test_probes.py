"""The probes that ask AWS: what they read, and that what is missing is said to be missing, and is never "fine".

Against moto over HTTP; where moto has no such call (an alarm's history, X-Ray's graph) against botocore's model of it.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from stormprobes import _aws_client
from stormprobes.alarm_fired import alarm_fired
from stormprobes.metric_window import metric_window
from stormprobes.quota_headroom import quota_headroom
from stormprobes.replication_lag import replication_lag
from stormprobes.scaling_group import scaling_group
from stormprobes.target_health_timeline import target_health_timeline
from stormprobes.xray_faulty_node import xray_faulty_node
from support.command import environment, wait_for
from support.emulated_aws import REGION, Estate, recorder

pytestmark = [pytest.mark.timeout(120)]

SINCE = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)
ERRORS = {"namespace": "Shop", "name": "errors", "statistic": "Sum"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "NO_PROXY": "*"}


@pytest.fixture(autouse=True)
def _patient_and_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that are nobody's, and a minute for an answer: a busy machine is no finding of these tests."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_aws_client, "TIMEOUT_S", 60.0)


def _stubbed(service: str) -> Stubber:
    return Stubber(_aws_client.aws_client(service, REGION, None))


def _put(estate: Estate, name: str, values: dict[int, float], **dimensions: str) -> float:
    """*values* by minutes ago; the instant that they are counted from, in Unix s, at a whole minute."""
    now = time.time() // 60 * 60
    cloudwatch = estate.client("cloudwatch")
    namespace = "AWS/RDS" if name == "AuroraReplicaLag" else "Shop"
    cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": name,
                "Value": value,
                "Timestamp": dt.datetime.fromtimestamp(now - 60 * ago, dt.UTC),
                "Dimensions": [{"Name": key, "Value": one} for key, one in dimensions.items()],
            }
            for ago, value in values.items()
        ],
    )
    return now


def test_a_gap_in_a_metric_is_missing_and_not_zero(estate: Estate) -> None:
    """Two of five minutes have data; the mean is of those two."""
    now = _put(estate, "errors", {4: 3.0, 2: 5.0})
    seen = metric_window(ERRORS, now - 300, now, REGION, estate.url)

    assert [one["value"] for one in seen["points"]] == [3.0, 5.0]
    assert (seen["periods"], seen["missing"], seen["no_data"]) == (5, 3, False)
    assert (seen["mean"], seen["minimum"], seen["maximum"]) == (4.0, 3.0, 5.0)


def test_a_metric_that_there_is_not_has_no_data(estate: Estate) -> None:
    """And no mean, and no maximum of 0."""
    seen = metric_window({**ERRORS, "name": "erors"}, SINCE.isoformat(), SINCE.timestamp() + 120, REGION, estate.url)

    assert (seen["no_data"], seen["missing"], seen["mean"], seen["maximum"]) == (True, 2, None, None)
    with pytest.raises(ValueError, match="expected an instant with its offset"):
        metric_window(ERRORS, "2026-03-04T12:00:00", 0, REGION, estate.url)
    with pytest.raises(ValueError, match="metric: expected"):
        metric_window({**ERRORS, "metric": "x"}, 0, 60, REGION, estate.url)


def test_a_replica_without_data_is_not_up_to_date(estate: Estate) -> None:
    """One reader; first nobody knows, then it is 250 ms behind."""
    before = replication_lag("orders", REGION, estate.url)
    _put(estate, "AuroraReplicaLag", {1: 250.0}, DBInstanceIdentifier="orders-b")
    after = replication_lag("orders", REGION, estate.url)

    assert before["replicas"] == {"orders-b": {"lag_ms": None, "at": None, "no_data": True}}
    assert (after["writer"], after["replicas"]["orders-b"]["lag_ms"]) == ("orders-a", 250.0)
    with pytest.raises(OSError, match="bills"):
        replication_lag("bills", REGION, estate.url)


def test_a_group_is_counted_by_zone(scratch: Estate) -> None:
    """Two wanted and two there; one that is unhealthy is not in service, and the group not where it wants to be."""
    scaling = scratch.client("autoscaling")
    scaling.update_auto_scaling_group(AutoScalingGroupName="shop", DesiredCapacity=2)
    whole = scaling_group("shop", REGION, scratch.url)
    one = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["shop"])["AutoScalingGroups"][0]["Instances"][0]
    scaling.set_instance_health(InstanceId=one["InstanceId"], HealthStatus="Unhealthy")
    sick = scaling_group("shop", REGION, scratch.url)

    assert (whole["desired"], whole["in_service"], whole["at_desired"]) == (2, 2, True)
    assert set(whole["zones"]) == {f"{REGION}{zone}" for zone in "abc"}
    assert sum(whole["zones"].values()) == 2
    assert (sick["in_service"], sick["at_desired"]) == (1, False)
    assert list(sick["other"]) == [one["InstanceId"]]
    with pytest.raises(ValueError, match="has no Auto Scaling group called 'shoe'"):
        scaling_group("shoe", REGION, scratch.url)


def test_a_timeline_has_every_change_of_opinion(scratch: Estate) -> None:
    """One instance is stopped meanwhile; the others have one entry each."""
    arn = scratch.client("elbv2").describe_target_groups(Names=["shop"])["TargetGroups"][0]["TargetGroupArn"]
    lost = scratch.instances["a"][0]
    seen: dict[str, Any] = {}
    with recorder(scratch.url) as wire:
        watch = threading.Thread(target=lambda: seen.update(target_health_timeline(arn, REGION, 4.0, 0.3, wire.url)))
        watch.start()
        wait_for("two looks at the whole group", lambda: len(wire.calls) >= 2, within_s=30)
        scratch.client("ec2").stop_instances(InstanceIds=[lost])
        watch.join(timeout=60)

    assert [one["healthy"] for one in seen["targets"][lost]["changes"]] == [True, False]
    assert seen["targets"][lost]["changes"][1]["flags"] == ["unused", "Target.InvalidState"]
    assert all(len(one["changes"]) == 1 for name, one in seen["targets"].items() if name != lost)
    assert seen["blind"] == 0


def test_a_timeline_of_nothing_but_blind_looks_is_none() -> None:
    """Nobody answers: no data, and no targets that are well."""
    with pytest.raises(OSError, match=r"no data: \d looks at arn:x, each of them blind"):
        target_health_timeline("arn:x", REGION, 0.2, 0.1, "http://127.0.0.1:9")


def _alarm(stub: Stubber, state: str, *, minutes_ago: int, history: list[tuple[int, str]]) -> None:
    since = SINCE - dt.timedelta(minutes=minutes_ago)
    alarm = {"AlarmName": "shop", "StateValue": state, "StateUpdatedTimestamp": since, "StateReason": "x"}
    stub.add_response("describe_alarms", {"MetricAlarms": [alarm], "CompositeAlarms": []})
    rows = [
        {
            "AlarmName": "shop",
            "Timestamp": SINCE + dt.timedelta(seconds=after_s),
            "HistoryItemType": "StateUpdate",
            "HistoryData": json.dumps({"newState": {"stateValue": word}}),
        }
        for after_s, word in history
    ]
    stub.add_response("describe_alarm_history", {"AlarmHistoryItems": rows})


@pytest.mark.parametrize(
    ("state", "history", "fired", "after_s", "no_data"),
    [
        ("ALARM", [(90, "ALARM")], True, 90.0, False),
        ("OK", [(200, "OK"), (90, "ALARM")], True, 90.0, False),
        ("OK", [], False, None, False),
        ("ALARM", [], False, None, False),  # all the time: it did not fire, and proves nothing
        ("INSUFFICIENT_DATA", [], None, None, True),
        ("INSUFFICIENT_DATA", [(30, "INSUFFICIENT_DATA")], None, None, True),
    ],
)
def test_an_alarm_fired_or_did_not_or_had_no_data(
    state: str, history: list[tuple[int, str]], fired: bool | None, after_s: float | None, no_data: bool
) -> None:
    """By the first change to ALARM in the window; without data it is neither."""
    with _stubbed("cloudwatch") as stub:
        _alarm(stub, state, minutes_ago=60, history=history)
        seen = alarm_fired("shop", SINCE.isoformat(), 300, REGION)

    assert (seen["fired"], seen["after_s"], seen["no_data"]) == (fired, after_s, no_data)


def test_a_quota_without_usage_has_no_headroom() -> None:
    """Not the whole quota: nobody knows. With usage it is the difference."""
    metric = {"MetricNamespace": "AWS/Usage", "MetricName": "ResourceCount", "MetricStatisticRecommendation": "Maximum"}
    quota = {"Value": 64.0, "Unit": "None"}
    result = {"Id": "sli", "Timestamps": [SINCE], "Values": [40.0]}
    readings = []
    for found, results in (
        (quota, None),
        ({**quota, "UsageMetric": metric}, []),
        ({**quota, "UsageMetric": metric}, [result]),
    ):
        with _stubbed("service-quotas") as quotas, _stubbed("cloudwatch") as cloudwatch:
            quotas.add_response(
                "get_service_quota", {"Quota": found}, {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
            )
            if results is not None:
                cloudwatch.add_response("get_metric_data", {"MetricDataResults": results})
            readings.append(quota_headroom("ec2", "L-1216C47A", REGION, now=SINCE.timestamp() + 60))

    assert [one["headroom"] for one in readings] == [None, None, 24.0]
    assert [one["no_data"] for one in readings] == [True, True, False]


def _service(number: int, name: str, faults: int, *edges: tuple[int, int]) -> dict[str, Any]:
    return {
        "ReferenceId": number,
        "Name": name,
        "Type": "AWS::EC2::Instance",
        "SummaryStatistics": {"TotalCount": 100, "FaultStatistics": {"TotalCount": faults}},
        "Edges": [
            {"ReferenceId": to, "SummaryStatistics": {"FaultStatistics": {"TotalCount": count}}} for to, count in edges
        ],
    }


def test_the_graph_names_the_node_that_faults_by_itself() -> None:
    """The shop faults because prices does; cart is asked as well, and is well. A graph of nothing names nobody."""
    services = [
        _service(0, "shop", 30, (1, 30), (2, 0)),
        _service(1, "prices", 30),
        _service(2, "cart", 0),
        {"ReferenceId": 3, "Type": "client", "Edges": []},
    ]
    with _stubbed("xray") as stub:
        stub.add_response("get_service_graph", {"Services": services})
        stub.add_response("get_service_graph", {"Services": []})
        seen = xray_faulty_node(SINCE.isoformat(), SINCE.timestamp() + 60, REGION)
        nothing = xray_faulty_node(SINCE.isoformat(), SINCE.timestamp() + 60, REGION)

    assert (seen["origins"], seen["no_data"], seen["nodes"]["shop"]["faults"]) == (["prices"], False, 30)
    assert (nothing["origins"], nothing["no_data"]) == ([], True)


def test_plain_chaos_run_can_call_them(estate: Estate, tmp_path: Path) -> None:
    """From a file, by module and function, with JSON in and out; what is not there fails, and is no reading."""
    arn = estate.client("elbv2").describe_target_groups(Names=["shop"])["TargetGroups"][0]["TargetGroupArn"]
    now = _put(estate, "errors-of-chaos-run", {1: 1.0})
    where = {"region": REGION, "endpoint_url": estate.url}
    metric = {**ERRORS, "name": "errors-of-chaos-run"}
    calls: dict[str, Any] = {
        "metric_window": {"metric": metric, "start": now - 300, "end": now, **where},
        "cloudwatch_sli": {
            "sli": {"namespace": ERRORS["namespace"], "metric": "errors-of-chaos-run", "statistic": "Maximum"},
            "start_s": now - 300,
            "end_s": now,
            **where,
        },
        "replication_lag": {"cluster": "orders", **where},
        "scaling_group": {"name": "shop", **where},
        "target_health_timeline": {"target_group_arn": arn, "seconds": 0.5, "every_s": 0.25, **where},
        "xray_faulty_node": {"start": now - 300, "end": now, **where},
    }
    # An alarm, and a service's quotas, that are not there.
    unknown: dict[str, Any] = {
        "alarm_fired": {"name": "errors", "since": now - 300, "within_s": 60, **where},
        "quota_headroom": {"service_code": "no-such-service", "quota_code": "L-0", **where},
    }
    done, run = _under_chaos(calls | unknown, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    status = {one["activity"]["name"]: one["status"] for one in run}
    assert status == dict.fromkeys(calls, "succeeded") | dict.fromkeys(unknown, "failed")
    assert run[0]["output"]["maximum"] == 1.0
    assert all(
        f"{REGION} has no" in (why := "".join(one["exception"])) or f"in {REGION}" in why for one in run[len(calls) :]
    )


def _under_chaos(
    calls: Mapping[str, Mapping[str, Any]], folder: Path
) -> tuple[subprocess.CompletedProcess[str], list[Any]]:
    """`chaos run` of one probe after the other, and its journal's activities."""
    method = [
        {
            "type": "probe",
            "name": name,
            "provider": {"type": "python", "module": f"stormprobes.{name}", "func": name, "arguments": arguments},
        }
        for name, arguments in calls.items()
    ]
    experiment = {"title": "probes", "description": "probes", "method": method}
    (folder / "experiment.json").write_text(json.dumps(experiment))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("chaos")), "--no-version-check", "run", "experiment.json"],
        cwd=folder, env=environment(CREDENTIALS), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done, json.loads((folder / "journal.json").read_text())["run"]
