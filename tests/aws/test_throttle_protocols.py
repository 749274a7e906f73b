"""A throttled call through the real Envoy, read by the real client: the service's own error, retried as such."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from stormproof.faults.envoy_rate_limit import bucket_resource
from stormproof.lab.topology import AWS_DEPENDENCIES
from stormproof.model.environment import Dependency
from stormproof.proxy.filters import bucket_name
from stormproof.proxy.throttle_replies import REPLIES, ThrottleReply
from stormproof.record.atomic import write_bytes, write_json
from support.lab import RunningLab, until

pytestmark = pytest.mark.lab

DEPENDENCY_OF = {service: dependency for dependency, service in AWS_DEPENDENCIES.items()}
# A harmless call of each service.
CALLS: dict[str, Callable[[Any], Any]] = {
    "dynamodb": lambda client: client.list_tables(),
    "sqs": lambda client: client.list_queues(),
    "sns": lambda client: client.list_topics(),
    "s3": lambda client: client.list_buckets(),
    "lambda": lambda client: client.list_functions(),
    "ec2": lambda client: client.describe_vpcs(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """A service whose bucket is empty."""

    lab: RunningLab
    dependency: Dependency
    reply: ThrottleReply

    def call(self, *, attempts: int) -> Any:
        client = self.lab.client(self.reply.service, url=self.dependency.url, attempts=attempts)
        return CALLS[self.reply.service](client)


@pytest.fixture(params=sorted(REPLIES))
def throttled(request: pytest.FixtureRequest, lab: RunningLab) -> Iterator[Throttled]:
    """The service, unthrottled at first: its one token is taken by a call that must succeed."""
    reply = REPLIES[request.param]
    dependency = lab.environment.dependencies[DEPENDENCY_OF[reply.service]]
    assert dependency.throttle_enabled_key
    assert dependency.throttle_config_path
    path, key = Path(dependency.throttle_config_path), dependency.throttle_enabled_key
    before = path.read_bytes()
    found = Throttled(lab=lab, dependency=dependency, reply=reply)
    found.call(attempts=1)
    write_json(path, bucket_resource(bucket_name(dependency.name), rate_per_s=0.01, burst=1, runtime_key=key))
    lab.admin.set({key: "100"})
    try:
        until(lambda: is_throttled(found))
        yield found
    finally:
        lab.admin.set({key: None})
        write_bytes(path, before)


def is_throttled(throttled: Throttled) -> bool:
    try:
        throttled.call(attempts=1)
    except ClientError:
        return True
    return False


def test_every_aws_dependency_has_a_reply() -> None:
    """No service of the lab answers a throttled call with Envoy's own 429."""
    assert set(AWS_DEPENDENCIES.values()) == set(REPLIES) == set(CALLS)
    assert {reply.protocol for reply in REPLIES.values()} == {"json", "query", "ec2", "rest-xml", "rest-json"}


def test_the_client_reads_the_service_own_error(throttled: Throttled) -> None:
    """Code, status and request id are the service's; a modelled code raises the modelled exception."""
    with pytest.raises(ClientError) as caught:
        throttled.call(attempts=1)

    response, reply = caught.value.response, throttled.reply
    assert response["Error"]["Code"] == reply.code
    assert response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == reply.status
    assert response["ResponseMetadata"]["RequestId"]
    if reply.service in {"dynamodb", "sqs", "lambda"}:
        assert type(caught.value).__name__ == reply.code


def test_the_client_retries_it_as_throttling(throttled: Throttled) -> None:
    """The SDK's standard mode uses all its attempts, and the arrivals show them as one logical call."""
    with pytest.raises(ClientError) as caught:
        throttled.call(attempts=3)

    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 2
    log = throttled.dependency.access_log
    assert log

    def attempts() -> list[dict[str, Any]]:
        rows = [json.loads(line) for line in Path(log).read_text().splitlines()]
        return [row for row in rows if row["invocation_id"] == rows[-1]["invocation_id"]]

    until(lambda: len(attempts()) == 3, within_s=5)
    assert [row["sdk_request"].partition("attempt=")[2][0] for row in attempts()] == ["1", "2", "3"]
    assert {row["flags"] for row in attempts()} == {"RL"}
    assert {row["status"] for row in attempts()} == {throttled.reply.status}
