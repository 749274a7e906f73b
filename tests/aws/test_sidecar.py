"""The side-car in front of a workload's dependencies: a real Envoy, moto behind it, and boto3 as the workload."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from stormproof.errors import FaultError, InputError
from stormproof.faults import activity, catalogue
from stormproof.faults.envoy_admin import EnvoyAdmin
from stormproof.faults.ledger import Ledger
from stormproof.lab.tls import AUTHORITY_FILE, write_certificates
from stormproof.model.plan import ResolvedFault
from stormproof.run.rehearsal import Step
from stormproof.spec.environment_file import load_environment
from support.aws_fault import IN_ACT, compare, headed, inject
from support.command import stormproof, wait_for
from support.emulated_aws import REGION, Cut, Estate, build, environment_file, recorder
from support.sidecar import KEY, SECRET, Listening, Received, RunningSidecar, listening, sidecar

pytestmark = [pytest.mark.timeout(120)]

FAULTS: dict[str, dict[str, Any]] = {
    "dependency-timeout": {"dependency": "recommendations", "delay": "3s"},
    "dependency-latency": {"dependency": "recommendations", "delay": "400ms", "jitter": "200ms"},
    "dependency-error": {"dependency": "recommendations", "status": 500},
    "dependency-refuse": {"dependency": "recommendations"},
    "throttling": {"dependency": "cart", "rate": "1/s"},
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Listening]:
    """What is called, and is not AWS; and what says that it is a queue."""
    with listening() as one:
        yield one


@pytest.fixture(scope="module")
def running(
    emulated: str, _kept: list[Estate], upstream: Listening, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningSidecar]:
    """A side-car for a plain dependency, for DynamoDB in the emulator, and for a queue that we listen at."""
    dependencies = {
        "recommendations": {"upstream": upstream.url, "canary": "/healthz"},
        "cart": {"service": "dynamodb"},
        "queue": {"service": "sqs", "upstream": upstream.url},
    }
    _kept.clear()  # the emulator is built anew: what others have looked at so far is gone
    with sidecar(build(emulated), tmp_path_factory.mktemp("side-car"), dependencies) as one:
        yield one


def _workload(service: str, variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client as an application makes it: it knows the side-car from its environment only."""
    for name, value in {**variables, "NO_PROXY": "*"}.items():
        monkeypatch.setenv(name, value)
    return boto3.client(  # type: ignore[call-overload]
        service,
        region_name=REGION,
        aws_access_key_id="AKIAWORKLOAD00000000",
        aws_secret_access_key="of-the-workload",
        aws_session_token="of-the-workload",
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=5, read_timeout=5),
    )


def _resolve(running: RunningSidecar, kind: str, **arguments: Any) -> ResolvedFault:
    return catalogue.resolve(kind, {**FAULTS[kind], **arguments}, running.environment, fault_id=f"1-{kind}")


def _undo(folder: Path) -> list[bool]:
    rows = activity.undo_outstanding(Ledger(folder / "ledger.jsonl"), events_path=None, who="test")
    return [row["undone"] for row in rows]


def _runtime(running: RunningSidecar) -> dict[str, str | None]:
    """The admin layer's values of every switch."""
    dependencies = running.environment.dependencies.values()
    keys = [
        key
        for one in dependencies
        for key in (one.delay_percent_key, one.delay_duration_key, one.abort_percent_key, one.throttle_enabled_key)
        if key
    ]
    return _admin(running).overrides(keys)


def _admin(running: RunningSidecar) -> EnvoyAdmin:
    assert running.environment.proxy is not None
    return EnvoyAdmin(url=running.environment.proxy.admin_url, node_id=running.environment.proxy.node_id)


def test_a_workload_is_throttled_and_healthy_again(
    running: RunningSidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 with AWS_ENDPOINT_URL_DYNAMODB: healthy, throttled by DynamoDB's own error, healthy; and on record."""
    dynamodb = _workload("dynamodb", running.said["workload"], monkeypatch)
    assert dynamodb.meta.endpoint_url == running.environment.dependencies["cart"].url
    assert dynamodb.list_tables()["ResponseMetadata"]["HTTPStatusCode"] == 200

    assert inject(_resolve(running, "throttling"), tmp_path)["felt"] is True
    with pytest.raises(dynamodb.exceptions.ProvisionedThroughputExceededException):
        _call(dynamodb, times=5)

    assert _undo(tmp_path) == [True]
    _call(dynamodb, times=5)
    log = Path(str(running.environment.dependencies["cart"].access_log))

    def own() -> list[dict[str, Any]]:
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        return [row for row in rows if not row["canary"]]

    wait_for("the arrivals", lambda: len(own()) >= 7, within_s=5)
    assert [row["flags"] for row in own()][-6:] == ["RL", *["-"] * 5]


def _call(dynamodb: Any, *, times: int) -> None:
    for _ in range(times):
        dynamodb.list_tables()


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_works_through_it(running: RunningSidecar, tmp_path: Path, kind: str) -> None:
    """Felt, undone to the byte, undone again without harm; without the act not felt, and refused while in force."""
    files, runtime = running.files(), _runtime(running)
    fault = _resolve(running, kind)
    bound = catalogue.bind(kind, fault.target, fault.configuration)
    prior = bound.prior()

    felt = inject(fault, tmp_path)
    assert felt["felt"] is True, felt
    with pytest.raises(FaultError):
        bound.prior()
    assert _undo(tmp_path) == [True]
    assert _undo(tmp_path) == []
    bound.revert(prior)

    assert (running.files(), _runtime(running)) == (files, runtime)


def test_what_came_only_half_way_comes_back(running: RunningSidecar, tmp_path: Path) -> None:
    """Throttling is two calls, a file and a switch: cut off between them, there and back, and the answer lost."""
    before = (running.files(), _runtime(running))
    assert running.environment.proxy is not None
    with recorder(running.environment.proxy.admin_url) as wire:
        proxy = replace(running.environment.proxy, admin_url=wire.url)
        fault = catalogue.resolve(
            "throttling", FAULTS["throttling"], replace(running.environment, proxy=proxy), fault_id="1-throttling"
        )
        rows = []
        for step in (IN_ACT, Step.UNDOING):
            for first in (True, False):
                folder = tmp_path / f"{step}-{first}"
                if step == Step.UNDOING:
                    assert inject(fault, folder)["felt"]
                wire.calls.clear()
                wire.cut = Cut(at=1, before=first)
                if step == Step.UNDOING:
                    assert _undo(folder) == [False]
                else:
                    with pytest.raises(FaultError):
                        inject(fault, folder)
                wire.cut = None
                there = {"file": running.files() != before[0], "switch": _runtime(running) != before[1]}
                undone = _undo(folder)
                rows.append({
                    **headed(fault, step), "cut_off": f"{'before' if first else 'after'} RuntimeModify",
                    "broken": [name for name, is_broken in there.items() if is_broken], "undone": undone,
                    "left": [] if (running.files(), _runtime(running)) == before else ["something"],
                })  # fmt: skip

    compare("throttling-half-way", rows)


def test_what_somebody_else_set_is_left_alone(running: RunningSidecar, tmp_path: Path) -> None:
    """Another delay since: the undo says so, and does not end it."""
    key = str(running.environment.dependencies["recommendations"].delay_duration_key)
    inject(_resolve(running, "dependency-timeout"), tmp_path)
    _admin(running).set({key: "2500"})
    left = activity.undo_outstanding(Ledger(tmp_path / "ledger.jsonl"), events_path=None, who="test")
    _admin(running).set({key: "3000"})

    assert "somebody else changed it since; left alone" in left[0]["reason"]
    assert _undo(tmp_path) == [True]


def test_another_envoy_at_its_address_is_not_touched(running: RunningSidecar, tmp_path: Path) -> None:
    """The node id in the ledger is not that of who answers."""
    fault = _resolve(running, "dependency-error")
    bound = catalogue.bind(fault.kind, fault.target, {**fault.configuration, "envoy_node_id": "stormproof-other"})
    with pytest.raises(Exception, match="expected the Envoy with node id 'stormproof-other', got 'stormproof-staging'"):
        bound.identify()


def test_a_call_arrives_signed_as_the_service_wants_it(
    running: RunningSidecar, upstream: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's signature is off, ours is right by botocore's own arithmetic, and for the upstream's host."""
    queue = _workload("sqs", running.said["workload"], monkeypatch)
    upstream.received.clear()
    queue.send_message(QueueUrl="http://queue/1/q", MessageBody="hello, world")
    (got,) = upstream.received

    assert got.headers["host"] == [upstream.url.removeprefix("http://")]
    (authorization,) = got.headers["authorization"]
    assert f"Credential={KEY}/" in authorization
    assert "x-amz-security-token" not in got.headers
    assert b"hello, world" in got.body
    assert authorization.rpartition("Signature=")[2] == _signature(got, authorization, service="sqs")


def _signature(got: Received, authorization: str, *, service: str) -> str:
    """What botocore signs *got* with, over the headers that *authorization* says are signed."""
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed)
    request = AWSRequest(method=got.method, url=f"http://{got.headers['host'][0]}{got.path}", data=got.body)
    for name in signed:
        request.headers[name] = got.headers[name][0]
    request.context["timestamp"] = got.headers["x-amz-date"][0]
    auth = _OverAll(Credentials(KEY, SECRET), service, REGION)
    text = auth.canonical_request(request)
    return str(auth.signature(auth.string_to_sign(request, text), request))


class _OverAll(SigV4Auth):
    """Over every header of the request; botocore itself would leave the user agent out."""

    def headers_to_sign(self, request: AWSRequest) -> Any:
        return request.headers


def test_an_upstream_is_called_by_tls_and_verified(estate: Estate, tmp_path: Path) -> None:
    """As AWS's endpoints are: by name, and against the authorities of `proxy.ca`; another's certificate is refused."""
    contexts = write_certificates(tmp_path / "tls", host="localhost")
    with (
        listening(tls=contexts["valid"], host="localhost") as good,
        listening(tls=contexts["self-signed"], host="localhost") as bad,
        sidecar(
            estate,
            tmp_path,
            {"good": {"upstream": good.url}, "bad": {"upstream": bad.url}},
            ca=str(tmp_path / "tls" / AUTHORITY_FILE),
        ) as one,
    ):
        from stormproof.faults.canary import ask

        answered, refused = (ask(one.environment.dependencies[name].url, timeout_s=5) for name in ("good", "bad"))

    assert answered.status == 200, answered
    assert (refused.status, bad.received) == (503, [])
    assert "CERTIFICATE_VERIFY_FAILED" in refused.text


def test_what_is_not_called_through_it_cannot_be_broken_by_it(running: RunningSidecar) -> None:
    """The names that would do are in the error; a queue is no dependency that can be, say, throttled with HTTP."""
    with pytest.raises(InputError, match=r"that can be delayed: recommendations, cart, queue, got 'orders'"):
        _resolve(running, "dependency-timeout", dependency="orders")
    with pytest.raises(InputError, match=r"that can be throttled: cart, queue, got 'recommendations'"):
        _resolve(running, "throttling", dependency="recommendations")


def test_a_service_that_there_is_not_is_an_error(estate: Estate, tmp_path: Path) -> None:
    """Before anything is written."""
    path = environment_file(
        estate,
        tmp_path,
        proxy={"admin": "http://127.0.0.1:9901", "directory": str(tmp_path / "side-car")},
        dependencies={"cart": {"service": "dinamodb", "proxy": {"port": 9101}}},
    )
    done = stormproof("proxy", "config", "--env", path)

    assert done.code == 65, done.err
    assert "an AWS service as botocore names it, got dinamodb" in done.err
    assert not (tmp_path / "side-car").exists()


def test_aws_is_called_at_its_regional_endpoint(estate: Estate, tmp_path: Path) -> None:
    """Without an emulator: by TLS, by name, whatever endpoint the shell of the reader is set to."""
    from stormproof.proxy.sidecar import upstreams

    path = environment_file(
        estate,
        tmp_path,
        aws={"account": "123456789012", "region": "eu-central-1"},
        zones={"a": {"id": "euc1-az2", "name": "eu-central-1a"}},
        proxy={"admin": "http://127.0.0.1:9901", "directory": str(tmp_path / "side-car")},
        dependencies={"cart": {"service": "dynamodb", "proxy": {"port": 9101}}},
    )
    file = load_environment(path.parent, "staging").cloud
    assert file is not None
    (one,) = upstreams(file).values()

    assert (one.host, one.port, one.tls) == ("dynamodb.eu-central-1.amazonaws.com", 443, True)
    assert one.variable == "AWS_ENDPOINT_URL_DYNAMODB"
