"""The run cut by endpoint, by zone and by kind of failure; the three phases side by side.

The numbers are those of `analysis.tables`, by the same estimators that the findings use, so that a table never
contradicts a finding. Nothing is decided here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stormproof.report.notation import DASH, bare, clean, count, offset, quantity
from stormproof.report.sample_tables import KIND, TOTAL, SampleTables

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pandas as pd

ROWS_MAX = 40  # groups in a table; the samples have all


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An estimate and its 95 % interval; no interval without an estimate."""

    text: str
    interval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One group in one phase."""

    n: str
    ok: Value
    all_ok: bool
    p50: Value
    p99: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One endpoint or zone; a cell a phase, in the order of the table's phases."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """One table."""

    phases: tuple[str, ...]
    groups: tuple[Group, ...]
    total: bool  # the last group is all the others together
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow:
    """How often one kind of failure happened, in all and by phase."""

    kind: str
    total: str
    by_phase: tuple[str, ...]
    swatch: int  # the number of its colour in the plot, -1 for none


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstRow:
    """One request, as evidence; *row* counts from 0 in the samples ordered by scheduled_at."""

    row: str
    offset: str
    endpoint: str
    zone: str
    status: str
    latency: str
    error: str


def by_endpoint(tables: SampleTables, windows: Mapping[str, tuple[float, float]]) -> Breakdown:
    """`analysis.tables.phase_table`, the phases side by side; all endpoints together come last."""
    from stormproof.analysis.tables import ALL

    return _side_by_side(tables.endpoints(), "endpoint", windows, last=ALL, last_name="all requests")


def by_zone(tables: SampleTables, windows: Mapping[str, tuple[float, float]]) -> Breakdown:
    """`analysis.tables.zone_table`, the phases side by side; what no zone answered comes last."""
    from stormproof.analysis.tables import NO_ZONE

    return _side_by_side(tables.zones(), "zone", windows, last=NO_ZONE, last_name="no zone answered")


def quantile_floors() -> tuple[int, int]:
    """The requests below which there is no p50, and no p99."""
    from stormproof.analysis.tables import quantile_minimum_n

    floors = quantile_minimum_n()
    return floors["latency_ms_p50"], floors["latency_ms_p99"]


def failures(tables: SampleTables, drawn: tuple[str, ...]) -> tuple[tuple[FailureRow, ...], int]:
    """The kinds of failure, the commonest first, and how many kinds were left out; *drawn* are the plot's kinds."""
    table = tables.failures()
    phases = [column for column in table.columns if column not in {KIND, TOTAL}]
    rows = tuple(
        FailureRow(
            kind=clean(row[KIND], limit=160),
            total=count(int(row[TOTAL])),
            by_phase=tuple(count(int(row[phase])) for phase in phases),
            swatch=drawn.index(str(row[KIND])) if row[KIND] in drawn else len(drawn) - 1,
        )
        for row in table.head(ROWS_MAX).to_dict("records")
    )
    return rows, max(0, len(table) - ROWS_MAX)


def worst(tables: SampleTables, *, zero_s: float) -> tuple[WorstRow, ...]:
    """The few requests of the fault that show best what went wrong: failed before slow, the longest first."""
    return tuple(
        WorstRow(
            row=count(int(str(index))),
            offset=offset(float(row["scheduled_at"]) - zero_s),
            endpoint=clean(row["endpoint"], limit=80),
            zone=clean(row["zone"], limit=40) or DASH,
            status=str(int(row["status"])) if row["status"] else "no answer",
            latency=quantity(float(row["latency_ms"]), "ms"),
            error=clean(row["error"], limit=160) or DASH,
        )
        for index, row in tables.worst().iterrows()
    )


def _side_by_side(
    table: pd.DataFrame, column: str, windows: Mapping[str, tuple[float, float]], *, last: str, last_name: str
) -> Breakdown:
    rows = {(str(row[column]), str(row["phase"])): row for row in table.to_dict("records")}
    busy = {name for (name, _), row in rows.items() if row["n"]}
    names = sorted(busy - {last})
    groups = [Group(name=clean(name, limit=80), cells=_cells(rows, name, windows)) for name in names[:ROWS_MAX]]
    if last in busy:
        groups.append(Group(name=last_name, cells=_cells(rows, last, windows)))
    return Breakdown(
        phases=tuple(windows),
        groups=tuple(groups),
        total=column == "endpoint" and last in busy,
        left_out=max(0, len(names) - ROWS_MAX),
    )


def _cells(
    rows: Mapping[tuple[str, str], Mapping[Hashable, Any]], name: str, windows: Mapping[str, tuple[float, float]]
) -> tuple[Cell, ...]:
    return tuple(_cell(rows.get((name, phase), {})) for phase in windows)


def _cell(row: Mapping[Hashable, Any]) -> Cell:
    return Cell(
        n=count(row.get("n", 0)),
        ok=_value(row, "ok_share", "ok_low", "ok_high", "share"),
        all_ok=not row.get("failed"),
        p50=_value(row, "latency_ms_p50", "latency_ms_p50_low", "latency_ms_p50_high", "ms"),
        p99=_value(row, "latency_ms_p99", "latency_ms_p99_low", "latency_ms_p99_high", "ms"),
    )


def _value(row: Mapping[Hashable, Any], key: str, low: str, high: str, unit: str) -> Value:
    estimate, least, most = (_known(row.get(key)) for key in (key, low, high))
    if estimate is None or least is None:
        return Value(text=quantity(estimate, unit), interval="")
    # without the unit, which the number above has: twelve columns must fit a page
    open_end = most is None or math.isinf(most)
    text = f"≥ {bare(least, unit)}" if open_end or most is None else f"{bare(least, unit)} … {bare(most, unit)}"
    return Value(text=quantity(estimate, unit), interval=text)


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else None
