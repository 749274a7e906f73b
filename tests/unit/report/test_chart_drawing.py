"""What the plots draw, read back from their shapes by their own axes: each square, step and rule where its number is.

The inputs are written by hand, a few requests each, so that everything drawn can be told beforehand.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from golden.report import storyboard
from stormproof.analysis.budget import Spent
from stormproof.analysis.grid import BINS, FAILED, OK, Grid, bins_of, edges_ms
from stormproof.report.chart import SIZES
from stormproof.report.chart_budget import BURNS_MAX, Burn, budget_charts, budgets_of, burns
from stormproof.report.chart_distribution import N_MIN, distribution_charts
from stormproof.report.chart_heat import COLUMNS_MAX, ROWS_MAX, SHADES, heat_charts

if TYPE_CHECKING:
    from collections.abc import Callable

    from stormproof.report.chart import Chart
    from stormproof.report.panel import Label

ZERO_S = 1000.0
WINDOWS = {"steady": (1000.0, 1010.0), "fault": (1010.0, 1030.0)}


def value_of(text: str) -> float:
    """The number of an axis: milliseconds, seconds as milliseconds, or a share."""
    number = float(re.sub(r"[^\d.]", "", text))
    if text.endswith("ms"):
        return number
    return number * 1000 if text.endswith("s") else number / 100


def axis(labels: tuple[Label, ...], place: Callable[[Label], float], *, log: bool = False) -> Callable[[float], float]:
    """From pixels to values, through the first and the last number of an axis."""
    marks = [(place(one), value_of(one.text)) for one in labels if re.search(r"\d", one.text)]
    (first_px, first), (last_px, last) = marks[0], marks[-1]
    if log:
        first, last = np.log(first), np.log(last)
    found = np.poly1d(np.polyfit([first_px, last_px], [first, last], 1))
    return lambda px: float(np.exp(found(px)) if log else found(px))


def words(chart: Chart) -> str:
    """What it says to who cannot see it, with plain spaces."""
    return chart.summary.replace("\u00a0", " ")


def steps(d: str) -> list[tuple[float, float]]:
    """Where a curve of steps goes up, and to what."""
    return [(float(x), float(y)) for x, y in re.findall(r"H([\d.]+)V([\d.]+)", d)]


def burn(burnt: list[float], **changes: Any) -> Burn:
    fields: dict[str, Any] = {"claim": "availability during fault >= 99%", "start_s": 1010.0, "end_s": 1030.0}
    return Burn(**{**fields, "allowed": 2.0, "burnt": np.array(burnt), **changes})


def test_a_burn_climbs_when_and_as_far_as_it_was_burnt() -> None:
    """Four slots of 5 s: half at their first end, all and a half at the third; the rule is at 100 %."""
    chart = budget_charts([burn([0.5, 0.5, 1.5, 1.5])], ZERO_S)[0]
    at, share = axis(chart.x_grid, lambda one: one.x), axis(chart.y_grid, lambda one: one.y)

    drawn = [(at(x), share(y)) for x, y in steps(chart.shapes[0].d)]

    assert [at_ms for at_ms, _ in drawn] == pytest.approx([15_000, 25_000], abs=100)
    assert [one for _, one in drawn] == pytest.approx([0.5, 1.5], abs=0.01)
    assert share(chart.rules[0]) == pytest.approx(1.0, abs=0.01)
    assert next(one.y for one in chart.y_grid if one.text.startswith("0")) == chart.bottom
    assert words(chart).endswith(": 150 % of 2.0 failures burnt, all of it by +25.0 s.")
    assert "drawn up to" not in chart.y_name


def test_a_burn_far_beyond_its_budget_is_cut_off() -> None:
    """Fifty times the budget is drawn at four times, and the axis says so."""
    chart = budget_charts([burn([1.0, 50.0])], ZERO_S)[0]
    share = axis(chart.y_grid, lambda one: one.y)

    assert share(steps(chart.shapes[0].d)[-1][1]) == pytest.approx(4.0, abs=0.05)
    assert "drawn up to 400 %" in chart.y_name


def test_budgets_are_drawn_in_two_widths_and_only_where_there_is_a_start() -> None:
    """A wide and a narrow one; nothing without a budget, or without the start of the load."""
    assert [chart.ident for chart in budget_charts([burn([0.5])], ZERO_S)] == ["budget-wide", "budget-narrow"]
    assert budget_charts([], ZERO_S) == budget_charts([burn([0.5])], None) == ()


def test_a_few_burns_are_drawn_of_those_with_requests() -> None:
    """A window without a request has nothing to burn; of the others as many as can be told apart."""
    claims = [f"availability during fault >= 9{number}%" for number in range(6)]
    budgets = budgets_of([storyboard.finding(claim=claim) for claim in claims], WINDOWS)

    def spent(budget: Any) -> Spent:
        return Spent(n=0 if budget.claim == claims[0] else 100, failed=np.array([1, 0]))

    assert [one.claim for one in burns(budgets, spent)] == claims[1 : 1 + BURNS_MAX]


def test_a_budget_is_that_of_its_claim() -> None:
    """An error rate allows what it bounds; an endpoint and a zone are kept."""
    claims = ["error rate of /cart during fault <= 2%", "availability in zone a during steady >= 97%"]

    rate, share = budgets_of([storyboard.finding(claim=claim) for claim in claims], WINDOWS)

    assert (rate.allowed_share, rate.endpoint, rate.zone, rate.window) == (0.02, "/cart", None, WINDOWS["fault"])
    assert (share.endpoint, share.zone, share.window) == (None, "a", WINDOWS["steady"])
    assert share.allowed_share == pytest.approx(0.03)


def counts(*requests: tuple[float, int, int]) -> Any:
    """[FAILED or OK, bin] of (latency ms, OK or FAILED, how many)."""
    found = np.zeros((2, BINS), dtype=np.int64)
    for latency_ms, outcome, number in requests:
        found[outcome, int(bins_of(np.array([latency_ms]))[0])] += number
    return found


def grid(slots: list[Any], phases: dict[str, Any] | None = None) -> Grid:
    return Grid(start_s=ZERO_S, slot_s=0.5, slots=np.array(slots), phases=phases or {})


def test_a_distribution_steps_at_its_latencies() -> None:
    """Half within some 10 ms, a quarter in some 900 ms, a quarter failed; steps at bins' upper edges."""
    phase = counts((10.0, OK, 50), (900.0, OK, 25), (3.0, FAILED, 25))
    chart = distribution_charts(grid([], {"steady": phase, "fault": counts((10.0, OK, N_MIN - 1))}))[0]
    within, share = axis(chart.x_grid, lambda one: one.x, log=True), axis(chart.y_grid, lambda one: one.y)

    drawn = [(within(x), share(y)) for x, y in steps(chart.shapes[0].d)]

    edges = edges_ms()
    upper = [float(edges[int(bins_of(np.array([ms]))[0]) + 1]) for ms in (10.0, 900.0)]
    assert [ms for ms, _ in drawn] == pytest.approx(upper, rel=0.02)
    assert [one for _, one in drawn] == pytest.approx([0.5, 0.75], abs=0.005)
    assert [shape.name for shape in chart.shapes] == ["steady"], "a phase of a few requests is left out"
    assert re.search(r"steady: 50% within 10\.\d+ ms, 75\.00% answered well at all", words(chart))


def test_the_axis_of_a_distribution_holds_its_longest_bin() -> None:
    """A latency just below 100 ms lies in a bin that ends beyond it: its step is drawn there, not at the edge."""
    chart = distribution_charts(grid([], {"steady": counts((99.9, OK, 30), (20.0, OK, 30))}))[0]

    assert steps(chart.shapes[0].d)[-1][0] < chart.right - 5


def squares(chart: Chart, kind: str) -> Counter[tuple[float, float, float, float, int]]:
    """Each square (left, right, bottom, top, shade) of *kind*."""
    return Counter(
        (float(left), float(right), float(bottom), float(top), int(shape.css[-1]))
        for shape in chart.shapes
        if shape.css.startswith(kind)
        for left, bottom, right, top in re.findall(r"M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)H", shape.d)
    )


def test_a_heat_map_shades_each_moment_by_its_count() -> None:
    """One request, ten, a hundred and a thousand, in moments of their own: later is further right, slower is higher."""
    slots = [counts((10.0, OK, 1)), counts((10.0, OK, 10)), counts((200.0, OK, 100)), counts((200.0, FAILED, 1000))]
    chart = heat_charts(grid(slots), {"fault": (ZERO_S + 0.5, ZERO_S + 1.5)}, ZERO_S)[0]
    width = chart.right - chart.left

    answered = sorted(squares(chart, "heat-"))
    (failed,) = squares(chart, "fail-")

    columns = [(one[0] - chart.left) / width * 4 for one in answered]
    widths = [(one[1] - one[0]) / width * 4 for one in answered]
    assert columns == pytest.approx([0, 1, 2], abs=0.01)
    assert widths == pytest.approx([1, 1, 1], abs=0.01)
    # 1000 requests are five shades of a factor of four: 1, 4, 16, 64, 252 and more
    assert [one[4] for one in answered] == [0, 1, 3]
    ms = axis(chart.y_grid, lambda one: one.y, log=True)
    edges = edges_ms()
    for one, latency_ms in zip(answered, (10.0, 10.0, 200.0), strict=True):
        assert ms(one[2]) <= latency_ms * 1.02
        assert ms(one[3]) >= latency_ms * 0.98
        assert ms(one[3]) / ms(one[2]) < (edges[1] / edges[0]) ** 4.2, "a few bins high"
    assert (failed[0] - chart.left) / width * 4 == pytest.approx(3, abs=0.01)
    assert failed[4] == SHADES - 1
    assert failed[2] < min(one[3] for one in answered), "the strip is above the map"
    assert (chart.bands[0][0] - chart.left) / width * 4 == pytest.approx(1, abs=0.01)
    assert chart.bands[0][1] / width * 4 == pytest.approx(2, abs=0.01)
    assert [key.text for key in chart.keys] == ["1–3", "4–15", "16–63", "64–251", "252+"]


def test_a_heat_map_tells_the_longest_and_the_worst() -> None:
    """The slowest answer at +1.0 s, most failures at +1.5 s."""
    slots = [counts((10.0, OK, 9), (1.0, FAILED, 1)), counts((10.0, OK, 9)), counts((200.0, OK, 2), (10.0, OK, 9))]
    slots.append(counts((10.0, OK, 2), (1.0, FAILED, 7)))

    summary = words(heat_charts(grid(slots), WINDOWS, ZERO_S)[0])

    assert re.search(r"took up to 2\d\d ms, about \+1\.0 s; most failed about \+1\.5 s: 7 in 0\.5 s\.", summary)
    assert "no request failed" in heat_charts(grid([counts((10.0, OK, 9))]), WINDOWS, ZERO_S)[0].summary


def test_no_request_is_lost_when_moments_and_latencies_are_put_together() -> None:
    """More slots than columns and more bins than rows: every column and every row still has its square."""
    n = 2 * COLUMNS_MAX["wide"]
    # every other slot has a failure, which none of the slots that begin a column has
    slots = [counts((2.0 ** (4 * number / n), OK, 1), (1.0, FAILED, number % 2)) for number in range(n)]
    charts = heat_charts(grid(slots), WINDOWS, ZERO_S)

    for chart, (css, *_) in zip(charts, SIZES, strict=True):
        found = squares(chart, "heat-")
        width = (chart.right - chart.left) / COLUMNS_MAX[css]
        covered = sum((one[1] - one[0]) / width for one in found)
        assert covered >= COLUMNS_MAX[css] - 0.5, "every column has a square"
        strip = sum((one[1] - one[0]) / width for one in squares(chart, "fail-"))
        assert strip == pytest.approx(COLUMNS_MAX[css], abs=0.5), "and a failure"
        assert min(one[1] - one[0] for one in found) >= width - 0.3, "and none is narrower than a column"
        rows = {(one[2], one[3]) for one in found}
        assert len(rows) == -(-64 // (-(-64 // ROWS_MAX))), "every row has one"
        assert max(top for _, top in rows) < chart.bottom


def test_there_is_no_heat_map_of_nothing() -> None:
    """Without a grid, a start, or a request."""
    one = [counts((10.0, OK, 1))]

    assert heat_charts(None, WINDOWS, ZERO_S) == heat_charts(grid(one), WINDOWS, None) == ()
    assert heat_charts(grid([counts()]), WINDOWS, ZERO_S) == ()
    assert len(heat_charts(grid(one), {}, ZERO_S)) == len(SIZES)
    assert heat_charts(grid(one), {}, ZERO_S)[0].bands == ()
