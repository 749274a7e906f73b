"""The ledger in the environment's bucket: what one machine broke, another undoes with the environment's file alone.

Each machine of these tests is a state folder of its own; the bucket is moto's, reached over HTTP.
"""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from stormproof.errors import FaultError, OutstandingUndoError, UnavailableError
from stormproof.faults import activity, catalogue
from stormproof.faults.ledger import Ledger
from stormproof.faults.mirror import CLAIM_S, Mirror
from stormproof.model.environment import Aws, Environment
from stormproof.model.plan import ResolvedFault
from stormproof.plan.iam_policy import policy_of
from stormproof.run.lease import SUITE, environment_lease, refuse_if_open
from stormproof.spec.environment_file import load_environment
from stormproof.staging.environment import discover
from stormproof.suite.outcome import outcome_of
from support.aws_fault import inject
from support.command import ROOT, stormproof, wait_for
from support.emulated_aws import Call, Cut, Estate, environment_file, recorder, state_of
from support.suites import begin, play

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unhurried")]

BUCKET = "shop-stormproof-ledger"
LEASE = "stormproof/staging/lease.json"
CHANGES = {"ledger": {"bucket": BUCKET}, "az_loss": {"parts": ["instances"]}}


@pytest.fixture
def bucket(estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket that keeps versions, empty; and a machine."""
    monkeypatch.setenv("STORMPROOF_STATE_DIR", str(tmp_path / "here"))
    s3 = estate.client("s3")
    if BUCKET not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for row in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        s3.delete_object(Bucket=BUCKET, Key=row["Key"])
    return s3


def _environment(estate: Estate, folder: Path, url: str) -> Environment:
    file = load_environment(environment_file(estate, folder, url=url, **CHANGES).parent, "staging")
    assert file.cloud is not None
    return discover("staging", file.cloud)


def _fault(environment: Environment) -> ResolvedFault:
    return catalogue.resolve("az-loss", {"zone": "a"}, environment, fault_id="1-az-loss")


def _undo(run: Path) -> dict[str, Any]:
    return activity.undo_outstanding(Ledger(run / "ledger.jsonl"), events_path=None, who="test")[0]


def _open(s3: Any) -> list[str]:
    rows = s3.list_objects_v2(Bucket=BUCKET, Prefix="stormproof/staging/open/").get("Contents", ())
    return [row["Key"] for row in rows]


def test_another_machine_undoes_with_the_file_alone(estate: Estate, bucket: Any, tmp_path: Path) -> None:
    """It was in the bucket before the act; it keeps out the next run; undone, it is gone, and its versions are kept."""
    before = state_of(estate)
    with recorder(estate.url) as wire:
        assert inject(_fault(_environment(estate, tmp_path / "environments", wire.url)), tmp_path / "run-1")["felt"]
    writes = [call.operation for call in wire.calls if call.changes]
    assert writes[:2] == [f"Put /{BUCKET}/stormproof/staging/open/run-1/1-az-loss.json", "StopInstances"]
    shutil.rmtree(tmp_path / "run-1")  # the machine is lost, with all that it knew
    file = environment_file(estate, tmp_path / "environments", **CHANGES)
    elsewhere = {"STORMPROOF_STATE_DIR": str(tmp_path / "elsewhere")}
    refused = stormproof("run", ROOT / "experiments/az-loss", "--env", file, "--out", tmp_path / "runs", **elsewhere)
    listed = stormproof("undo", "--list", "--env", file, "--json", **elsewhere)
    undone = stormproof("undo", "--env", file, "--json", **elsewhere)
    again = stormproof("undo", "--env", file, **elsewhere)

    assert refused.code == 69, refused.err
    assert "still to be undone (run-1: 1-az-loss)" in refused.err
    assert "stormproof undo --env staging" in refused.err
    assert (listed.code, listed.document["outstanding"][0]["fault_id"]) == (69, "1-az-loss")
    assert undone.code == 0, undone.err
    assert (again.code, again.out) == (0, "nothing is left to undo\n")
    assert state_of(estate) == before
    assert _open(bucket) == []
    versions = bucket.list_object_versions(Bucket=BUCKET, Prefix="stormproof/staging/open/run-1/")["Versions"]
    bodies = [bucket.get_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"]) for one in versions]
    assert {json.loads(one["Body"].read())["state"] for one in bodies} == {"intent", "acted", "undoing", "undone"}


def test_what_cannot_be_written_is_not_broken(estate: Estate, bucket: Any, tmp_path: Path) -> None:
    """The bucket refuses, or has an entry of that name: nothing happens, and the ledger's undo finds nothing to do."""
    before = state_of(estate)
    with recorder(estate.url) as wire:
        fault = _fault(_environment(estate, tmp_path / "environments", wire.url))
        wire.cut = Cut(at=1, before=True)
        with pytest.raises(FaultError, match=r"the undo of 1-az-loss could not be written .*nothing was broken"):
            inject(fault, tmp_path / "run-2")
        wire.cut = None
        assert _undo(tmp_path / "run-2")["undone"]
        bucket.put_object(Bucket=BUCKET, Key="stormproof/staging/open/run-3/1-az-loss.json", Body=b"{}")
        with pytest.raises(FaultError, match="another run has written it"):
            inject(fault, tmp_path / "run-3")

    assert "StopInstances" not in wire.changes
    assert state_of(estate) == before
    failed = json.loads((tmp_path / "run-2/events.jsonl").read_text().splitlines()[0])
    assert (failed["event"], failed["reason"][:18]) == ("fault.failed", "nothing was broken")


def test_a_bucket_that_is_away_keeps_nobody_from_undoing(estate: Estate, bucket: Any, tmp_path: Path) -> None:
    """What is broken matters more than the book-keeping, which is made good by the next undo."""
    before = state_of(estate)
    with recorder(estate.url) as wire:
        fault = _fault(_environment(estate, tmp_path / "environments", wire.url))
        inject(fault, tmp_path / "run-4")

        def away(call: Call) -> tuple[int, str] | None:
            return (503, "ServiceUnavailable") if f"/{BUCKET}" in call.operation else None

        wire.refuse = away
        undone = _undo(tmp_path / "run-4")

    assert undone["undone"]
    assert "could not be told" in undone["reason"]
    assert state_of(estate) == before
    assert len(_open(bucket)) == 1
    with pytest.raises(OutstandingUndoError):
        refuse_if_open("staging", _environment(estate, tmp_path / "environments", estate.url).aws)
    elsewhere = {"STORMPROOF_STATE_DIR": str(tmp_path / "elsewhere")}
    assert stormproof("undo", "--env", tmp_path / "environments/staging.yaml", **elsewhere).code == 0
    assert _open(bucket) == []


def test_one_machine_undoes_at_a_time(
    estate: Estate, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim of another machine is honoured while it may be alive; when it is too old, the undo goes on."""
    environment = _environment(estate, tmp_path / "environments", estate.url)
    inject(_fault(environment), tmp_path / "run-5")
    mirror = Mirror.of(environment.aws.configuration)
    assert mirror is not None
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("STORMPROOF_STATE_DIR", str(tmp_path / "elsewhere"))
        assert mirror.claim("run-5", "1-az-loss") == ""

    first = _undo(tmp_path / "run-5")
    key = "stormproof/staging/open/run-5/1-az-loss.json"
    document = json.loads(bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    document["steps"][-1]["wall_s"] -= CLAIM_S
    bucket.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(document))
    second = _undo(tmp_path / "run-5")

    assert (first["undone"], "began to undo it" in first["reason"]) == (False, True)
    assert second["undone"]
    assert _open(bucket) == []


def test_one_run_at_a_time_whichever_machine(
    estate: Estate, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease keeps other machines out until its end, is given back, and is taken over when it has ended."""
    environment = _environment(estate, tmp_path / "environments", estate.url)
    with environment_lease(environment, run=tmp_path / "run-6") as lease:
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("STORMPROOF_STATE_DIR", str(tmp_path / "elsewhere"))
            with (
                pytest.raises(UnavailableError, match=r"a run is going on \(run-6 of .*, heard of \d+ s ago"),
                environment_lease(environment, run=tmp_path / "run-7"),
            ):
                raise AssertionError("two runs at once")
        lease.renew()
        assert lease.lost() is None
    assert bucket.list_objects_v2(Bucket=BUCKET, Prefix="stormproof/staging/lease").get("KeyCount") == 0

    bucket.put_object(Bucket=BUCKET, Key=LEASE, Body=json.dumps({"machine": "another", "run": "run-0"}))
    with monkeypatch.context() as later, environment_lease_after(later, environment, tmp_path / "run-8") as lease:
        assert json.loads(bucket.get_object(Bucket=BUCKET, Key=LEASE)["Body"].read())["run"] == "run-8"
        bucket.put_object(Bucket=BUCKET, Key=LEASE, Body=json.dumps({"machine": "another", "run": "run-9"}))
        lease.renew()
        assert "another run has taken this environment's lease: run-9" in str(lease.lost())


def environment_lease_after(later: pytest.MonkeyPatch, environment: Environment, run: Path) -> Any:
    """A lease that is taken when whoever held it has been silent for long enough."""
    later.setattr("stormproof.run.lease.LEASE_S", -1.0)
    return environment_lease(environment, run=run)


def test_one_suite_at_a_time_whichever_machine(
    estate: Estate, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suite's lease keeps out the suites of other machines, and not its own runs."""
    environment = _environment(estate, tmp_path / "environments", estate.url)
    with (
        environment_lease(environment, run=Path("night-1"), name=SUITE),
        environment_lease(environment, run=tmp_path / "run-1"),
        monkeypatch.context() as elsewhere,
    ):
        elsewhere.setenv("STORMPROOF_STATE_DIR", str(tmp_path / "elsewhere"))
        with (
            pytest.raises(UnavailableError, match=r"a run is going on \(night-1 of "),
            environment_lease(environment, run=Path("night-2"), name=SUITE),
        ):
            raise AssertionError("two suites at once")
    assert bucket.list_objects_v2(Bucket=BUCKET).get("KeyCount") == 0


def test_a_suite_that_has_lost_its_lease_ends(
    estate: Estate, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine has taken it: the run that is going on is asked to end, nothing more is begun, and it is said."""
    monkeypatch.setattr("stormproof.run.lease.RENEWED_EVERY_S", 0.1)
    environment = _environment(estate, tmp_path / "environments", estate.url)
    folder, state = begin(tmp_path / "reports", {"a": "hangs", "b": "held"})

    def taken() -> None:
        wait_for("a to hang", lambda: list((tmp_path / "reports/a").glob("2*/run.json")), within_s=60)
        theirs = {"machine": "another", "host": "elsewhere", "user": "them", "run": "night-2"}
        bucket.put_object(Bucket=BUCKET, Key="stormproof/staging/suite-lease.json", Body=json.dumps(theirs))

    other = threading.Thread(target=taken)
    other.start()
    with environment_lease(environment, run=Path(state.suite_id), name=SUITE) as lease:
        play(folder, state, lease_lost=lease.lost)
    other.join()

    assert state.stopped == "another suite has taken this environment's lease: night-2 of them on elsewhere"
    assert [one.outcome for one in state.items[0].attempts] == ["interrupted"]
    assert state.items[1].left.startswith("the suite ended before its turn: another suite has taken")
    assert outcome_of(state).exit_code == 4
    kept = json.loads(bucket.get_object(Bucket=BUCKET, Key="stormproof/staging/suite-lease.json")["Body"].read())
    assert kept["run"] == "night-2"  # what is theirs now is not given back by us


def test_a_bucket_without_versions_is_refused(estate: Estate, bucket: Any, tmp_path: Path) -> None:
    """An entry that somebody overwrites must be there to be read."""
    bucket.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})

    with pytest.raises(UnavailableError, match="versioning Enabled, got Suspended"):
        _environment(estate, tmp_path / "environments", estate.url)


def test_the_policy_allows_the_ledger_on_its_own_keys_only() -> None:
    """By IAM's names, which are not S3's operations'; the lease is under the same keys."""
    where = {"aws_account": "123456789012", "aws_region": "us-east-1", "aws_partition": "aws"}
    mirror = Mirror(bucket=BUCKET, prefix="stormproof/staging", configuration=where)
    environment = Environment(
        name="staging",
        simulated=True,
        base_url="",
        aws=Aws(endpoint_url=None, region="us-east-1", account="123456789012"),
    )

    statements = policy_of(mirror.api_calls, environment)["Statement"]

    assert {tuple(one["Resource"]): one["Action"] for one in statements} == {
        (f"arn:aws:s3:::{BUCKET}",): ["s3:GetBucketVersioning", "s3:ListBucket"],
        (f"arn:aws:s3:::{BUCKET}/stormproof/staging/*",): ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
    }
