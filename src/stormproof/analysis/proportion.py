"""Shares of requests: Clopper–Pearson, exact within the window or with the noise between blocks of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormproof.analysis.block import BlockVariance, ratio_variance, too_short
from stormproof.analysis.distribution import beta_quantile, normal_quantile, student_t_quantile
from stormproof.analysis.estimate import ALPHA_SIDE, Estimate, no_estimate
from stormproof.analysis.sequence import ANY_TIME, share_sequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormproof.analysis.requests import Floats
    from stormproof.analysis.window import Window

EXACT = "Clopper–Pearson"
BLOCKED = "Clopper–Pearson on the effective n between blocks (Korn–Graubard)"


def clopper_pearson(k: float, n: float, *, tail: float = ALPHA_SIDE) -> tuple[float, float]:
    """The exact two-sided interval of a share, *k* of *n* (Clopper and Pearson, Biometrika 1934): 95 % by default.

    *tail* is the chance left on each side.
    *k* and *n* need not be whole: an effective sample size is not. ``n == 0`` knows nothing: (0, 1).
    """
    if n <= 0:
        return 0.0, 1.0
    low = 0.0 if k <= 0 else beta_quantile(tail, k, n - k + 1)
    high = 1.0 if k >= n else beta_quantile(1 - tail, k + 1, n - k)
    return low, high


def share(
    k: int, n: int, *, unknown_out: int = 0, unknown_in: int = 0, tail: float = ALPHA_SIDE, at_any_time: bool = False
) -> Estimate:
    """The share *k* of *n*, and its exact interval, or the one that is valid *at_any_time*.

    Of rows that may or may not belong to the *n*, *unknown_out* would not count and *unknown_in* would: the lower
    end takes all of the first in, the upper end all of the second.
    """
    method, interval = (ANY_TIME, share_sequence) if at_any_time else (EXACT, clopper_pearson)
    if n == 0:
        return no_estimate("no requests", method=method)
    low, _ = interval(k, n + unknown_out, tail=tail)
    _, high = interval(k + unknown_in, n + unknown_in, tail=tail)
    return Estimate(
        value=k / n,
        low=low,
        high=high,
        n=n,
        method=method,
        bounded_by_unknowns=bool(unknown_out or unknown_in),
        value_least=k / (n + unknown_out),
        value_most=(k + unknown_in) / (n + unknown_in),
    )


def share_between_blocks(
    requests: Window,
    hits: Floats,
    *,
    unknown_out: int = 0,
    unknown_in: int = 0,
    tail: float = ALPHA_SIDE,
    design_effect_min: float = 1.0,
) -> Estimate:
    """The share of *requests* that are *hits* (so many a block), its interval widened by the noise between blocks.

    The design effect is the variance between blocks over the binomial one, never below *design_effect_min*; the
    effective n is
    ``n / deff * (z / t)²`` with Student's t at blocks - 1; then Clopper–Pearson (Korn and Graubard, Survey
    Methodology 1998).
    """
    n, k = requests.n, round(float(hits.sum()))
    if n == 0:
        return no_estimate("no requests", method=BLOCKED)
    short = too_short(requests)
    if short:
        return no_estimate(short, n=n, method=BLOCKED)
    worth = effective_n(requests, hits, tail=tail, design_effect_min=design_effect_min)
    shrink = worth.n / n
    low, _ = clopper_pearson(k * shrink, (n + unknown_out) * shrink, tail=tail)
    _, high = clopper_pearson((k + unknown_in) * shrink, (n + unknown_in) * shrink, tail=tail)
    return Estimate(
        value=k / n,
        low=low,
        high=high,
        n=n,
        method=BLOCKED,
        bounded_by_unknowns=bool(unknown_out or unknown_in),
        value_least=k / (n + unknown_out),
        value_most=(k + unknown_in) / (n + unknown_in),
        degrees=worth.degrees,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """How many independent requests a share is worth, and how well that is known."""

    n: float
    design_effect: float
    degrees: float  # of freedom


def effective_n(
    requests: Window,
    hits: Floats,
    *,
    p: float | None = None,
    tail: float = ALPHA_SIDE,
    design_effect_min: float = 1.0,
) -> Worth:
    """How many independent requests a share is worth, *hits* a block; *p* where the share is known beforehand."""
    between, binomial = _variances(requests, hits, p)
    seen = between.variance / binomial if binomial > 0 else 0.0
    design_effect = max(design_effect_min, seen)
    z, t = normal_quantile(1 - tail), student_t_quantile(1 - tail, between.degrees)
    n = requests.n / design_effect * (z / t) ** 2
    return Worth(n=n, design_effect=design_effect, degrees=between.degrees)


def pooled_design_effect(phases: Sequence[tuple[Window, Floats]]) -> float:
    """The design effect of all *phases* together, at least 1: how much failures come in bursts.

    A phase that happened to have no burst shows none, and its own interval would be that of independent requests. The
    other phase has seen how this workload fails. Variances are added before they are divided, on the scale of counts.
    """
    between = binomial = 0.0
    for requests, hits in phases:
        if requests.n == 0 or too_short(requests):
            continue
        of_blocks, of_requests = _variances(requests, hits, None)
        between += of_blocks.variance * requests.n**2
        binomial += of_requests * requests.n**2
    return max(1.0, between / binomial) if binomial > 0 else 1.0


def _variances(requests: Window, hits: Floats, p: float | None) -> tuple[BlockVariance, float]:
    """The variance of the share of *hits*: as the blocks show it, and as it would be of independent requests."""
    share_ = p if p is not None else float(hits.sum()) / requests.n
    # Failures are few, so what neighbouring blocks have in common is mostly chance; how much failures come in bursts is
    # asked of both phases (`pooled_design_effect`). The share below a known quantile has no such lack.
    doubt = 1.0 if p is None else 0.0
    return ratio_variance(hits, requests.block_counts(), doubt=doubt), share_ * (1 - share_) / requests.n
