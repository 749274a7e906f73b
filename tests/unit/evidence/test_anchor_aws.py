"""Anchors in S3 under Object Lock and by a KMS key, against moto over HTTP with the real client.

moto lets a COMPLIANCE retention be shortened, which S3 refuses: nothing here rests on that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from stormproof.cli.entry import call
from stormproof.errors import UnavailableError, UsageError
from stormproof.evidence.anchor_aws import anchor_s3, place_of, read_kms, read_s3, sign_kms
from stormproof.evidence.chain import ChainStore
from support.evidence_runs import chain_of

HEAD = {"environment": "local", "sequence": 3, "sha256": "a" * 64, "simulated": True}
NOW = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def session(address: str, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")


def test_the_first_version_under_object_lock_is_the_anchor(session: boto3.Session) -> None:
    """The same head again changes nothing; another head is refused; a later version of the key is not believed."""
    client = session.client("s3")
    client.create_bucket(Bucket="held", ObjectLockEnabledForBucket=True)
    address = anchor_s3(session, HEAD, "s3://held/evidence", retain_days=365, now=NOW)

    assert "s3://held/evidence/local/000003.json" == address
    assert address == anchor_s3(session, HEAD, "s3://held/evidence", retain_days=365, now=NOW)
    with pytest.raises(UnavailableError, match="another digest"):
        anchor_s3(session, HEAD | {"sha256": "b" * 64}, "s3://held/evidence", retain_days=365, now=NOW)
    client.put_object(Bucket="held", Key="evidence/local/000004.json", Body=b'{"sequence": 4, "sha256": "c"}')
    assert [(3, "a" * 64)] == [(one.sequence, one.sha256) for one in read_s3(session, "s3://held/evidence/", "local")]


def test_a_bucket_without_object_lock_is_refused(session: boto3.Session) -> None:
    """What can be deleted holds nothing."""
    session.client("s3").create_bucket(Bucket="open")

    with pytest.raises(UnavailableError, match="Object Lock"):
        anchor_s3(session, HEAD, "s3://open", retain_days=365, now=NOW)
    with pytest.raises(UsageError, match="s3://bucket"):
        place_of("https://open")


def test_a_signature_is_the_keys_own(session: boto3.Session, tmp_path: Path) -> None:
    """Good for the key that made it; not for another head, another key, or a file that is none."""
    client = session.client("kms")
    mine, other = (
        client.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"] for _ in range(2)
    )
    store = ChainStore(tmp_path)
    name = sign_kms(session, HEAD, mine, store)
    data = (store.anchors / name).read_bytes()

    assert [(3, "a" * 64)] == [(one.sequence, one.sha256) for one in read_kms(session, mine, {name: data})]
    assert [] == read_kms(session, other, {name: data})
    assert [] == read_kms(session, mine, {name: data.replace(b"a" * 64, b"b" * 64), "x.kms.json": b"no", "y": b"{}"})
    with pytest.raises(UnavailableError, match="kms:none"):
        sign_kms(session, HEAD, "none", store)


def test_a_chain_is_anchored_in_an_account_by_commands(
    session: boto3.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held in S3 and signed by KMS; the bundle carries the signature; both places agree with it."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    session.client("s3").create_bucket(Bucket="chain", ObjectLockEnabledForBucket=True)
    key = session.client("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
    chain_of(tmp_path, runs=2)
    where = ("--env", "local", "--reports", str(tmp_path))
    bundle = str(tmp_path / "bundle.zip")

    assert 0 == call(["evidence", "anchor", "s3://chain", f"kms:{key}", *where])
    assert 0 == call(["evidence", "bundle", *where, "--out", bundle])
    for place in ("s3://chain", f"kms:{key}"):
        assert 0 == call(["evidence", "verify", bundle, "--anchor", place, "--require-anchor"])
        assert "anchored to record 2" in capsys.readouterr().out
