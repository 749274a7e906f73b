"""What a workload in AWS calls, and is told: the shipped specs planned against it, and the parameters brought back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import FaultError, InputError
from stormproof.faults import call_log, catalogue
from stormproof.faults.mirror import Mirror
from stormproof.plan.dry_run import dry_run
from stormproof.plan.resolve import resolve_faults
from stormproof.record.difference import differences
from stormproof.spec.environment_file import load_environment
from stormproof.spec.loader import load_experiment
from stormproof.staging.environment import discover
from stormproof.staging.snapshot import snapshot
from support.aws_fault import Rehearsal, compare, inject, resolve, undo
from support.command import ROOT
from support.emulated_aws import ACCOUNT, Estate, Recorder, environment_file, recorder, state_of
from support.sidecar import RunningSidecar, listening, sidecar
from support.workload import CALLED_DIRECTLY, answering

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

PARAMETERS = {"release": "/shop/release", "key": "/shop/{instance}/key"}


@pytest.fixture
def wire(estate: Estate) -> Iterator[Recorder]:
    """A recorder in front of the shared estate, whose instances answer."""
    with answering(estate), recorder(estate.url) as running:
        yield running


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """What the side-car passes on to."""
    with listening() as one:
        yield one.url


def _parameters(estate: Estate) -> dict[str, Any]:
    pages = estate.client("ssm").get_paginator("describe_parameters").paginate()
    names = [row["Name"] for page in pages for row in page["Parameters"]]
    values = estate.client("ssm").get_parameters(Names=names)["Parameters"] if names else []
    return {row["Name"]: (row["Type"], row["Value"]) for row in values}


def _settings(running: RunningSidecar) -> dict[str, Any]:
    """The sections of the file that the side-car was made from, and the parameters."""
    assert running.file.sidecar is not None
    dependencies = {
        name: {
            **({"service": one.service} if one.service else {"upstream": one.upstream}),
            "canary": one.canary_path,
            "proxy": {"port": one.port},
        }
        for name, one in running.file.dependencies.items()
    }
    proxy = {"admin": running.file.sidecar.admin_url, "directory": running.file.sidecar.directory}
    return {"proxy": proxy, "dependencies": dependencies, "parameters": PARAMETERS, **CALLED_DIRECTLY}


def test_the_shipped_specs_are_planned_and_looked_at_unchanged(
    estate: Estate, wire: Recorder, upstream: str, tmp_path: Path
) -> None:
    """Every fault of three specs finds its target, reads its state and sees it whole; nothing but reads on the wire."""
    before = state_of(estate)
    called = {"recommendations": {"upstream": upstream, "canary": "/healthz"}, "cart": {"service": "dynamodb"}}
    with sidecar(estate, tmp_path, called) as running:
        path = environment_file(estate, tmp_path / "plan", url=wire.url, **_settings(running))
        cloud = load_environment(path.parent, "staging").cloud
        assert cloud is not None
        environment = discover("staging", cloud)
        seen = {}
        for slug in ("dependency-timeout", "throttling", "health-checks"):
            experiment = load_experiment(ROOT / "experiments" / slug, catalogue=catalogue.argument_models())
            faults = resolve_faults(experiment, environment)
            seen[slug] = {row["seen"] for row in dry_run(experiment, faults, environment)["faults"]}

    assert seen == {slug: {"whole"} for slug in ("dependency-timeout", "throttling", "health-checks")}
    assert [one.operation for one in wire.calls if one.changes] == []
    assert state_of(estate) == before
    assert _parameters(estate) == {}


@pytest.mark.parametrize("kind", ["dependency-timeout", "dependency-error", "dependency-refuse", "throttling"])
def test_what_the_side_car_breaks_is_in_the_accounts_ledger(estate: Estate, tmp_path: Path, kind: str) -> None:
    """Its undo is mirrored like everybody's, for any machine with the file; and its calls are written down."""
    settings = {
        "proxy": {"admin": "http://127.0.0.1:9", "directory": "/nowhere"},
        "dependencies": {
            "recommendations": {"upstream": "http://127.0.0.1:9", "proxy": {"port": 9101}},
            "cart": {"service": "dynamodb", "proxy": {"port": 9102}},
        },
        "ledger": {"bucket": "shop-stormproof-ledger"},
    }
    _bucket(estate)
    fault = resolve(estate, tmp_path, estate.url, kind, catalogue.module(kind).EXAMPLE, **settings)
    mirror = Mirror.of(fault.configuration)

    assert mirror is not None
    assert (mirror.bucket, mirror.prefix) == ("shop-stormproof-ledger", "stormproof/staging")
    assert fault.configuration["aws_account"] == ACCOUNT
    assert call_log.path_of({**fault.configuration, "ledger_path": "/run/ledger.jsonl"}) == "/run/calls.jsonl"


def test_a_snapshot_sees_what_a_side_car_has(estate: Estate, tmp_path: Path) -> None:
    """Its runtime and its files, changed and back; a document is told by its digest."""
    with sidecar(estate, tmp_path, {"cart": {"service": "dynamodb"}}):
        cloud = load_environment(tmp_path / "environments", "staging").cloud
        assert cloud is not None
        environment = discover("staging", cloud)
        fault = catalogue.resolve(
            "throttling", {"dependency": "cart", "rate": "5/s"}, environment, fault_id="1-throttling"
        )
        before = snapshot(environment, [fault])
        assert inject(fault, tmp_path / "run")["felt"]
        broken = snapshot(environment, [fault])
        assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
        after = snapshot(environment, [fault])

    assert after == before
    assert list(before["proxy"]["listeners"]) == ["cart"]
    changed = differences(before, broken)
    assert [one.partition(":")[0] for one in changed] == [
        "faults.1-throttling", "proxy.files.buckets/cart.json", "proxy.runtime.stormproof.cart.throttle_percent",
    ]  # fmt: skip
    assert max(map(len, changed)) < 200
    calls = [json.loads(line) for line in (tmp_path / "run/calls.jsonl").read_text().splitlines()]
    assert [one["operation"] for one in calls if one["service"] == "envoy"] == [
        "ReplaceBuckets", "RuntimeModify", "RuntimeModify", "ReplaceBuckets",
    ]  # fmt: skip


def _bucket(estate: Estate) -> None:
    s3 = estate.client("s3")
    if "shop-stormproof-ledger" not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket="shop-stormproof-ledger")
    s3.put_bucket_versioning(Bucket="shop-stormproof-ledger", VersioningConfiguration={"Status": "Enabled"})


def test_parameters_have_a_dead_mans_switch(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """Set before the act: what was there is put back, what was not there deleted, should nobody of ours be left."""
    ssm, scheduler = estate.client("ssm"), estate.client("scheduler")
    first, second = (f"/shop/{one}/key" for one in estate.instances["a"])
    ssm.put_parameter(Name=first, Value="current", Type="String")
    settings = {
        "parameters": PARAMETERS, "proxy": {"admin": "http://127.0.0.1:9", "directory": "/nowhere"},
        "dependencies": {"recommendations": {"upstream": "http://127.0.0.1:9", "proxy": {"port": 9101}}},
        "dead_man": {"role": f"arn:aws:iam::{ACCOUNT}:role/stormproof-scheduler", "after": "1h"},
    }  # fmt: skip
    before = _parameters(estate)
    fault = resolve(estate, tmp_path / "env", wire.url, "key-stale", {"zone": "a"}, **settings, **CALLED_DIRECTLY)
    inject(fault, tmp_path / "run")

    assert wire.changes[:3] == ["CreateSchedule", "CreateSchedule", "PutParameter"]
    rows = [scheduler.get_schedule(Name=row["Name"])["Target"] for row in scheduler.list_schedules()["Schedules"]]
    assert {row["Arn"].rpartition(":")[2]: json.loads(row["Input"]) for row in rows} == {
        "putParameter": {"Name": first, "Value": "current", "Type": "String", "Overwrite": True},
        "deleteParameter": {"Name": second},
    }
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert scheduler.list_schedules()["Schedules"] == []
    assert _parameters(estate) == before
    ssm.delete_parameter(Name=first)


@pytest.mark.parametrize(("kind", "arguments"), [("release", {"version": "v2"}), ("key-stale", {"zone": "a"})])
def test_a_parameter_comes_back_wherever_it_is_cut_off(
    estate: Estate, wire: Recorder, tmp_path: Path, kind: str, arguments: dict[str, Any]
) -> None:
    """Also one that was not there before: it is deleted, and not emptied."""
    settings = {
        "parameters": PARAMETERS, "proxy": {"admin": "http://127.0.0.1:9", "directory": "/nowhere"},
        "dependencies": {"recommendations": {"upstream": "http://127.0.0.1:9", "proxy": {"port": 9101}}},
    }  # fmt: skip
    fault = resolve(estate, tmp_path / "env", wire.url, kind, arguments, **settings, **CALLED_DIRECTLY)
    rows = Rehearsal(fault=fault, wire=wire, state=lambda: _state(estate), folder=tmp_path).run()

    compare(kind, rows)


def _state(estate: Estate) -> dict[str, Any]:
    """Parameters by what they are for: ids differ from run to run."""
    ids = {one: f"{zone}{number}" for zone, own in estate.instances.items() for number, one in enumerate(own)}
    return {
        name if name == PARAMETERS["release"] else f"key of {ids[name.split('/')[2]]}": value
        for name, value in _parameters(estate).items()
    }


def test_a_parameter_that_somebody_else_set_is_left_alone(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """A release since: the undo names it, and does not take it back."""
    ssm = estate.client("ssm")
    ssm.put_parameter(Name="/shop/release", Value="v1", Type="String")
    fault = resolve(
        estate, tmp_path / "env", wire.url, "release", {"version": "v2"}, parameters=PARAMETERS, **CALLED_DIRECTLY
    )
    inject(fault, tmp_path / "run")
    ssm.put_parameter(Name="/shop/release", Value="v3", Type="String", Overwrite=True)
    left = undo(tmp_path / "run")
    ssm.put_parameter(Name="/shop/release", Value="v2", Type="String", Overwrite=True)

    assert "is 'v3', neither ours ('v2') nor the one before ('v1'); left alone" in left[0]["reason"]
    assert [row["undone"] for row in undo(tmp_path / "run")] == [True]
    assert _parameters(estate) == {"/shop/release": ("String", "v1")}
    ssm.delete_parameter(Name="/shop/release")


def test_a_secret_is_not_taken_into_the_ledger(estate: Estate, wire: Recorder, tmp_path: Path) -> None:
    """A SecureString would be written down in plain text, and come back as such."""
    ssm = estate.client("ssm")
    name = f"/shop/{estate.instances['a'][0]}/key"
    ssm.put_parameter(Name=name, Value="hush", Type="SecureString")
    settings = {"parameters": {"release": name}, **CALLED_DIRECTLY}
    fault = resolve(estate, tmp_path / "env", wire.url, "release", {"version": "v2"}, **settings)
    with pytest.raises(FaultError, match="expected a parameter of type String, got SecureString"):
        inject(fault, tmp_path / "run")

    assert not (tmp_path / "run/ledger.jsonl").exists()
    ssm.delete_parameter(Name=name)


def test_what_nobody_could_see_is_refused(estate: Estate, tmp_path: Path) -> None:
    """Instances that cannot be called directly cannot be asked which release they serve."""
    with pytest.raises(InputError, match=r"instances can be called directly \('staging': instances.address\)"):
        resolve(estate, tmp_path, estate.url, "release", {"version": "v2"}, parameters=PARAMETERS)
    with pytest.raises(InputError, match="an environment that names its release parameter"), answering(estate):
        resolve(estate, tmp_path, estate.url, "release", {"version": "v2"}, **CALLED_DIRECTLY)
