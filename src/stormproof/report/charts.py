"""The plots of a report beside the time plot, and the window that the requests felt: all from one grid of counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormproof.report.effect_window import EffectWindow, effect_window

if TYPE_CHECKING:
    from stormproof.report.chart import Chart
    from stormproof.report.facts import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """Each plot in both widths; empty where there is nothing to draw."""

    distribution: tuple[Chart, ...] = ()
    heat: tuple[Chart, ...] = ()
    budget: tuple[Chart, ...] = ()
    effect_window: EffectWindow | None = None


def charts(facts: Facts) -> Charts:
    """Everything that is drawn from the samples' counts; nothing without samples or windows."""
    if facts.tables is None or not facts.windows:
        return Charts()
    # numpy and pandas: only where there is something to count (docs/adr/0008)
    from stormproof.analysis.felt import felt
    from stormproof.report.chart_budget import budget_charts, budgets_of, burns
    from stormproof.report.chart_distribution import distribution_charts
    from stormproof.report.chart_heat import heat_charts

    grid = facts.tables.grid()
    budgets = budgets_of(facts.verdict.findings, {**facts.windows, **facts.verdict.steps})
    return Charts(
        distribution=distribution_charts(grid),
        heat=heat_charts(grid, facts.windows, facts.zero_s),
        budget=budget_charts(burns(budgets, facts.tables.spent), facts.zero_s),
        effect_window=effect_window(facts, felt(grid)) if grid is not None else None,
    )
