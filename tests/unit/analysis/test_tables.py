"""The report's tables."""

from __future__ import annotations

import math

from stormproof.analysis.tables import ALL, NO_ZONE, phase_table, second_table, worst_requests, zone_table
from support.synthetic import START_S, SyntheticRun, rows

WINDOWS = {"steady": (START_S + 2, START_S + 17), "fault": (START_S + 17, START_S + 37)}


def test_phase_table_counts_every_request_once() -> None:
    """The endpoints of a phase add up to its total; phases without a window are left out."""
    table = phase_table(SyntheticRun().frame(), WINDOWS).set_index(["phase", "endpoint"])

    assert list(table.index.get_level_values("phase").unique()) == ["steady", "fault"]
    assert table.loc[("steady", ALL), "n"] == 1500
    assert table.loc["steady"].drop(ALL)["n"].sum() == 1500
    assert table.loc[("fault", ALL), "rate_per_s"] == 100.0
    assert table.loc[("fault", ALL), "ok_share"] == 1.0


def test_too_few_for_a_percentile_is_not_a_number() -> None:
    """Three requests have neither p50 nor p99."""
    frame = rows(scheduled_at=[START_S + 3, START_S + 4, START_S + 5])
    row = phase_table(frame, WINDOWS).iloc[0]

    assert row["n"] == 3
    assert math.isnan(row["latency_ms_p50"])
    assert math.isnan(row["latency_ms_p99"])


def test_zone_table_shows_the_silent_zone_and_the_unanswered() -> None:
    """Zone a has a share of a third in steady and none in the fault; failures without a zone have a row."""
    table = zone_table(SyntheticRun().frame(), WINDOWS).set_index(["phase", "zone"])

    assert table.loc[("steady", "a"), "share"] == 1 / 3
    assert table.loc[("fault", "a"), "n"] == 0
    assert table.loc[("fault", NO_ZONE), "n"] == 0


def test_second_table_by_hand() -> None:
    """Three seconds: two requests, none, one that failed."""
    frame = rows(
        scheduled_at=[START_S + 0.1, START_S + 0.9, START_S + 2.0], latency_ms=[10, 30, 5], ok=[True, True, False]
    )
    table = second_table(frame, START_S, START_S + 3)

    assert table["n"].tolist() == [2, 0, 1]
    assert table["failed"].tolist() == [0, 0, 1]
    assert table["latency_ms_p50"].tolist()[::2] == [10.0, 5.0]
    assert table["latency_ms_max"].tolist()[::2] == [30.0, 5.0]
    assert math.isnan(table["latency_ms_p50"][1])


def test_no_samples_give_empty_tables() -> None:
    """An empty run has tables with the right columns and no numbers."""
    frame = rows(scheduled_at=[])

    assert phase_table(frame, {}).empty
    assert (second_table(frame, START_S, START_S + 2)["n"] == 0).all()


def test_the_worst_are_failed_first_then_slow() -> None:
    """A failed request is worse than any slow one."""
    frame = rows(
        scheduled_at=[START_S + 3 + i for i in range(4)], latency_ms=[10, 500, 20, 5], ok=[True, True, True, False]
    )
    worst = worst_requests(frame, WINDOWS["steady"], count=2)

    assert worst["latency_ms"].tolist() == [5.0, 500.0]
