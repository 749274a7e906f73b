"""Waits → the client's back-off, in words: family, base, multiplier, cap, jitter, each with a confidence.

The weight of a label is the posterior weight of all models that carry it. A confidence is that weight × how well
the best model fits × the ceiling for the number of calls. Where two labels are the same thing seen from two sides
(one retry has no multiplier; b·U(1, 2) is equal jitter of 2b) the conventions of the page on this probe decide, and
the others are candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stormprobes.retries import jitter, schedule
from stormprobes.retries.confidence import ceiling
from stormprobes.retries.fit_quality import quality
from stormprobes.retries.model import DECORRELATED_FACTOR, Model, edges, log_likelihood
from stormprobes.retries.proportion import Proportion, proportion_of
from stormprobes.retries.search import Fit, fit_models, stalled
from stormprobes.retries.sharpness import sharpness

if TYPE_CHECKING:
    from stormprobes.retries.waits import Waits

__all__ = ["UNKNOWN", "Backoff", "Named", "read_backoff"]

WAITS_FITTED = 600
CALLS_JUDGED = 500
LABEL_WEIGHT_MIN = 0.35  # below, no label is an answer
NARROW_ADDITIVE_S = 0.015
NARROW_ADDITIVE_FACTOR = 0.75
SAME_VALUE = 0.1
# U(0.1, 0.3) is 0.1 + U(0, 0.2) and is 0.2 ± 50 %: where nothing grows the data cannot tell, and people write the
# former.
FIXED_PROPORTION_COST = 1.2
LAST_WAIT_OUTLIERS = 0.5
SURE_MIN = 0.01
STALLED_QUALITY_MIN = 0.5
SLOW_OVERHEAD_S, SLOW_MAX = 0.007, 0.85
SHORT_S = 0.012
AT_ONCE_S = 0.025  # what "at once" was seen to take on a busy machine, and up to there it looks like any random wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One model in the words of the reading; base and cap are the client's own, before jitter is applied."""

    family: str
    jitter: str
    base_s: float
    multiplier: float | None
    increment_s: float | None
    cap_s: float | None
    weight: float
    proportion: Proportion | None
    width_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The answer. *detail*: lead, jitter_param, cap_order, per_try_timeout_s, quality; *last_is_cut*: a deadline
    shows.
    """

    family: str = "other"
    jitter: str = "other"
    base_s: float | None = None
    multiplier: float | None = None
    increment_s: float | None = None
    cap_s: float | None = None
    confidence: Mapping[str, float] = field(default_factory=dict)
    candidates: tuple[Mapping[str, Any], ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)
    last_is_cut: bool = False
    is_exact: bool = False


UNKNOWN = Backoff()


def read_backoff(waits: Waits, *, trust: float = 1.0) -> Backoff:
    """Read the back-off from *waits*, all by one rule of the client's."""
    if not len(waits):
        return UNKNOWN
    calls = waits.calls
    some = waits.thinned(max(12, WAITS_FITTED * calls // len(waits)))
    fits = fit_models(some)
    if not fits:
        return UNKNOWN
    range_s = max(1.0, 2.0 * float(np.quantile(some.wait_s, 0.995)))
    cut = _without_cut_waits(fits[0].model, some, range_s)
    if cut is not None:
        some = cut
        fits = fit_models(some)
    judged = waits.thinned(CALLS_JUDGED) if cut is None else some  # more than was fitted: a mixture shows in numbers
    fits_well = quality(fits[0].model, judged, range_s)
    if (slow := stalled(fits, some)) is not None:
        well = quality(slow[1][0].model, replace(judged, stalls=slow[0].stalls), range_s)
        if well >= max(fits_well, STALLED_QUALITY_MIN):  # a stall must not explain away what does not fit
            (some, fits), fits_well = slow, well
    named = _named(fits, waits_deep=some.deepest)
    sure = ceiling(calls) * fits_well * trust
    sharp = {name: sharpness(fits[0], some, range_s, name) for name in ("base", "multiplier", "increment", "cap")}
    answer = _answer(named, sure, sharp)
    model = fits[0].model
    if _may_be_at_once(model, some):
        answer["confidence"] = {key: min(SLOW_MAX, value) for key, value in answer["confidence"].items()}
    detail = {
        "lead": min(model.structure.lead, some.deepest),
        "jitter_param": _jitter_parameter(model, named[0]),
        "cap_order": {"before": "before_jitter", "after": "after_jitter"}.get(model.structure.cap),
        "first_wait_exact": model.structure.is_first_exact,
        "per_try_timeout_s": _timeout(model, waits),
        "fit_quality": round(fits_well, 3),
        "stalls": some.stalls,
    }
    return Backoff(**answer, detail=detail, last_is_cut=cut is not None, is_exact=model.structure.jitter == "none")


def _may_be_at_once(model: Model, waits: Waits) -> bool:
    """A short random wait on a usual machine, or "at once" on a slow one: never quite sure which."""
    if model.structure.family == "immediate":
        return model.values["overhead"] > SLOW_OVERHEAD_S
    low, high = edges(model, waits)
    return float(low.min()) < SHORT_S and float(high.max()) < AT_ONCE_S


def _without_cut_waits(model: Model, waits: Waits, range_s: float) -> Waits | None:
    """The waits without each call's last, if those and only those do not fit: a deadline cuts the last one short."""
    last = np.append(waits.call[1:] != waits.call[:-1], True)
    odd = np.exp(log_likelihood(model, waits, range_s)) < 0.05 / range_s
    if waits.deepest < 3 or last.all():
        return None
    if float(odd[last].mean()) < LAST_WAIT_OUTLIERS or float(odd[~last].mean()) > 0.05:
        return None
    return waits.where(~last)


def _named(fits: list[Fit], waits_deep: int) -> list[Named]:
    """The fits in words, heaviest first; weights sum to 1."""
    named = [_in_words(fit.model, waits_deep) for fit in fits]
    scores = np.array([fit.score + one.weight for fit, one in zip(fits, named, strict=True)])
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    return [replace(one, weight=float(weight)) for one, weight in zip(named, weights, strict=True)]


def _in_words(model: Model, deepest: int) -> Named:
    """*weight* is a correction of the score: how usual the values are, where several readings are the same thing."""
    structure, values = model.structure, model.values
    kind = jitter.jitter_of(structure.jitter)
    family = schedule.family_of(structure.family)
    base = values.get("base", 0.0)
    multiplier = values.get("multiplier")
    if structure.family == "exponential:2":
        multiplier = 2.0
    if family == "fibonacci":
        multiplier = None
    if structure.jitter == "decorrelated":
        family, multiplier = "exponential", DECORRELATED_FACTOR
    if structure.jitter == "other:polly":
        family, multiplier = "exponential", 2.0
    increment = values.get("increment", base if structure.family in {"linear:=", "quadratic:="} else None)
    cap = values.get("cap")
    weight, proportion = 0.0, None
    if kind == "proportional":
        proportion = proportion_of(values["ratio"], base, deepest)
        weight = proportion.log_weight - (FIXED_PROPORTION_COST if family == "fixed" else 0.0)
        base /= 1 + proportion.plus
        increment = None if increment is None else increment / (1 + proportion.plus)
        if cap is not None and structure.cap == "before":
            cap /= 1 + proportion.plus
    if deepest - structure.lead <= 1 and structure.family == "fixed":
        family = "other"  # one wait: fixed, linear and exponential begin alike
    return Named(
        family=family,
        jitter=kind,
        base_s=base,
        multiplier=multiplier,
        increment_s=increment if family in {"linear", "quadratic"} else None,
        cap_s=cap,
        weight=weight,
        proportion=proportion,
        width_s=values.get("width", base),
    )


def _answer(named: list[Named], sure: float, sharp: Mapping[str, float]) -> dict[str, Any]:
    families, jitters = _shares(named, "family"), _shares(named, "jitter")
    family, family_weight = max(families.items(), key=lambda item: item[1])
    kind, kind_weight = max(jitters.items(), key=lambda item: item[1])
    best = next((n for n in named if n.family == family and n.jitter == kind), named[0])
    confidence = {
        "family": family_weight * sure,
        "jitter": kind_weight * sure * _jitter_factor(best),
        "base_s": _agreement(named, best, "base_s") * (best.proportion.certainty if best.proportion else 1.0),
        "multiplier": _agreement(named, best, "multiplier") if best.multiplier else 0.0,
        "increment_s": _agreement(named, best, "increment_s") if best.increment_s else 0.0,
        "cap_s": _agreement(named, best, "cap_s") if best.cap_s else 0.0,
    }
    for name, parameter in (
        ("base_s", "base"),
        ("multiplier", "multiplier"),
        ("increment_s", "increment"),
        ("cap_s", "cap"),
    ):
        confidence[name] *= sure * sharp[parameter]
    known = family_weight >= LABEL_WEIGHT_MIN and sure > SURE_MIN
    jitter_known = sure * kind_weight >= LABEL_WEIGHT_MIN and kind != "other"
    capped = best.cap_s is not None and _agreement(named, best, "cap_s") > 0.5
    if family == "fixed" and kind == "proportional":  # the same waits as additive, whichever was fitted
        confidence["jitter"] = min(confidence["jitter"], 0.6)
        confidence["base_s"] = min(confidence["base_s"], 0.6)
    if family == "other":
        confidence["family"] = min(confidence["family"], 0.5)
    if kind == "other":
        confidence["jitter"] = min(confidence["jitter"], 0.85)
    if not known:
        confidence |= {"family": 0.0, "base_s": 0.0, "multiplier": 0.0, "increment_s": 0.0, "cap_s": 0.0}
    return {
        "family": family if known else "other",
        "jitter": kind if jitter_known else "other",
        "base_s": best.base_s if known else None,
        "multiplier": best.multiplier if known and family == "exponential" else None,
        "increment_s": best.increment_s if known else None,
        "cap_s": best.cap_s if known and capped else None,
        "confidence": confidence if jitter_known or kind == "other" else confidence | {"jitter": 0.0},
        "candidates": _candidates(named),
    }


def _shares(named: list[Named], attribute: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for one in named:
        label = str(getattr(one, attribute))
        shares[label] = shares.get(label, 0.0) + one.weight
    return shares


def _agreement(named: list[Named], best: Named, attribute: str) -> float:
    """Weight of the models whose value is the best one's, within 10 %."""
    value = getattr(best, attribute)
    total = 0.0
    for one in named:
        other = getattr(one, attribute)
        same = other == value or (
            value is not None and other is not None and abs(other - value) <= SAME_VALUE * abs(value)
        )
        total += one.weight if same else 0.0
    return total


def _jitter_factor(best: Named) -> float:
    """A random part hardly wider than the overhead may be the overhead."""
    return NARROW_ADDITIVE_FACTOR if best.jitter == "additive" and best.width_s < NARROW_ADDITIVE_S else 1.0


def _jitter_parameter(model: Model, named: Named) -> dict[str, float] | None:
    if named.proportion is not None:
        return {"minus": named.proportion.minus, "plus": named.proportion.plus}
    if named.jitter == "additive":
        return {"width_s": round(model.values.get("width", model.values.get("base", 0.0)), 6)}
    return None


def _timeout(model: Model, waits: Waits) -> float | None:
    if "offset" in model.values:
        return round(model.values["offset"], 4)
    return None if np.isnan(waits.timeout_s) else round(waits.timeout_s, 4)


def _candidates(named: list[Named]) -> tuple[Mapping[str, Any], ...]:
    """Labels with at least 2 % of the weight, heaviest first. One wait is named as what it may be the first of."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for one in named:
        for family in ("fixed", "exponential", "linear") if one.family == "other" else (one.family,):
            share = one.weight / (3 if one.family == "other" else 1)
            entry = merged.setdefault(
                (family, one.jitter),
                {
                    "family": family,
                    "jitter": one.jitter,
                    "base_s": round(one.base_s, 6),
                    "multiplier": None if one.multiplier is None else round(one.multiplier, 4),
                    "cap_s": None if one.cap_s is None else round(one.cap_s, 6),
                    "weight": 0.0,
                },
            )
            entry["weight"] += share
    ranked = sorted(merged.values(), key=lambda entry: -float(entry["weight"]))
    return tuple(entry | {"weight": round(entry["weight"], 3)} for entry in ranked if entry["weight"] >= 0.02)[:6]
