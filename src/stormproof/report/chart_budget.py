"""How a claim's error budget was burnt: failed requests so far, of those that its bound allows in its whole window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormproof.analysis.budget import Budget
from stormproof.analysis.requests import is_window
from stormproof.errors import StormproofError
from stormproof.model.hypothesis import Hypothesis, Metric
from stormproof.report.chart import AXIS_PX, RIGHT_PX, SIZES, TOP_PX, Chart, keys_in_a_row
from stormproof.report.notation import clean, offset, quantity
from stormproof.report.panel import LEFT_PX, Label, Shape
from stormproof.report.plot import time_axis
from stormproof.report.scale import Scale, ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stormproof.analysis.budget import Spent
    from stormproof.analysis.requests import Floats
    from stormproof.model.verdict import Finding

BURNS_MAX = 3  # lines that can be told apart; the findings have all
BURNT_MAX = 4.0  # times the budget that is still drawn: beyond, it only flattens the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """One claim's budget: the share burnt at the end of each of the slots between *start_s* and *end_s*."""

    claim: str
    start_s: float
    end_s: float
    allowed: float  # requests that may fail in the window
    burnt: Floats

    @property
    def spent_s(self) -> float | None:
        """Unix s at which all of it was burnt; None where it never was."""
        over = np.flatnonzero(self.burnt > 1.0)
        return self.start_s + (self.end_s - self.start_s) * (int(over[0]) + 1) / len(self.burnt) if len(over) else None


def budgets_of(findings: Sequence[Finding], windows: Mapping[str, tuple[float, float]]) -> tuple[Budget, ...]:
    """The budget of each claim that bounds a share of failures by itself, not by what steady had."""
    from stormproof.spec.hypothesis import parse_hypothesis

    found = []
    for finding in findings:
        try:
            claim = parse_hypothesis(finding.claim)
        except StormproofError:  # a claim of another version, or of Chaos Toolkit: it has no budget that we know of
            continue
        if isinstance(claim, Hypothesis) and (budget := _budget(claim, windows)) is not None:
            found.append(budget)
    return tuple(found)


def burns(budgets: Sequence[Budget], spent_of: Callable[[Budget], Spent]) -> tuple[Burn, ...]:
    """The first few of *budgets* whose window has a request; *spent_of* knows what was spent of each."""
    spent = [(budget, spent_of(budget)) for budget in budgets]
    return tuple(_burn(budget, one) for budget, one in spent if one.n)[:BURNS_MAX]


def _budget(claim: Hypothesis, windows: Mapping[str, tuple[float, float]]) -> Budget | None:
    allowed_share = {Metric.AVAILABILITY: 1.0 - claim.bound, Metric.ERROR_RATE: claim.bound}.get(claim.metric, 0.0)
    window = windows.get(claim.window)
    if claim.relative_to_steady or allowed_share <= 0.0 or window is None or not is_window(window):
        return None
    return Budget(
        claim=claim.text, allowed_share=allowed_share, window=window, endpoint=claim.endpoint, zone=claim.zone
    )


def _burn(budget: Budget, spent: Spent) -> Burn:
    (start_s, end_s), allowed = budget.window, budget.allowed_share * spent.n
    burnt = np.cumsum(spent.failed) / allowed
    return Burn(claim=budget.claim, start_s=start_s, end_s=end_s, allowed=allowed, burnt=burnt)


def budget_charts(found: Sequence[Burn], zero_s: float | None) -> tuple[Chart, ...]:
    """Both widths; nothing without a budget."""
    if not found or zero_s is None:
        return ()
    return tuple(_chart(found, zero_s, css=css, width=width, height=height) for css, width, height in SIZES)


def _chart(found: Sequence[Burn], zero_s: float, *, css: str, width: int, height: int) -> Chart:
    height = round(height * 0.7)
    bottom = TOP_PX + height
    most = min(BURNT_MAX, max(1.15, *(float(one.burnt[-1]) * 1.08 for one in found)))
    across = Scale(
        low=min(one.start_s for one in found),
        high=max(one.end_s for one in found),
        start_px=LEFT_PX,
        end_px=width - RIGHT_PX,
    )
    up = Scale(low=0.0, high=most, start_px=bottom, end_px=TOP_PX)
    letters = 130 if css == "wide" else 52
    names = [clean(one.claim, limit=letters // len(found)) for one in found]
    return Chart(
        ident=f"budget-{css}",
        css=css,
        width=width,
        height=bottom + AXIS_PX,
        top=TOP_PX,
        bottom=bottom,
        title="Error budget burnt",
        summary=_summary(found, zero_s),
        x_name="since load",
        y_name=f"of the failures that the claim allows{'; drawn up to 400 %' if most == BURNT_MAX else ''}",
        x_grid=time_axis(across, zero_s, bottom, about=max(3, width // 110)),
        y_grid=tuple(
            Label(x=LEFT_PX - 8, y=up.px(one), text=quantity(one, "share"), anchor="end")
            for one in ticks(0.0, most, about=4)
        ),
        shapes=tuple(
            Shape(css=f"curve burn-{number}", d=_steps(one, across, up), name=names[number])
            for number, one in enumerate(found)
        ),
        keys=keys_in_a_row([(f"curve burn-{number}", name) for number, name in enumerate(names)], width=width),
        labels=(Label(x=LEFT_PX + 4, y=up.px(1.0) - 5, text="all burnt", anchor="start"),),
        rules=(up.px(1.0),),
    )


def _steps(one: Burn, across: Scale, up: Scale) -> str:
    edges = np.linspace(one.start_s, one.end_s, len(one.burnt) + 1)
    parts, before = [f"M{across.px(one.start_s):g} {up.px(0.0):g}"], 0.0
    for edge, value in zip(edges[1:], one.burnt, strict=True):
        if value != before:
            parts.append(f"H{across.px(float(edge)):g}V{up.px(float(value)):g}")
            before = value
    return "".join(parts) + f"H{across.px(one.end_s):g}"


def _summary(found: Sequence[Burn], zero_s: float) -> str:
    words = []
    for one in found:
        spent = f", all of it by {offset(one.spent_s - zero_s)}" if one.spent_s is not None else ""
        words.append(
            f"{clean(one.claim)}: {quantity(float(one.burnt[-1]), 'share')} of {one.allowed:,.1f} failures burnt{spent}"
        )
    return "; ".join(words) + "."
