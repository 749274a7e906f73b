"""A model of a client's waits: family × jitter × cap × leading retries, and how likely it makes what was seen.

A wait is seen as the client's wait plus overhead (scheduling, the network, two stacks): a log-logistic delay after
−1 ms (timers that fire early), whose spread is fitted, and a delay that is the same for all. A small share of waits
may be anything: the outlier floor keeps one stalled process from deciding. Where a whole fleet stalls (a hundred
clients share two cores, or one interpreter), a share of the waits is longer by some hundred milliseconds; without a
word for that, a base of 1 s would be read as 1.2 s, as a wait beyond the end says more than many within it. Everything
is computed for all waits at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stormprobes.retries import jitter, schedule

if TYPE_CHECKING:
    from stormprobes.retries.waits import Waits

__all__ = ["STALL_S", "TAIL", "Model", "Structure", "edges", "log_likelihood", "overhead_cdf", "overhead_pdf"]

Floats = npt.NDArray[np.float64]

EARLY_S = 0.001  # a timer may fire this much before its time
OVERHEAD_S = 0.0024  # median of the overhead, from −EARLY_S: 1.4 ms after the nominal time, measured on many clients
DELAY_S = 0.001  # spread of the delay between machines, around 0
OVERHEAD_SPREAD = 0.6  # of the logarithm of that median between machines
TAIL = 3.0  # the exponent of the log-logistic: a process that is descheduled comes ten spreads late once in a thousand
OUTLIERS = 0.01
STALL_S = 0.1  # median of a stall: a log-logistic with exponent 1, so that one of several seconds is no surprise either
NARROW_S = 0.0002  # below this a uniform part is a point
DECORRELATED_FACTOR = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What is discrete about a client. *family* and *jitter* are keys of their tables; *cap*: none, before, after
    (jitter); *lead*: retries at once before the first wait; *is_first_exact*: the first wait has no jitter."""

    family: str
    jitter: str
    cap: str = "none"
    lead: int = 0
    is_first_exact: bool = False
    has_offset: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the free parameters, in order; the overhead's spread and delay are the last."""
        names = [*schedule.parameters_of(self.family), *jitter.parameters_of(self.jitter)]
        names += ["cap"] if self.cap != "none" else []
        names += ["offset"] if self.has_offset else []
        return (*names, "overhead", "delay")

    @property
    def log_prior(self) -> float:
        """How usual this is, before any data: only the order of magnitude matters."""
        weight = schedule.FAMILIES[self.family][1] + jitter.JITTERS[self.jitter][1]
        weight += {"none": 0.0, "before": -0.7, "after": -1.4}[self.cap]
        return weight - 1.0 * min(self.lead, 1 if self.family != "immediate" else 0) - 2.5 * self.is_first_exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A structure with values."""

    structure: Structure
    values: Mapping[str, float]

    def nominal(self, count: int) -> Floats:
        """Nominal waits of retries 1…count, 0 for the leading ones, the cap applied where it comes before jitter."""
        lead = min(self.structure.lead, count)
        waits = schedule.nominal(self.structure.family, count - lead, self.values)
        if self.structure.cap == "before":
            waits = np.minimum(waits, self.values["cap"])
        return np.concatenate([np.zeros(lead), waits])


def overhead_cdf(x: Floats, scale: Floats, stalls: float = 0.0) -> Floats:
    """P(overhead ≤ x); x is seconds after the nominal instant; *stalls* is the share that is late by a stall."""
    after = np.maximum(0.0, x + EARLY_S)
    z = after / scale
    cube = z * z * z
    usual = np.asarray(cube / (1.0 + cube))
    return usual if not stalls else (1.0 - stalls) * usual + stalls * after / (STALL_S + after)


def overhead_pdf(x: Floats, scale: Floats, stalls: float = 0.0) -> Floats:
    """Density of the overhead, per second."""
    after = np.maximum(0.0, x + EARLY_S)
    z = after / scale
    square = z * z
    denominator = 1.0 + square * z
    usual = np.asarray(TAIL * square / (denominator * denominator * scale))
    if not stalls:
        return usual
    late = np.where(after > 0, STALL_S / (STALL_S + after) ** 2, 0.0)
    return np.asarray((1.0 - stalls) * usual + stalls * late)


def edges(model: Model, waits: Waits) -> tuple[Floats, Floats]:
    """Low and high end of the uniform part of each wait, before a cap that comes after jitter."""
    structure, values = model.structure, model.values
    count = waits.deepest
    offset = values.get("offset", 0.0)
    row = waits.place
    if structure.jitter == "decorrelated":
        base = values["base"]
        previous = np.where(np.isnan(waits.previous_s), base, np.maximum(base, waits.previous_s - offset - OVERHEAD_S))
        high = np.maximum(base, DECORRELATED_FACTOR * previous)
        first = row == structure.lead
        high = np.where(first, base if structure.is_first_exact else DECORRELATED_FACTOR * base, high)
        return np.where(row < structure.lead, 0.0, base) + offset, np.where(row < structure.lead, 0.0, high) + offset
    c = model.nominal(count)
    kind, _, case = structure.jitter.partition(":")
    if kind == "additive":
        width = values["base"] if case == "=" else values["width"]
        low, high = c, c + width
    else:
        ratio = {"none": 1.0, "full": 0.0, "equal": 0.5, "other": 0.0}.get(kind, values.get("ratio", 1.0))
        low, high = ratio * c, c
    if structure.is_first_exact and structure.lead < count:
        low = low.copy()
        low[structure.lead] = high[structure.lead] = c[structure.lead]
    low[: structure.lead] = 0.0
    high[: structure.lead] = 0.0
    return low[row] + offset, high[row] + offset


def log_likelihood(model: Model, waits: Waits, range_s: float) -> Floats:
    """Logarithm of the density of each wait (per second). *range_s* is where an outlier may fall."""
    structure, values = model.structure, model.values
    scale = values["overhead"] + waits.crowd_s
    w = waits.wait_s - values["delay"]
    shape = jitter.slices(structure.jitter, waits.deepest)
    low, high = edges(model, waits)
    cap = values["cap"] + values.get("offset", 0.0) if structure.cap == "after" else None
    stalls = waits.stalls
    density = (
        _uniform(w, low, high, scale, cap, stalls) if shape is None else _sliced(model, waits, w, scale, shape, cap)
    )
    floor = OUTLIERS / range_s
    return np.asarray(np.log((1.0 - OUTLIERS) * density + floor))


def _uniform(w: Floats, low: Floats, high: Floats, scale: Floats, cap: float | None, stalls: float) -> Floats:
    """Density of U(low, high), cut at *cap*, plus overhead."""
    width = high - low
    if cap is None:
        wide = width > NARROW_S
        if not wide.any():
            return overhead_pdf(w - low, scale, stalls)
        spread = (overhead_cdf(w - low, scale, stalls) - overhead_cdf(w - high, scale, stalls)) / np.maximum(
            width, NARROW_S
        )
        return spread if wide.all() else np.where(wide, spread, overhead_pdf(w - low, scale, stalls))
    narrow = width <= NARROW_S
    below = np.clip(cap, low, high)
    safe = np.maximum(width, NARROW_S)
    spread = (overhead_cdf(w - low, scale, stalls) - overhead_cdf(w - below, scale, stalls)) / safe
    spread = spread + (high - below) / safe * overhead_pdf(w - cap, scale, stalls)
    return np.where(narrow, overhead_pdf(w - np.minimum(low, cap), scale, stalls), spread)


def _sliced(model: Model, waits: Waits, w: Floats, scale: Floats, shape: Floats, cap: float | None) -> Floats:
    """Density of a mixture of equally likely uniform slices, each cut at *cap*, plus overhead."""
    structure, values = model.structure, model.values
    row = waits.place
    low, high = edges(model, waits)
    lead = row < structure.lead
    place = np.maximum(row - structure.lead, 0)
    if structure.jitter == "other:polly":
        points = values["base"] * shape[place] + values.get("offset", 0.0)
        points[lead] = 0.0
    else:
        points = low[:, None] + shape[place] * (high - low)[:, None]
    density = np.zeros(len(waits))
    for slot in range(points.shape[1] - 1):
        density += _uniform(w, points[:, slot], points[:, slot + 1], scale, cap, waits.stalls)
    return np.asarray(density / (points.shape[1] - 1))
