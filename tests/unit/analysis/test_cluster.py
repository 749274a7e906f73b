"""Counted on dask.distributed it is the same answer; the parts may be in S3."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from moto.server import ThreadedMotoServer

from stormproof.analysis.cluster import fold_on_cluster
from stormproof.analysis.fold import FoldOver
from stormproof.cli.entry import main
from stormproof.errors import InputError, RunDirectoryError, UnavailableError, UsageError
from stormproof.model.verdict import Outcome
from stormproof.record.layout import RunDirectory
from stormproof.record.sample_part import SamplePart, parts_at
from stormproof.record.seal import seal
from stormproof.verdict.assess import assess
from stormproof.verdict.document import dump_verdict
from support.synthetic import DEFAULT_HYPOTHESES, SyntheticRun, split

CLAIMS = (*DEFAULT_HYPOTHESES, "mean latency during recovery <= 40ms", "share of traffic in zone b during fault <= 60%")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A sealed run in seven parts."""
    run = SyntheticRun(hypotheses=CLAIMS).write(tmp_path_factory.mktemp("clustered") / "run")
    split(run, 7)
    seal(run)
    return run


@pytest.fixture(scope="module")
def fold_over() -> Iterator[FoldOver]:
    """Two worker processes on loopback, with credentials of their own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        with fold_on_cluster(workers=2) as fold_over:
            yield fold_over


@pytest.fixture
def bucket(run: RunDirectory, fold_over: FoldOver, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The samples of *run* in moto's S3, over HTTP; the folder's address."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="eu-west-1")
    where = {"LocationConstraint": "eu-west-1"}
    client.create_bucket(Bucket="runs", CreateBucketConfiguration=where)  # type: ignore[arg-type]
    for path in run.samples.glob("*.parquet"):
        client.upload_file(str(path), "runs", f"one/samples/{path.name}")
    yield f"s3://runs/one/samples?endpoint_override={urlsplit(endpoint).netloc}&scheme=http&region=eu-west-1"
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()
    server.stop()


def test_a_cluster_agrees_to_the_last_count(run: RunDirectory, fold_over: FoldOver) -> None:
    """Two processes and this one: the same bytes."""
    here = assess(run, parts=parts_at(str(run.samples)))

    assert dump_verdict(here) == dump_verdict(assess(run, fold_over=fold_over))
    assert here.outcome is Outcome.HELD


def test_parts_in_s3_are_the_same_parts(run: RunDirectory, fold_over: FoldOver, bucket: str) -> None:
    """Read over HTTP by the workers and checked against the seal."""
    here = dump_verdict(assess(run, parts=parts_at(str(run.samples))))

    assert here == dump_verdict(assess(run, parts=parts_at(bucket), fold_over=fold_over))


def test_other_samples_than_were_sealed_prove_nothing(run: RunDirectory, tmp_path: Path) -> None:
    """Samples from elsewhere must be those of the seal."""
    other = SyntheticRun(hypotheses=CLAIMS, seed=2).write(tmp_path / "other")
    split(other, 7)

    assert assess(run, parts=parts_at(str(other.samples))).outcome is Outcome.INVALID


def test_an_error_of_a_worker_arrives_whole(fold_over: FoldOver, run: RunDirectory, tmp_path: Path) -> None:
    """What, where, expected and got survive the way from another process."""
    bad = tmp_path / "part-000.parquet"
    bad.write_text("no Parquet")
    with pytest.raises(RunDirectoryError, match=r"part-000\.parquet: expected a Parquet file") as caught:
        assess(run, parts=[SamplePart(path=str(bad))], fold_over=fold_over)

    assert caught.value.exit_code == 65
    assert caught.value.where == str(bad)


def test_without_the_extra_it_says_what_to_install(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error with a hint, and no traceback."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setattr(sys, "argv", ["stormproof", "analyse", str(run.path), "--cluster"])
    with pytest.raises(UsageError, match="stormproof\\[cluster\\]"), fold_on_cluster():
        pass
    with pytest.raises(SystemExit) as left:
        main()

    assert left.value.code == 64
    assert "hint: pip install 'stormproof[cluster]'" in capsys.readouterr().err


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the time-out, with the address."""
    monkeypatch.setattr("stormproof.analysis.cluster.CONNECT_S", 0.3)
    with pytest.raises(UnavailableError, match=r"tcp://127\.0\.0\.1:9"), fold_on_cluster("tcp://127.0.0.1:9"):
        pass


@pytest.mark.parametrize("url", ["nowhere", "ftp://127.0.0.1/x", os.devnull])
def test_a_folder_that_is_none_is_named(url: str) -> None:
    """No samples there, and no traceback either."""
    with pytest.raises(InputError, match="expected"):
        parts_at(url)
