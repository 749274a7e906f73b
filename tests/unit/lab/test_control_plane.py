"""What the lab's control plane tells of instances that changed between two looks."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance

from stormproof.lab import control_plane
from stormproof.lab.topology import ACCOUNT, REGION

RUNNING, STOPPED = "running", "stopped"


@pytest.mark.parametrize(
    ("before", "state", "stops", "told"),
    [
        (None, RUNNING, 0, (RUNNING,)),
        ((RUNNING, False, 0), STOPPED, 1, (STOPPED,)),
        ((STOPPED, False, 1), RUNNING, 1, (RUNNING,)),
        ((RUNNING, False, 0), RUNNING, 1, (STOPPED, RUNNING)),
        ((STOPPED, False, 1), RUNNING, 2, (RUNNING,)),
        ((RUNNING, False, 1), RUNNING, 1, (RUNNING,)),
    ],
)
def test_a_stop_between_two_looks_is_told(
    before: tuple[str, bool, int] | None, state: str, stops: int, told: tuple[str, ...]
) -> None:
    """An instance that ran at both looks, and was stopped in between, has been stopped; no other is said to be."""
    assert control_plane._passed_through(before, state, stops) == told


def test_moto_remembers_how_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through EC2's own door: twice stopped is twice, whatever it is by now."""
    monkeypatch.setattr(Instance, "stop", Instance.stop)  # put back after the test
    control_plane._count_stops()
    with mock_aws():
        ec2 = boto3.client("ec2", region_name=REGION)
        made = ec2.run_instances(ImageId="ami-00000000", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        for _ in range(2):
            ec2.stop_instances(InstanceIds=[made])
            ec2.start_instances(InstanceIds=[made])

        found = ec2_backends[ACCOUNT][REGION].get_instance_by_id(made)
        assert getattr(found, control_plane._STOPS) == 2
