"""A run becomes one record, whatever became of it; and one record only."""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from stormproof.errors import InputError, RunDirectoryError
from stormproof.evidence.chain import read_links, store_of
from stormproof.evidence.record import build_record
from stormproof.evidence.recorder import find_runs, record_runs
from stormproof.evidence.settings import EvidenceSettings
from stormproof.evidence.source import read_source
from stormproof.record.layout import RunDirectory
from stormproof.record.seal import seal
from support.evidence_runs import SAMPLE, copy_run, rejudge

SETTINGS = EvidenceSettings.model_validate(
    {
        "people": {"author": "Ada", "approver": "Ben", "reviewer": "Cy"},
        "workload": {"name": "shop"},
        "retention": {"class": "7y", "days": 365},
    }
)
SECTIONS = {
    "schema_version", "evidence_id", "simulated", "simulated_because", "run_id", "who", "when", "what", "scope",
    "version", "authority", "expected", "observed", "potency", "result", "restored", "deviations", "findings",
    "remediation", "mapping", "sign_off", "retention", "integrity",
}  # fmt: skip


def fail_in_the_fault(run: RunDirectory, share: float) -> None:
    """Make that *share* of the requests of the fault phase fail, as if the workload had not withstood it."""
    verdict = orjson.loads(run.verdict.read_bytes())
    start, end = verdict["windows"]["fault"]
    path = next(run.samples.glob("*.parquet"))
    table = pq.read_table(path)
    at = table["scheduled_at"]
    every = pa.array([row % round(1 / share) == 0 for row in range(len(table))])
    hit = pc.and_(pc.and_(pc.greater_equal(at, start), pc.less(at, end)), every)
    bad = pc.if_else(hit, False, table["ok"])
    table = table.set_column(table.schema.get_field_index("ok"), table.schema.field("ok"), bad)
    status = pc.if_else(hit, pa.scalar(503, pa.int16()), table["status"])
    table = table.set_column(table.schema.get_field_index("status"), table.schema.field("status"), status)
    pq.write_table(table, path)


def test_the_record_of_a_run_has_what_auditors_ask_for() -> None:
    """Every section; the numbers of the run; proof of fault and of restoration; digests of the raw data."""
    record = build_record(read_source(SAMPLE), SETTINGS, sequence=1, previous_sha256=None)
    first = record["observed"]["findings"][0]

    assert set(record) == SECTIONS
    assert ("held", True, True) == (record["result"]["verdict"], record["potency"]["counts"], record["restored"]["ok"])
    assert (0.9988243907243116, 1.0, 3136) == (first["low"], first["high"], first["n"])
    assert ("Ada", "Ben", "Cy", True) == tuple(
        record["who"][key] for key in ("author", "approver", "reviewer", "independent")
    )
    assert (
        "zone a answered 708 requests in steady, 0 of 2851 in the fault" in record["potency"]["proof"][0]["workload"][0]
    )
    assert "2027-11-23" == record["retention"]["until"]
    digest = hashlib.sha256((SAMPLE / "events.jsonl").read_bytes()).hexdigest()
    assert digest == record["observed"]["raw_sha256"]["events.jsonl"]
    assert record["version"]["tools"]["botocore"]
    assert ("whole", "the same") == (record["integrity"]["run_seal"], record["integrity"]["judged_again"])


def test_a_run_in_the_lab_cannot_be_relabelled(tmp_path: Path) -> None:
    """One document that says otherwise, under a new seal, is not enough: everything else must be of a real place."""
    run = copy_run(tmp_path, "20261101T000000Z-az-loss-0001", run={"simulated": False, "environment": "staging"})
    relabelled = build_record(read_source(run.path), SETTINGS, sequence=1, previous_sha256=None)
    real = copy_run(tmp_path, "20261101T000000Z-az-loss-0002", real=True)

    assert relabelled["simulated"]
    assert "its workload is on this machine" in relabelled["simulated_because"]
    assert not build_record(read_source(real.path), SETTINGS, sequence=1, previous_sha256=None)["simulated"]


def test_refuted_invalid_and_unfinished_runs_are_kept(tmp_path: Path) -> None:
    """Each gets its record in the order of time; none is written twice; a run still going on is left for later."""
    refuted = copy_run(tmp_path, "20261101T000000Z-az-loss-0001")
    fail_in_the_fault(refuted, 0.25)
    rejudge(refuted)
    unfinished = copy_run(tmp_path, "20261102T000000Z-az-loss-0002")
    for path in (unfinished.verdict, unfinished.sums):
        path.unlink()
    going_on = record_runs(find_runs(tmp_path), reports=tmp_path, settings=SETTINGS)
    abandoned = record_runs(find_runs(tmp_path), reports=tmp_path, settings=SETTINGS, clock=lambda: 4e9)
    again = record_runs(find_runs(tmp_path), reports=tmp_path, settings=SETTINGS, clock=lambda: 4e9)

    assert (["refuted"], [unfinished.path]) == (
        [one.record["result"]["verdict"] for one in going_on.links], list(going_on.unfinished),
    )  # fmt: skip
    assert going_on.links[0].record["potency"]["counts"]
    assert "availability during fault >= 99.5%" == going_on.links[0].record["findings"][0]["claim"]
    assert ["unfinished"] == [one.record["result"]["verdict"] for one in abandoned.links]
    assert not abandoned.links[0].record["potency"]["counts"]
    assert () == again.links
    assert [1, 2] == [one.sequence for one in read_links(store_of(tmp_path, "local"))]


def test_a_verdict_that_the_data_do_not_give_does_not_count(tmp_path: Path) -> None:
    """Edited and sealed anew: the raw data are judged again. Edited and not: the seal says so."""
    run = copy_run(tmp_path, "20261101T000000Z-az-loss-0001")
    text = run.verdict.read_text().replace('"n": 3136', '"n": 9136')
    run.verdict.write_text(text)
    broken = build_record(read_source(run.path), SETTINGS, sequence=1, previous_sha256=None)
    run.sums.unlink()
    seal(run)
    resealed = build_record(read_source(run.path), SETTINGS, sequence=1, previous_sha256=None)

    assert "changed since it was sealed: verdict.json was changed" in broken["potency"]["reasons"]
    assert ("whole", False) == (resealed["integrity"]["run_seal"], resealed["potency"]["counts"])
    assert ["the raw data do not give the verdict on record"] == resealed["potency"]["reasons"]


def test_simulated_and_real_records_do_not_share_a_chain(tmp_path: Path) -> None:
    """A lab that is called staging is stopped at the door of staging's chain."""
    copy_run(tmp_path, "20261101T000000Z-az-loss-0001", real=True)
    record_runs(find_runs(tmp_path), reports=tmp_path, settings=SETTINGS)
    copy_run(tmp_path, "20261102T000000Z-az-loss-0002", run={"environment": "staging"})

    with pytest.raises(InputError, match="no evidence of staging"):
        record_runs(find_runs(tmp_path), reports=tmp_path, settings=SETTINGS)


def test_secrets_do_not_reach_the_record(tmp_path: Path) -> None:
    """A key in the command line, a password in an override."""
    leak = {"command": "stormproof run x --set token=AKIAABCDEFGHIJKLMNOP", "overrides": {"db.password": "hunter2"}}
    run = copy_run(tmp_path, "20261101T000000Z-az-loss-0001", run=leak)
    text = orjson.dumps(build_record(read_source(run.path), SETTINGS, sequence=1, previous_sha256=None)).decode()

    assert "AKIAABCDEFGHIJKLMNOP" not in text
    assert "hunter2" not in text


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """In words."""
    with pytest.raises(RunDirectoryError, match="run directory"):
        record_runs([tmp_path], reports=tmp_path, settings=SETTINGS)
