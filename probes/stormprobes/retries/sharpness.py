"""How sharply the data fix one parameter: what a value 15 % off would cost, the others giving way.

A base and a multiplier pull against each other (a smaller base that grows faster ends at the same wait), so the
other is moved along by several amounts, and the cheapest counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from stormprobes.retries.model import Model
from stormprobes.retries.search import Fit, scored

if TYPE_CHECKING:
    from stormprobes.retries.waits import Waits

__all__ = ["sharpness"]

OFF = 1.15
PULLS = (0.0, 0.5, 1.0, 1.5, 2.0)


def sharpness(fit: Fit, waits: Waits, range_s: float, name: str) -> float:
    """Weight of the fitted value against values that are 15 % off, either way: 1 when those are out of the question."""
    if name not in fit.model.values:
        return 1.0
    rivals = 0.0
    for factor in (OFF, 1 / OFF):
        best = max(scored(model, waits, range_s).score for model in _moved(fit.model, name, factor, waits.deepest))
        rivals += math.exp(min(0.0, best - fit.score))
    return 1.0 / (1.0 + rivals)


def _moved(model: Model, name: str, factor: float, deepest: int) -> Iterator[Model]:
    values = model.values
    steps = max(1, deepest - model.structure.lead - 1)
    moved = {**values, name: values[name] * factor}
    partner = {"base": "multiplier", "multiplier": "base"}.get(name)
    for pull in PULLS:
        other: Mapping[str, float] = {}
        if partner in values and partner is not None:
            power = pull / steps if name == "base" else pull * steps
            other = {partner: max(1.01 if partner == "multiplier" else 1e-3, values[partner] * factor**-power)}
        elif name == "base" and "increment" in values:
            give = (factor - 1) * values["base"] * pull / steps
            other = {"increment": max(1e-4, values["increment"] - give)}
        yield Model(structure=model.structure, values={**moved, **other})
        if not other:
            return
