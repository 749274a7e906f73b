"""The tables and the time series of a run's samples, from rows in memory or, where they are too many, from counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stormproof.report.series import Series, error_kinds, tabulate
from stormproof.report.series_counted import tabulate_counted

if TYPE_CHECKING:
    import pandas as pd

    from stormproof.analysis.budget import Budget, Spent
    from stormproof.analysis.fold import Fold
    from stormproof.analysis.grid import Grid
    from stormproof.analysis.table_counts import TableCounts
    from stormproof.record.sample_part import SamplePart

Windows = Mapping[str, tuple[float, float]]
KIND, TOTAL = "kind", "total"


class SampleTables(Protocol):
    """What a report shows of the samples. `docs/reference/tables.md` says what each table is."""

    @property
    def rows(self) -> int:
        """How many samples."""
        ...

    def endpoints(self) -> pd.DataFrame:
        """`analysis.tables.phase_table`."""
        ...

    def zones(self) -> pd.DataFrame:
        """`analysis.tables.zone_table`."""
        ...

    def seconds(self) -> pd.DataFrame:
        """`analysis.tables.second_table`, from the first whole Unix second on."""
        ...

    def failures(self) -> pd.DataFrame:
        """One row a kind of failure, the commonest first: kind, total, and how many in each phase."""
        ...

    def worst(self) -> pd.DataFrame:
        """The worst requests of the fault phase, whole, by their number in the order of time."""
        ...

    def series(self, offered: Sequence[tuple[float, float]]) -> Series | None:
        """What the time plot draws."""
        ...

    def grid(self) -> Grid | None:
        """What the other plots and the window by effect are made from; None without a window."""
        ...

    def spent(self, budget: Budget) -> Spent:
        """What was spent of *budget*, one of a claim of this run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTables:
    """From all rows: every number is exact."""

    samples: pd.DataFrame
    windows: Windows

    @property
    def rows(self) -> int:  # noqa: D102  # as in `SampleTables`
        return len(self.samples)

    def endpoints(self) -> pd.DataFrame:  # noqa: D102
        from stormproof.analysis.tables import phase_table

        return phase_table(self.samples, self.windows)

    def zones(self) -> pd.DataFrame:  # noqa: D102
        from stormproof.analysis.tables import zone_table

        return zone_table(self.samples, self.windows)

    def seconds(self) -> pd.DataFrame:  # noqa: D102
        from stormproof.analysis.tables import second_table

        at = self.samples["scheduled_at"]
        start_s = float(at.min() // 1)
        return second_table(self.samples, start_s, float(at.max() // 1) + 1)

    def failures(self) -> pd.DataFrame:  # noqa: D102
        kinds = error_kinds(self.samples)
        at = self.samples.loc[kinds.index, "scheduled_at"]
        by_phase = {
            phase: Counter(kinds[(at >= start) & (at < end)].tolist()) for phase, (start, end) in self.windows.items()
        }
        return _failures(Counter(kinds.tolist()), by_phase)

    def worst(self) -> pd.DataFrame:  # noqa: D102
        from stormproof.analysis.tables import worst_requests

        window = self.windows.get("fault")
        return self.samples.head(0) if window is None else worst_requests(self.samples, window)

    def series(self, offered: Sequence[tuple[float, float]]) -> Series | None:  # noqa: D102
        return tabulate(self.samples, offered)

    def grid(self) -> Grid | None:  # noqa: D102
        from stormproof.analysis.grid import grid_of

        return grid_of(self.samples, self.windows)

    def spent(self, budget: Budget) -> Spent:  # noqa: D102
        from stormproof.analysis.budget import spend

        return spend(self.samples, budget)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedTables:
    """From counters over the parts: counts are exact, latencies known to a thousandth."""

    counts: TableCounts
    windows: Windows
    numbers: Sequence[int]  # of the worst requests, in the order of time
    counted_grid: Grid | None
    spent_of: Mapping[Budget, Spent]

    @property
    def rows(self) -> int:  # noqa: D102
        return self.counts.rows

    def endpoints(self) -> pd.DataFrame:  # noqa: D102
        from stormproof.analysis.table_counts import counted_phase_table

        return counted_phase_table(self.counts, self.windows)

    def zones(self) -> pd.DataFrame:  # noqa: D102
        from stormproof.analysis.table_counts import counted_zone_table

        return counted_zone_table(self.counts, self.windows)

    def seconds(self) -> pd.DataFrame:  # noqa: D102
        from stormproof.analysis.table_counts import counted_second_table

        return counted_second_table(self.counts)

    def failures(self) -> pd.DataFrame:  # noqa: D102
        total: Counter[str] = Counter()
        for (kind, _), count in self.counts.kinds.items():
            total[kind] += count
        by_phase = {
            phase: Counter({kind: n for (kind, at), n in self.counts.kinds_by_phase.items() if at == number})
            for number, phase in enumerate(self.windows)
        }
        return _failures(total, by_phase)

    def worst(self) -> pd.DataFrame:  # noqa: D102
        import pandas as pd

        worst = self.counts.worst
        return pd.DataFrame() if worst is None else worst.set_axis(list(self.numbers), axis="index")

    def series(self, offered: Sequence[tuple[float, float]]) -> Series | None:  # noqa: D102
        return tabulate_counted(self.counts, offered)

    def grid(self) -> Grid | None:  # noqa: D102
        return self.counted_grid

    def spent(self, budget: Budget) -> Spent:  # noqa: D102
        return self.spent_of[budget]


def count_tables(parts: Sequence[SamplePart], windows: Windows, budgets: Sequence[Budget]) -> CountedTables:
    """The tables of *parts*, read twice: what they hold, and where in the order of time the worst stand.

    Like those of rows they are about the requests that the fault may reach.
    """
    from stormproof.analysis.budget import budget_fold
    from stormproof.analysis.fold import fold_here
    from stormproof.analysis.grid import grid_fold
    from stormproof.analysis.population import over_exposed
    from stormproof.analysis.table_counts import RankFold, TableFold

    tables, squares = TableFold(windows=windows, worst_in=windows.get("fault")), grid_fold(windows)
    wanted = list(dict.fromkeys(budgets))
    folds: list[Fold] = [tables, *map(budget_fold, wanted), *([squares] if squares is not None else [])]
    over = over_exposed(fold_here) if any(one.has_control for one in parts) else fold_here
    counts, *sums = over(parts, folds)
    totals = [total for (total,) in sums]
    worst = () if counts.worst is None else tuple(float(at) for at in counts.worst["scheduled_at"])
    (numbers,) = fold_here(parts, [RankFold(instants=worst)]) if worst else ((),)
    return CountedTables(
        counts=counts,
        windows=windows,
        numbers=[int(number) for number in numbers],
        counted_grid=totals[len(wanted)] if squares is not None else None,
        spent_of=dict(zip(wanted, totals, strict=False)),  # the grid, where there is one, comes last
    )


def _failures(total: Counter[str], by_phase: Mapping[str, Counter[str]]) -> pd.DataFrame:
    import pandas as pd

    ranked = sorted(total, key=lambda kind: (-total[kind], kind))
    rows = [(kind, total[kind], *(counts[kind] for counts in by_phase.values())) for kind in ranked]
    return pd.DataFrame(rows, columns=[KIND, TOTAL, *by_phase])
