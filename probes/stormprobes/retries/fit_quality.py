"""Does the best model look like the data at all? The best of a bad lot is not an answer.

The waits at each retry are held against draws from the model (Kolmogorov and Smirnov's distance); the share of
waits that no model would give is counted; and the waits of one call are held against each other: when long ones go
with long ones, two clients are mixed, or the client adds up its jitter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stormprobes.retries import jitter
from stormprobes.retries.model import EARLY_S, OUTLIERS, STALL_S, TAIL, Model, edges, log_likelihood

if TYPE_CHECKING:
    from stormprobes.retries.waits import Waits

__all__ = ["draw", "quality"]

Floats = npt.NDArray[np.float64]

DRAWS = 20  # a wait
WIDE_S = 0.02  # a random part narrower than this is compared by outliers only: the overhead's shape is no claim of ours
DISTANCE_MAX = 0.09  # below this, a difference may be significant and does not matter
P_MIN = 5e-3
OUTLIERS_MAX = 0.04
CROWD_MAX_S = 0.015  # what a crowd adds has no shape that we know
CORRELATION_MAX = 0.25


def quality(model: Model, waits: Waits, range_s: float) -> float:
    """1: the waits look like draws from *model*; towards 0: they do not."""
    likely = np.exp(log_likelihood(model, waits, range_s)) > 3.0 * OUTLIERS / range_s
    outliers = 1.0 - float(likely.mean())
    found = 1.0 if outliers <= OUTLIERS_MAX else max(0.1, 1.0 - 3.0 * (outliers - OUTLIERS_MAX))
    found *= _shape_quality(model, waits)
    low, high = edges(model, waits)
    wide = float(np.median(high - low)) > WIDE_S
    if wide and model.structure.jitter not in {"none", "decorrelated", "other:polly"}:
        found *= _independence(waits)
    return float(found)


def draw(model: Model, waits: Waits, rng: np.random.Generator) -> Floats:
    """One draw of each wait from *model*, given the waits before it."""
    low, high = edges(model, waits)
    shape = jitter.slices(model.structure.jitter, waits.deepest)
    u = rng.random(len(low))
    if shape is None:
        drawn = low + u * (high - low)
    else:
        place = np.maximum(waits.nth - 1 - model.structure.lead, 0)
        slot = np.minimum((u * (shape.shape[1] - 1)).astype(int), shape.shape[1] - 2)
        part = u * (shape.shape[1] - 1) - slot
        value = shape[place, slot] + part * (shape[place, slot + 1] - shape[place, slot])
        scale = high - low if model.structure.jitter == "additive:2" else np.full(len(low), model.values["base"])
        drawn = np.where(waits.nth <= model.structure.lead, low, low + value * scale)
    if model.structure.cap == "after":
        drawn = np.minimum(drawn, model.values["cap"] + model.values.get("offset", 0.0))
    v = np.clip(rng.random(len(low)), 1e-6, 1 - 1e-4)
    overhead = (model.values["overhead"] + waits.crowd_s) * (v / (1 - v)) ** (1 / TAIL) - EARLY_S
    if waits.stalls:
        v = np.minimum(rng.random(len(low)), 0.99)
        overhead = np.where(rng.random(len(low)) < waits.stalls, STALL_S * v / (1 - v), overhead)
    return np.asarray(drawn + overhead + model.values["delay"])


def _shape_quality(model: Model, waits: Waits) -> float:
    from scipy.stats import kstwobign

    low, high = edges(model, waits)
    rng = np.random.default_rng(20_260_101)  # fixed: the same arrivals get the same reading
    drawn = np.stack([draw(model, waits, rng) for _ in range(DRAWS)])
    worst = 1.0
    depths = [k for k in range(1, waits.deepest + 1) if np.sum(waits.nth == k) >= 8]
    for nth in depths:
        here = waits.nth == nth
        if float(np.median(high[here] - low[here])) < WIDE_S and model.structure.jitter != "other:polly":
            continue
        if float(np.median(waits.crowd_s[here])) > CROWD_MAX_S:
            continue
        distance = _distance(waits.wait_s[here], drawn[:, here].ravel())
        p = float(kstwobign.sf(distance * np.sqrt(here.sum()))) * len(depths)
        if distance > DISTANCE_MAX and p < P_MIN:
            worst = min(worst, max(0.1, (p / P_MIN) ** 0.12))
    return worst


def _distance(seen: Floats, drawn: Floats) -> float:
    """Kolmogorov and Smirnov's distance of two samples."""
    points = np.sort(seen)
    there = np.searchsorted(np.sort(drawn), points, side="right") / len(drawn)
    steps = np.arange(1, len(points) + 1) / len(points)
    return float(np.max(np.maximum(np.abs(steps - there), np.abs(steps - 1 / len(points) - there))))


def _independence(waits: Waits) -> float:
    """Below 1 when a long wait is followed by a long one more often than chance allows."""
    from scipy.stats import rankdata

    x: list[Floats] = []
    y: list[Floats] = []
    for nth in range(2, waits.deepest + 1):
        pair = (waits.nth == nth) & ~np.isnan(waits.previous_s)
        if pair.sum() >= 8:
            for found, values in ((x, waits.previous_s[pair]), (y, waits.wait_s[pair])):
                ranks = rankdata(values)
                found.append((ranks - ranks.mean()) / max(1e-9, ranks.std()))
    if not x:
        return 1.0
    a, b = np.concatenate(x), np.concatenate(y)
    correlation = float(np.mean(a * b))
    if correlation > CORRELATION_MAX and correlation * np.sqrt(len(a)) > 4.0:
        return max(0.2, 1.0 - 2.0 * (correlation - CORRELATION_MAX) - 0.3)
    return 1.0
