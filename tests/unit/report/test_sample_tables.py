"""The tables of a run, from rows and from counters: the same counts, latencies to a bucket."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import stormproof
from stormproof.analysis.counters import ERROR_MAX
from stormproof.errors import RunDirectoryError
from stormproof.record.layout import RunDirectory
from stormproof.report.charts import charts
from stormproof.report.facts import read_facts
from stormproof.report.sample_tables import CountedTables
from stormproof.report.write import write_reports
from stormproof.verdict.assess import assess
from stormproof.verdict.document import write_verdict
from support.synthetic import Stretch, SyntheticRun, split

STRETCHES = (
    Stretch(start_s=0, end_s=17, failed_share=0.005),
    Stretch(start_s=17, end_s=37, failed_share=0.2, latency_ms=60.0, zones=("b", "c")),
    Stretch(start_s=37, end_s=52),
)
IN_MEMORY = "stormproof.record.sample_part.IN_MEMORY_ROWS_MAX"
SAMPLE_TABLES = ("endpoints", "zones", "seconds", "failures", "worst")


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A refuted run in five parts, with its verdict."""
    run = SyntheticRun(stretches=STRETCHES).write(tmp_path / "run")
    split(run, 5)
    write_verdict(run.verdict, assess(run))
    return run


@pytest.fixture
def both(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """Its tables from rows, and from counters."""
    whole = stormproof.tables(run.path)
    monkeypatch.setattr(IN_MEMORY, 0)
    return whole, stormproof.tables(run.path)


def latencies(table: pd.DataFrame) -> list[str]:
    return [column for column in table.columns if column.startswith("latency_ms")]


@pytest.mark.parametrize("name", SAMPLE_TABLES)
def test_counted_tables_are_those_of_rows(
    name: str, both: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]
) -> None:
    """Every row and column; row numbers of the worst requests too."""
    whole, counted = (tables[name] for tables in both)
    exact = whole.columns.difference(latencies(whole) if name != "worst" else [])

    assert len(whole) > 0
    pd.testing.assert_frame_equal(whole[exact], counted[exact], check_dtype=False, check_categorical=False, rtol=1e-12)
    for column in latencies(whole):
        np.testing.assert_allclose(counted[column], whole[column], rtol=2 * ERROR_MAX)


def test_tables_say_what_the_run_was(run: RunDirectory) -> None:
    """One row a claim, a check, a fault, a worker, an event and a reading."""
    tables = stormproof.tables(run.path)
    verdict = assess(run)

    assert tables["findings"]["claim"].tolist() == [one.claim for one in verdict.findings]
    assert tables["findings"]["verdict"].tolist() == [one.outcome.value for one in verdict.findings]
    assert tables["checks"]["ok"].tolist() == [one.ok for one in verdict.checks]
    assert tables["faults"]["fault_id"].tolist() == ["1-az-loss"]
    assert tables["workers"]["completed"].tolist() == [5200]
    assert tables["events"]["event"].iloc[0] == "run.started"
    assert len(tables["readings"]) == 520


def test_a_report_of_counters_draws_what_one_of_rows_draws(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same series but for latencies, and all the pages."""
    whole = read_facts(run)
    monkeypatch.setattr(IN_MEMORY, 0)
    counted = read_facts(run)
    assert whole.tables is not None
    assert counted.tables is not None
    assert isinstance(counted.tables, CountedTables)
    one, other = whole.tables.series([]), counted.tables.series([])
    assert one is not None
    assert other is not None

    assert (one.start_s, one.bucket_s, one.tail, dict(one.failed_per_s)) == (
        other.start_s,
        other.bucket_s,
        other.tail,
        dict(other.failed_per_s),
    )
    assert one.answered_per_s == pytest.approx(other.answered_per_s)
    assert one.latency_ms_p50 == pytest.approx(other.latency_ms_p50, rel=2 * ERROR_MAX)
    assert one.latency_ms_tail == pytest.approx(other.latency_ms_tail, rel=2 * ERROR_MAX)
    assert all(path.stat().st_size > 1000 for path in write_reports(run))


def test_a_report_of_counters_has_the_same_plots(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heat map, latency by phase, error budget and the window by effect: all from counts, so to the last digit."""
    whole = charts(read_facts(run))
    monkeypatch.setattr(IN_MEMORY, 0)
    monkeypatch.setattr("stormproof.record.sample_part.BATCH_ROWS", 400)
    counted = charts(read_facts(run))

    assert all(len(drawn) == 2 for drawn in (whole.distribution, whole.heat, whole.budget))
    assert whole.effect_window is not None
    assert counted == whole


def test_a_folder_that_is_no_run_has_no_tables(tmp_path: Path) -> None:
    """An error that says so."""
    with pytest.raises(RunDirectoryError):
        stormproof.tables(tmp_path)
