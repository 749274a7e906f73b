"""The plots say what the samples hold, to everybody, and stay small."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from golden.report import storyboard
from stormproof.analysis.budget import spend
from stormproof.analysis.grid import grid_of
from stormproof.report.chart_budget import budget_charts, budgets_of, burns
from stormproof.report.chart_distribution import distribution_charts
from stormproof.report.chart_heat import heat_charts
from stormproof.report.charts import charts
from stormproof.report.facts import read_facts
from stormproof.report.write import write_reports
from support.synthetic import START_S, Stretch, samples_of

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from stormproof.report.chart import Chart

WINDOWS = {
    "steady": (START_S, START_S + 15),
    "fault": (START_S + 15, START_S + 35),
    "recovery": (START_S + 35, START_S + 50),
}


def heights(d: str) -> list[float]:
    """The y of every step of a curve."""
    return [float(y) for y in re.findall(r"V([\d.]+)", d)]


def share_at(chart: Chart, y: float) -> float:
    """What a height means on a chart that goes from 0 to 1."""
    return (chart.bottom - y) / (chart.bottom - chart.top)


def flawed() -> pd.DataFrame:
    """A quarter of the requests of the fault fail."""
    return samples_of(
        [
            Stretch(start_s=0, end_s=15),
            Stretch(start_s=15, end_s=35, failed_share=0.25, failed_latency_ms=2000),
            Stretch(start_s=35, end_s=50),
        ]
    )


def test_a_curve_ends_at_the_share_that_succeeded() -> None:
    """What failed was never answered well, however soon it failed."""
    frame = flawed()
    chart = distribution_charts(grid_of(frame, WINDOWS))[0]
    fault = frame[frame["scheduled_at"].between(*WINDOWS["fault"], inclusive="left")]

    ends = {shape.name: share_at(chart, heights(shape.d)[-1]) for shape in chart.shapes}

    assert ends == pytest.approx({"steady": 1.0, "fault": float(fault["ok"].mean()), "recovery": 1.0}, abs=0.001)
    assert len({shape.css for shape in chart.shapes}) == 3


def test_the_heat_map_has_a_square_wherever_there_is_a_request() -> None:
    """The squares of all shades together cover, moment by moment, exactly the rows in which a request lies."""
    grid = grid_of(flawed(), WINDOWS)
    assert grid is not None
    chart = heat_charts(grid, WINDOWS, START_S)[0]

    failed = [shape for shape in chart.shapes if shape.css.startswith("fail-")]
    spans = [(float(a), float(b)) for s in failed for a, b in re.findall(r"M([\d.]+) [\d.]+H([\d.]+)V", s.d)]
    left, right = chart.left, chart.right
    inside = [left + (right - left) * at / 50 for at in (15, 35)]
    assert spans
    assert min(a for a, _ in spans) >= inside[0] - 6
    assert max(b for _, b in spans) <= inside[1] + 6
    answered = [shape for shape in chart.shapes if shape.css.startswith("heat-")]
    covered = sum(float(b) - float(a) for s in answered for a, b in re.findall(r"M([\d.]+) [\d.]+H([\d.]+)V", s.d))
    assert covered > 2 * (right - left)  # several rows of the whole width


def test_a_budget_is_burnt_by_what_failed() -> None:
    """One per cent of 2,000 requests may fail: 20; the last step is what failed over that, and it says since when."""
    frame = flawed()
    finding = storyboard.finding(claim="availability during fault >= 99%", bound=0.99)
    (burn,) = burns(budgets_of([finding], WINDOWS), partial(spend, frame))
    failed = int((~frame["ok"]).sum())

    assert burn.allowed == pytest.approx(20)
    assert burn.burnt[-1] == pytest.approx(failed / 20)
    over_s = frame.loc[~frame["ok"], "scheduled_at"].iloc[20]
    assert burn.spent_s == pytest.approx(over_s, abs=0.1)
    assert f"{failed / 20:,.0%}"[:2] in budget_charts([burn], START_S)[0].summary


@pytest.mark.parametrize("claim", ["p99 latency during fault <= 1s", "availability during fault >= 0.9x steady", "??"])
def test_other_claims_have_no_budget(claim: str) -> None:
    """A budget is of a bounded share of failures; a claim that cannot be read has none either."""
    assert budgets_of([storyboard.finding(claim=claim)], WINDOWS) == ()


def test_every_plot_is_told_in_words_too(tmp_path: Path) -> None:
    """Each has a title and a description that the picture names, and no two share an id."""
    html = write_reports(storyboard.refuted(tmp_path / "run"))[0].read_text()

    plots = re.findall(r'<svg class="plot chart.*?</svg>', html, flags=re.DOTALL)
    idents = re.findall(r' id="([^"]+)"', html)
    assert len(plots) == 6
    for plot in plots:
        named = re.search(r'aria-labelledby="([^ "]+) ([^"]+)"', plot)
        assert named is not None
        assert f'<title id="{named[1]}">' in plot
        assert re.search(rf'<desc id="{named[2]}">[^<]{{40,}}</desc>', plot)
    assert len(idents) == len(set(idents))


def test_the_plots_of_a_big_run_are_no_bigger() -> None:
    """An hour of 200,000 heavy-tailed requests, a third of them failed, is drawn in less than 250 kB."""
    windows = {"steady": (START_S, START_S + 1200), "fault": (START_S + 1200, START_S + 3600)}
    rng = np.random.default_rng(5)
    frame = samples_of([Stretch(start_s=0, end_s=3600, rate_per_s=55, failed_share=0.3, latency_sigma=2.0)])
    frame["latency_ms"] *= rng.pareto(1.1, len(frame)) + 1

    grid = grid_of(frame, windows)
    drawn = [*heat_charts(grid, windows, START_S), *distribution_charts(grid)]

    assert len(frame) > 190_000
    assert sum(len(shape.d) for chart in drawn for shape in chart.shapes) < 250_000


def test_the_window_by_effect_stands_beside_the_call(tmp_path: Path) -> None:
    """Onset and end for call, canary and requests, with what each was after the call."""
    window = charts(read_facts(storyboard.refuted(tmp_path / "run"))).effect_window
    assert window is not None

    assert [one.after_call for one in window.onset][:2] == ["", "+0.30\u00a0s"]
    assert [one.after_call for one in window.end][:2] == ["", "+0.40\u00a0s"]
    assert window.onset[2].at == "+17.1\u00a0s"
    assert window.note.startswith("By the requests: ")


def test_claims_that_rest_on_the_same_requests_are_told_together(tmp_path: Path) -> None:
    """Availability and time to recover point at the same failures: one breakdown, one list of the worst five."""
    paths = {path.name: path.read_text() for path in write_reports(storyboard.refuted(tmp_path / "run"))}

    assert paths["report.html"].count('id="cause-') == 1
    assert paths["report.html"].count("Row of the samples") == 1
    assert paths["report.md"].count("The worst: row 2,799 (") == 1
    for claim in ("availability during fault &gt;= 99.5%", "time to recover &lt;= 10s"):
        assert f"<p><code>{claim}</code>: 345 of " in paths["report.html"]
