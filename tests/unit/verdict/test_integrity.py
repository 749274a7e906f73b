"""Damaged records: each damage to a run that held is an error or an invalid run, never held."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stormproof.errors import RunDirectoryError
from stormproof.model.verdict import Outcome
from stormproof.record.layout import RunDirectory
from stormproof.record.seal import seal
from stormproof.verdict.assess import assess
from stormproof.verdict.integrity import UNCHANGED, WHOLE
from support.synthetic import START_S, SyntheticRun

Rows = list[dict[str, Any]]
HELD, INVALID = Outcome.HELD, Outcome.INVALID
RECORDED, GONE = "every request recorded", "fault undone and seen gone"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run that held."""
    there = SyntheticRun().write(tmp_path / "run")
    assert assess(there).outcome is HELD

    return there


def change_samples(run: RunDirectory, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    part = run.samples / "part-000.parquet"
    table = pq.read_table(part)
    changed = pa.Table.from_pandas(change(table.to_pandas()), schema=table.schema, preserve_index=False)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), part)


def change_events(run: RunDirectory, change: Callable[[Rows], Rows]) -> None:
    rows = [json.loads(line) for line in run.events.read_text().splitlines()]
    run.events.write_text("".join(json.dumps(row) + "\n" for row in change(rows)))


def with_fields(rows: Rows, event: str, **fields: Any) -> Rows:
    return [{**row, **fields} if row["event"] == event else row for row in rows]


def failed_checks(run: RunDirectory) -> list[str]:
    verdict = assess(run)
    assert verdict.outcome is INVALID
    assert all(finding.outcome is not HELD for finding in verdict.findings if finding.n)

    return [check.name for check in verdict.checks if not check.ok]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda rows: rows.drop(rows.index[3000:3020]), id="twenty rows gone, less than one in a hundred"),
        pytest.param(lambda rows: pd.concat([rows[: len(rows) // 2]] * 2), id="one half there twice, the other not"),
        pytest.param(
            lambda rows: rows.assign(scheduled_at=rows.scheduled_at + 1, sent_at=rows.sent_at + 1), id="a second late"
        ),
        pytest.param(lambda rows: rows.assign(latency_ms=0.0), id="latency that does not add up"),
        pytest.param(lambda rows: rows.assign(latency_ms=float("nan")), id="no latency"),
        pytest.param(lambda rows: rows.assign(sent_at=float("nan")), id="never sent"),
        pytest.param(lambda rows: rows.assign(sent_at=rows.sent_at - 3600), id="sent before it was due"),
    ],
)
def test_damaged_samples_are_invalid(run: RunDirectory, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Rows that are missing, doubled, moved or impossible make a run invalid, however few."""
    change_samples(run, change)

    assert RECORDED in failed_checks(run)


def test_tasks_of_several_requests_are_recorded(run: RunDirectory) -> None:
    """Where the workers say how many rows they wrote, more rows than tasks are no damage."""
    workers = next(
        row["workers"] for row in map(json.loads, run.events.read_text().splitlines()) if row["event"] == "load.stopped"
    )
    written = [{**one, "rows": one["completed"], "completed": one["completed"] // 2} for one in workers]
    change_events(run, lambda rows: with_fields(rows, "load.stopped", workers=written))

    assert assess(run).outcome is HELD


def test_torn_line_without_an_abort_is_invalid(run: RunDirectory) -> None:
    """What cannot be read may have been the abort."""
    change_events(run, lambda rows: rows)
    lines = run.events.read_bytes().splitlines(keepends=True)
    run.events.write_bytes(b"".join([*lines[:3], b'{"event": "abo\n', *lines[3:]]))

    assert failed_checks(run) == [WHOLE]


def test_run_that_never_said_it_ended_is_invalid(run: RunDirectory) -> None:
    """The last event is there, or the events were cut off."""
    change_events(run, lambda rows: [row for row in rows if row["event"] != "run.ended"])

    assert failed_checks(run) == [WHOLE]


def test_fault_without_its_injection_is_invalid(run: RunDirectory) -> None:
    """A fault that was felt, but of which nothing says when it began, is not known to be gone."""
    change_events(run, lambda rows: [row for row in rows if row["event"] != "fault.injecting"])

    assert failed_checks(run) == [GONE]


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("fault.felt", {"at": "soon"}),
        ("fault.felt", {"at": None}),
        ("fault.felt", {"last_ok_at": 0}),
        ("fault.felt", {"evidence": [1]}),
        ("fault.felt", {"effect": "silent"}),
        ("fault.gone", {"at": START_S + 1e6}),
        ("load.started", {"delivered_share_min": None}),
        ("load.stopped", {"workers": "none"}),
        ("load.stopped", {"workers": [{"offered": "many"}]}),
        ("load.stopped", {"workers": [{"per_second": [[1]]}]}),
        ("load.stopped", {"workers": [{"clock_error_ms": "none"}]}),
    ],
)
def test_impossible_event_is_an_error(run: RunDirectory, event: str, fields: dict[str, Any]) -> None:
    """One message with file, line and field; no traceback, and no window that lasts since 1970."""
    change_events(run, lambda rows: with_fields(rows, event, **fields))

    with pytest.raises(RunDirectoryError, match=rf"events\.jsonl:\d+: {'|'.join(fields)}.*expected .*got "):
        assess(run)


@pytest.mark.parametrize("key", ["schema_version", "run_id", "slug", "title", "simulated"])
def test_run_json_without_a_key_is_an_error(run: RunDirectory, key: str) -> None:
    """A lab's run that lost `simulated` must not pass for a real one."""
    about = json.loads(run.run_json.read_text())
    del about[key]
    run.run_json.write_text(json.dumps(about))

    with pytest.raises(RunDirectoryError, match=rf"run\.json: {key}: expected"):
        assess(run)


def test_changed_record_is_never_held(run: RunDirectory) -> None:
    """A weaker claim put into the spec of a sealed run does not make it held; reports may be made again."""
    seal(run)
    run.report_md.write_text("another report")
    before = assess(run).outcome
    run.spec.write_text(run.spec.read_text().replace("99%", "1%"))

    assert before is HELD
    assert failed_checks(run) == [UNCHANGED]
