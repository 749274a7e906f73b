"""Which models explain the waits: every structure gets a first guess from quantiles, the best are fitted.

The first guess costs one evaluation; only structures that come near the best are worth the hundred that a fit
costs. What is compared is log L·t − ½·p·ln(n) + log prior (BIC with a weak prior); t < 1 from some hundred waits
on, because the overhead is not quite log-logistic, and with enough data every idealisation is "significantly"
wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stormprobes.retries import jitter, schedule
from stormprobes.retries.model import (
    DECORRELATED_FACTOR,
    DELAY_S,
    EARLY_S,
    OUTLIERS,
    OVERHEAD_S,
    OVERHEAD_SPREAD,
    Model,
    Structure,
    edges,
    log_likelihood,
)

if TYPE_CHECKING:
    from stormprobes.retries.waits import Waits

__all__ = ["Fit", "Levels", "fit_models", "levels", "scored", "stalled"]

Floats = npt.NDArray[np.float64]
Slopes = dict[tuple[object, ...], list[dict[str, float]]]  # what was guessed already, by what it depends on

TOTAL_WAITS_FULL = 200  # waits up to which the likelihood counts in full
FITTED_MAX = 6  # structures worth a fit
ROUGH_SHARE = 0.4  # of the steps of a fit, after which those that are far behind are given up
HOPELESS, HOPELESS_A_WAIT = 20.0, 0.2  # how far: more than the other steps were seen to bring
GUESS_WAITS = 400  # waits that first guesses are compared on
IMMEDIATE_S = 0.012  # a median wait below this may be no wait at all
OVERHEAD_MAX_S = 0.05
WAIT_MIN_S = 0.004
WIDTH_MIN_S = 0.0085
POWER_WIDTH_MIN_S = 0.06  # a U² of less looks like the tail of the overhead
RATIO_MIN, RATIO_MAX = 0.05, 0.955  # ±90 %, beyond which it is full jitter, and ±2.3 %
WIDTH_OVERHEADS_MIN = 3.0  # an additive part narrower than so many spreads of the overhead is part of it
CROWD_SHARE = 0.6
STALL_MIN_S = 0.02
STALLED_MIN = 2  # waits: one alone is an outlier
STRETCHED_MIN = 6.0  # minus the logarithm of the probability of so large a gap: one in four hundred
STRETCHED_WIDTH_MIN_S = 0.1
STALLS = ((0.05, -1.0), (0.2, -2.0))  # shares that are tried, and how unusual they are
MULTIPLIER_MIN = 1.08
INCREMENT_SHARE_MIN = 0.05  # of the base: below, a wait that grows is one that does not
_STEP = {"base": 0.03, "multiplier": 0.03, "increment": 0.05, "cap": 0.03, "width": 0.06, "offset": 0.01}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A model, its score (comparable between fits of the same waits) and its log likelihood, a wait."""

    model: Model
    score: float
    log_likelihood: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Quantiles of the waits at each retry, overhead taken off: arrays over nth = 1…K."""

    count: npt.NDArray[np.int64]
    low: Floats
    middle: Floats
    high: Floats
    spread: Floats
    crowd_s: Floats
    top: Floats  # the 97 % quantile as it is: where a cap cuts, it is the cap


def levels(waits: Waits) -> Levels:
    """Robust ends of the waits at each retry: the 3 % and 97 % quantiles, stretched as for a uniform."""
    deepest = waits.deepest
    found = np.full((6, deepest), np.nan)
    count = np.zeros(deepest, dtype=np.int64)
    for nth in range(1, deepest + 1):
        here = waits.wait_s[waits.nth == nth]
        count[nth - 1] = len(here)
        if len(here):
            low, middle, high = np.quantile(here, [0.03, 0.5, 0.97])
            stretch = (high - low) * 0.03 / 0.94
            overhead = OVERHEAD_S - EARLY_S
            found[:, nth - 1] = (low - stretch, middle - overhead, high + stretch - overhead, high - low, 0.0, 0.0)
            found[4:, nth - 1] = np.median(waits.crowd_s[waits.nth == nth]), high - overhead
    known = ~np.isnan(found[0])
    for row in found:  # a retry that nobody was seen at takes its neighbour's level
        row[~known] = np.interp(np.flatnonzero(~known), np.flatnonzero(known), row[known])
    low, middle, high = np.maximum(found[:3], 1e-4)
    low, high = np.minimum(low, middle), np.maximum(high, middle)
    return Levels(count=count, low=low, middle=middle, high=high, spread=found[3], crowd_s=found[4], top=found[5])


def fit_models(waits: Waits) -> list[Fit]:
    """Fits of the structures that come near the best, best first."""
    seen = levels(waits)
    range_s = max(1.0, 2.0 * float(np.quantile(waits.wait_s, 0.995)))
    few = waits.thinned(max(8, GUESS_WAITS * waits.calls // max(1, len(waits))))
    crowd_s = _crowd(waits)
    best_of: dict[Structure, Fit] = {}
    guesses = (scored(g, few, range_s) for g in _guesses(seen, waits) if _is_possible(g.structure, g.values, crowd_s))
    for guess in sorted(guesses, key=_by_score, reverse=True):
        best_of.setdefault(guess.model.structure, guess)
    fitted = _fits(list(best_of.values())[:FITTED_MAX], waits, range_s)
    return sorted(fitted, key=_by_score, reverse=True)


def stalled(fits: list[Fit], waits: Waits) -> tuple[Waits, list[Fit]] | None:
    """*waits* with the share of stalls that explains them better than none, and their fits; None where none does.

    *fits* are those without stalls. Tried only where some waits come later than the best of them allows, or where it
    was stretched to allow them: it costs two further searches.
    """
    range_s = max(1.0, 2.0 * float(np.quantile(waits.wait_s, 0.995)))
    low, high = edges(fits[0].model, waits)
    late = waits.wait_s - high - fits[0].model.values["delay"] > STALL_MIN_S + waits.crowd_s
    odd = np.exp(log_likelihood(fits[0].model, waits, range_s)) < 3.0 * OUTLIERS / range_s
    if int((late & odd).sum()) < STALLED_MIN and not _is_stretched(fits[0].model, waits, low, high):
        return None
    best, found = fits[0].score, None
    for share, log_prior in STALLS:
        slow = replace(waits, stalls=share)
        tried = fit_models(slow)
        if tried and tried[0].score + log_prior > best:
            best, found = tried[0].score + log_prior, (slow, tried)
    return found


def _is_stretched(model: Model, waits: Waits, low: Floats, high: Floats) -> bool:
    """Whether the waits before some retry end well below their end, as if late ones before another had moved it.

    Of n even draws the largest is u of the way up with probability uⁿ.
    """
    if jitter.slices(model.structure.jitter, waits.deepest) is not None:
        return False
    share = (waits.wait_s - low) / np.maximum(high - low, 1e-9)
    wide = high - low > STRETCHED_WIDTH_MIN_S
    for nth in range(1, waits.deepest + 1):
        here = share[wide & (waits.nth == nth)]
        if len(here) and -len(here) * np.log(np.clip(here.max(), 1e-6, 1.0)) > STRETCHED_MIN:
            return True
    return False


def _by_score(fit: Fit) -> float:
    return fit.score


def scored(model: Model, waits: Waits, range_s: float) -> Fit:
    """*model* with its score on *waits*."""
    per_wait = log_likelihood(model, waits, range_s)
    temper = (TOTAL_WAITS_FULL / max(TOTAL_WAITS_FULL, len(waits))) ** 0.5
    overhead = np.log(model.values["overhead"] / OVERHEAD_S) / OVERHEAD_SPREAD
    delay = model.values["delay"] / DELAY_S
    free = len(model.structure.parameters) - 2
    total = float(per_wait.sum())
    score = temper * total + model.structure.log_prior
    score -= 0.5 * free * np.log(max(2, waits.calls)) + 0.5 * (overhead**2 + delay**2)
    return Fit(model=model, score=score, log_likelihood=total / max(1, len(waits)))


def _fits(guesses: list[Fit], waits: Waits, range_s: float) -> list[Fit]:
    """The guesses, improved; those that are far behind after some steps are left there."""
    rough = [_fitted(guess, waits, range_s, ROUGH_SHARE) for guess in guesses]
    hopeless = max((fit.score for fit, _ in rough), default=0.0) - HOPELESS - HOPELESS_A_WAIT * len(waits)
    return [
        _fitted(fit, waits, range_s, 1.0 - ROUGH_SHARE, simplex)[0] if fit.score > hopeless else fit
        for fit, simplex in rough
    ]


def _fitted(
    guess: Fit, waits: Waits, range_s: float, share: float, simplex: Floats | None = None
) -> tuple[Fit, Floats]:
    """The guess, improved by *share* of the steps of Nelder and Mead's simplex on the logarithms of the parameters.

    Also the simplex at the end, from which further steps go on.
    """
    from scipy.optimize import minimize

    structure = guess.model.structure
    names = structure.parameters
    crowd_s = _crowd(waits)
    guess = scored(guess.model, waits, range_s)
    if simplex is None:
        start = _to_plane(guess.model)
        simplex = np.vstack([start, start + np.diag([_STEP.get(name, 0.3) for name in names])])
    evaluations = int(share * (30 + 30 * len(names)))

    def cost(point: Floats) -> float:
        model = _from_plane(structure, point, crowd_s)
        return 1e12 if model is None else -scored(model, waits, range_s).score

    found = minimize(
        cost,
        simplex[0],
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": evaluations, "xatol": 1e-3, "fatol": 0.02},
    )
    model = _from_plane(structure, found.x, crowd_s)
    better = None if model is None else scored(model, waits, range_s)
    best = better if better is not None and better.score > guess.score else guess
    return best, np.asarray(found.final_simplex[0])


def _to_plane(model: Model) -> Floats:
    return np.array([_coordinate(name, model.values[name]) for name in model.structure.parameters])


def _coordinate(name: str, value: float) -> float:
    """Unbounded and of order one: ratios on the logit, the delay in units of its spread, the rest as logarithms."""
    if name == "delay":
        return value / DELAY_S
    if name == "ratio":
        bounded = min(0.98, max(0.02, value))
        return float(np.log(bounded / (1 - bounded)))
    return float(np.log(max(1e-5, value)))


def _value(name: str, x: float) -> float:
    if name == "delay":
        return x * DELAY_S
    return float(1 / (1 + np.exp(-x)) if name == "ratio" else np.exp(x))


def _crowd(waits: Waits) -> float:
    return float(np.quantile(waits.crowd_s, 0.9))


def _from_plane(structure: Structure, point: Floats, crowd_s: float) -> Model | None:
    if np.any(np.abs(point) > 12):
        return None
    values = {name: _value(name, float(x)) for name, x in zip(structure.parameters, point, strict=True)}
    return Model(structure=structure, values=values) if _is_possible(structure, values, crowd_s) else None


def _is_possible(structure: Structure, values: Mapping[str, float], crowd_s: float) -> bool:
    """Not beyond what waits can tell: what is smaller would be read off the overhead's own shape."""
    base = values.get("base", 1.0)
    width_min_s = POWER_WIDTH_MIN_S if structure.jitter == "additive:2" else WIDTH_MIN_S
    width_min_s = max(width_min_s, WIDTH_OVERHEADS_MIN * (values["overhead"] + CROWD_SHARE * crowd_s))
    return (
        MULTIPLIER_MIN <= values.get("multiplier", 2.0) <= 20
        and values.get("increment", 1.0) >= INCREMENT_SHARE_MIN * base
        and values["overhead"] <= OVERHEAD_MAX_S
        and values["delay"] > -1.5 * EARLY_S
        and base >= _base_min(structure, values["overhead"])
        and values.get("width", 1.0) >= width_min_s
        and RATIO_MIN <= values.get("ratio", 0.5) <= RATIO_MAX
        and values.get("cap", base) >= 0.99 * base
    )


def _base_min(structure: Structure, overhead_s: float) -> float:
    """The least first wait: a fixed one that the overhead could be, or its random part, is no wait but "at once"."""
    if structure.family != "fixed":
        return WAIT_MIN_S
    return max(WAIT_MIN_S if structure.jitter == "none" else WIDTH_MIN_S, overhead_s)


def _guesses(seen: Levels, waits: Waits) -> Iterator[Model]:
    """A model for each structure that could be, with values from the levels alone."""
    deepest = len(seen.count)
    known: Slopes = {}
    for offset in _offsets(seen, waits):
        allowed = IMMEDIATE_S + seen.crowd_s
        leading = int(np.cumprod(seen.middle - offset + OVERHEAD_S - EARLY_S < allowed).sum())
        slowest_s = float((seen.middle - offset).max())
        if (
            leading == deepest or slowest_s < OVERHEAD_MAX_S
        ):  # a busy machine's "at once" takes longer than others' waits
            yield from _immediate(deepest, offset, slowest_s)
        for lead in {0, min(leading, 2, deepest - 1)}:
            for name in jitter.JITTERS:
                if name in {"decorrelated", "other:polly"} and waits.is_offset:
                    continue
                for is_first_exact in (False, True):
                    may_be = name in {"full", "equal", "proportional", "decorrelated"} and deepest - lead > 1
                    if is_first_exact and not (may_be and seen.spread[lead] < 0.25 * seen.spread[lead + 1]):
                        continue
                    yield from _for_jitter(seen, name, lead, is_first_exact, offset, known)


def _immediate(deepest: int, offset: float, slowest_s: float) -> Iterator[Model]:
    structure = Structure(family="immediate", jitter="none", lead=deepest, has_offset=offset > 0)
    values = {"offset": offset} if offset > 0 else {}
    for overhead in (OVERHEAD_S, 2 * OVERHEAD_S, min(0.9 * OVERHEAD_MAX_S, max(4 * OVERHEAD_S, slowest_s))):
        yield Model(structure=structure, values={**values, "overhead": overhead, "delay": 0.0})


def _offsets(seen: Levels, waits: Waits) -> list[float]:
    """Time-outs to try, where waits are measured from start to start: what a try lasted, or most of the shortest
    wait.
    """
    if not waits.is_offset:
        return [0.0]
    least = float(seen.low.min())
    return sorted({min(waits.timeout_s, 0.99 * least), 0.9 * least})


def _for_jitter(
    seen: Levels, name: str, lead: int, is_first_exact: bool, offset: float, known: Slopes
) -> Iterator[Model]:
    low, middle, high = (np.maximum(1e-4, x[lead:] - offset) for x in (seen.low, seen.middle, seen.high))
    kind, _, case = name.partition(":")
    weight = np.sqrt(seen.count[lead:] + 0.1)
    values: dict[str, float] = {"overhead": OVERHEAD_S, "delay": 0.0}
    ceiling = high
    if kind == "none":
        ceiling = middle
    elif kind == "proportional":
        values["ratio"] = float(np.clip(np.average(low / high, weights=weight * high), RATIO_MIN, RATIO_MAX))
    elif kind == "additive":
        ceiling = np.maximum(low, 1e-3)
        values["width"] = float(
            max(POWER_WIDTH_MIN_S if case == "2" else WIDTH_MIN_S, np.average(high - low, weights=weight))
        )
    elif kind == "decorrelated":
        yield from _decorrelated(seen, lead, is_first_exact)
        return
    elif kind == "other":
        yield from _polly(seen, lead)
        return
    families = [f for f in schedule.FAMILIES if f != "immediate" and (len(ceiling) > 1 or f == "fixed")]
    for family, cap in itertools.product(families, ("none", "before", "after")):
        if cap == "after" and (name == "none" or is_first_exact):
            continue
        if cap != "none" and len(ceiling) < 3:
            continue
        if family == "fixed" and cap != "none":
            continue
        structure = Structure(
            family=family, jitter=name, cap=cap, lead=lead, is_first_exact=is_first_exact, has_offset=offset > 0
        )
        shape = (family, cap, lead, offset, "high" if ceiling is high else kind)  # several jitters have one upper end
        if shape not in known:
            known[shape] = list(_for_family(family, cap, ceiling, middle, high, weight))
        for guess in known[shape]:
            yield Model(structure=structure, values={**values, **guess, **({"offset": offset} if offset > 0 else {})})


def _decorrelated(seen: Levels, lead: int, is_first_exact: bool) -> Iterator[Model]:
    """The base is where every wait begins; the cap is where the late ones end."""
    if len(seen.count) - lead < 2:
        return
    first = float(seen.middle[lead] if is_first_exact else seen.low[lead])
    for base in {first, float(seen.high[lead]) / DECORRELATED_FACTOR} if not is_first_exact else {first}:
        values = {"base": base, "overhead": OVERHEAD_S, "delay": 0.0}
        structure = Structure(family="fixed", jitter="decorrelated", lead=lead, is_first_exact=is_first_exact)
        yield Model(structure=structure, values=values)
        for cap in {float(seen.high.max()), float(seen.top.max())}:
            yield Model(structure=replace(structure, cap="after"), values=values | {"cap": cap})


def _polly(seen: Levels, lead: int) -> Iterator[Model]:
    """The growth is in the shape; the base shows in the first waits, before any cap."""
    shape = jitter.polly_quantiles(len(seen.high) - lead)
    if len(shape) < 2:
        return
    for base in (seen.high[lead] / shape[0, -1], seen.high[lead + 1] / shape[1, -1]):
        for cap in ("none", "after"):
            values = {"base": float(base), "overhead": OVERHEAD_S, "delay": 0.0}
            if cap == "after":
                values["cap"] = float(seen.top.max())
                if shape[-1, -1] * base < 1.05 * values["cap"]:
                    continue
            yield Model(structure=Structure(family="fixed", jitter="other:polly", cap=cap, lead=lead), values=values)


def _for_family(
    family: str, cap: str, ceiling: Floats, middle: Floats, high: Floats, weight: Floats
) -> Iterator[dict[str, float]]:
    """Values of the family's parameters, by weighted least squares below the cap."""
    if cap == "none":
        yield from _slopes(family, ceiling, weight)
        return
    top = ceiling if cap == "before" else high
    caps = {round(float(np.median(x[x > share * x.max()])), 6) for x in (top, middle) for share in (0.93, 0.8)}
    for limit in caps:
        below = int(np.argmax(ceiling > 0.93 * limit)) if np.any(ceiling > 0.93 * limit) else len(ceiling)
        if below:  # a second wait that is cut already still says how much it grew at least
            below = max(below, len(schedule.parameters_of(family)))
        for guess in _slopes(family, ceiling[:below], weight[:below]) if below else ():
            if _last(family, len(ceiling), guess) > 1.05 * limit:
                yield {**guess, "cap": limit}  # a cap that is not reached is no cap


def _last(family: str, count: int, values: Mapping[str, float]) -> float:
    return float(schedule.nominal(family, count, values)[-1])


def _slopes(family: str, ceiling: Floats, weight: Floats) -> Iterator[dict[str, float]]:
    j = np.arange(len(ceiling), dtype=np.float64)
    if family in {"exponential", "linear", "quadratic"}:
        if len(j) < 2:
            return
        x = j**2 if family == "quadratic" else j
        y = np.log(ceiling) if family == "exponential" else ceiling
        pull = weight if family == "exponential" else weight / ceiling
        slope, level = np.polyfit(x, y, 1, w=pull)
        if family == "exponential":
            yield {"base": float(np.exp(level)), "multiplier": float(np.clip(np.exp(slope), 1.1, 19))}
            yield {"base": float(ceiling[0]), "multiplier": float(np.clip(ceiling[1] / ceiling[0], 1.1, 19))}
        elif slope > 0:
            yield {"base": max(1e-4, float(level)), "increment": float(slope)}
        return
    shape = schedule.nominal(family, len(j), {"base": 1.0})
    yield {"base": float(np.exp(np.average(np.log(ceiling / shape), weights=weight)))}
    yield {"base": float(ceiling[-1] / shape[-1])}
