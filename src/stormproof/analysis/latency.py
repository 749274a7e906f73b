"""Latency: quantiles and the mean, over every request of the window, the failed ones included.

Dropping failed requests flatters: the slowest are the ones that time out. Taking them at the time they were given
flatters too when they fail fast. So a failed request is known to have taken *at least* as long as it waited: it enters
the estimate and the lower end with the latency recorded, and the upper end as one that never ended.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from stormproof.analysis.block import ratio_variance, too_short
from stormproof.analysis.distribution import binomial_quantile, gamma_quantile, student_t_quantile
from stormproof.analysis.estimate import ALPHA_SIDE, Estimate, no_estimate
from stormproof.analysis.proportion import clopper_pearson, effective_n
from stormproof.analysis.sequence import ANY_TIME, rank_sequence

if TYPE_CHECKING:
    from stormproof.analysis.window import Ordered, Window

ORDER_STATISTICS = "order statistics (binomial)"
WOODRUFF = "Woodruff between blocks"
BLOCK_MEANS = "block means, Student's t"
FAILED_SHARE_MAX_OF_MEAN = 0.01  # more failures than this, and no mean bounds what users waited


MEAN_N_MIN = 20  # fewer show neither a variance nor a tail
TAIL_INDEX_MIN = 2.0  # unless the tail is surely lighter, a mean may have no variance, and Student's t no meaning
HEAVY = "the tail may be too heavy for a mean to have an upper end; a quantile has one"


def quantile_n_min(p: float) -> int:
    """The fewest requests whose order statistics bound the quantile *p* on both sides at 95 %.

    ``p**n <= 0.025`` and ``(1 - p)**n <= 0.025``: 368 for p99, 6 for the median.
    """
    return math.ceil(math.log(ALPHA_SIDE) / math.log(max(p, 1 - p)))


def quantile(requests: Window, p: float, *, tail: float = ALPHA_SIDE, at_any_time: bool = False) -> Estimate:
    """The latency quantile *p* of the window's requests in ms, and its exact order-statistic interval.

    Ranks l, u with ``P(Bin(n, p) < l) <= 0.025`` and ``P(Bin(n, p) >= u) <= 0.025`` (David and Nagaraja, Order
    Statistics, 2003, 7.1), or those of `sequence.rank_sequence`. Distribution-free; ties make it wider than it must be,
    never narrower.
    """
    method = ANY_TIME if at_any_time else ORDER_STATISTICS
    refusal = _refuse_quantile(requests, p, method)
    if refusal is not None:
        return refusal
    taken, least, most = requests.readings()
    if at_any_time:
        low_rank, _ = rank_sequence(len(least), p, tail=tail)
        _, high_rank = rank_sequence(len(most), p, tail=tail)
    else:
        low_rank = binomial_quantile(tail, len(least), p)
        high_rank = binomial_quantile(1 - tail, len(most), p) + 1
    return _with_notes(
        requests,
        Estimate(
            value=_finite(taken.ranked(math.ceil(len(taken) * p))),
            low=least.ranked(low_rank, "low") if low_rank >= 1 else 0.0,
            high=most.ranked(high_rank, "high") if high_rank <= len(most) else math.inf,
            n=requests.n,
            method=method,
            value_least=least.ranked(math.ceil(len(least) * p)),
            value_most=most.ranked(math.ceil(len(most) * p)),
        ),
    )


def quantile_between_blocks(requests: Window, p: float, *, tail: float = ALPHA_SIDE) -> Estimate:
    """The latency quantile *p* in ms; its interval counts the noise between blocks of time.

    Woodruff (JASA 1952): the interval of the share below the quantile, turned back into latencies. The share's
    interval is the wider of ``p ± t * se`` and Clopper–Pearson on the effective n; the first alone is too short
    under strong noise at p50, the second at p99 (bench of docs/reference/estimands.md).
    """
    refusal = _refuse_quantile(requests, p, WOODRUFF)
    if refusal is not None:
        return refusal
    short = too_short(requests)
    if short:
        return no_estimate(short, n=requests.n, method=WOODRUFF)
    taken, least, most = requests.readings()
    n = requests.n
    value = taken.ranked(math.ceil(n * p))
    worth = effective_n(requests, requests.block_below(value), p=p, tail=tail)
    half = student_t_quantile(1 - tail, worth.degrees) * math.sqrt(p * (1 - p) * worth.design_effect / n)
    low_share, high_share = clopper_pearson(p * worth.n, worth.n, tail=tail)
    low_rank = math.floor(min(low_share, p - half) * len(least))
    # Beyond the largest observation p + half says nothing; the exact interval never goes there.
    high_rank = math.ceil(max(high_share, min(p + half, 1 - 0.5 / n)) * len(most))
    if _fewer_than_tail(most, p):
        high_rank = min(high_rank, most.finite)
    return _with_notes(
        requests,
        Estimate(
            value=_finite(value),
            low=least.ranked(low_rank, "low") if low_rank >= 1 else 0.0,
            high=most.ranked(high_rank, "high"),
            n=n,
            method=WOODRUFF,
            value_least=least.ranked(math.ceil(len(least) * p)),
            value_most=most.ranked(math.ceil(len(most) * p)),
            degrees=worth.degrees,
        ),
    )


def mean(requests: Window, *, tail: float = ALPHA_SIDE) -> Estimate:
    """The mean latency in ms of the window's requests; interval from the means of blocks, Student's t.

    With more than 1 % failed there is no upper end: how long those would have taken is not known. Nor is there one when
    the tail may be so heavy that a mean has no variance: the next request may be longer than all these together.
    """
    if requests.n == 0:
        return no_estimate("no requests", method=BLOCK_MEANS)
    if requests.n < MEAN_N_MIN:
        reason = _too_few("a mean", MEAN_N_MIN, requests)
        return no_estimate(reason, n=requests.n, method=BLOCK_MEANS)
    short = too_short(requests)
    if short:
        return no_estimate(short, n=requests.n, method=BLOCK_MEANS)
    unknown = requests.unknown_latency
    if unknown:
        return no_estimate(f"{unknown} of {requests.n} requests have no latency", n=requests.n, method=BLOCK_MEANS)
    sums = requests.block_latency_sums()
    value = float(sums.sum() / requests.n)
    between = ratio_variance(sums, requests.block_counts())
    half = student_t_quantile(1 - tail, between.degrees) * math.sqrt(between.variance)
    lost = requests.n - requests.n_ok + requests.unattributed_failed
    heavy = tail_index_low(requests) < TAIL_INDEX_MIN
    unbounded = heavy or lost > FAILED_SHARE_MAX_OF_MEAN * (requests.n + requests.unattributed_failed)
    return _with_notes(
        requests,
        Estimate(
            value=value,
            low=max(0.0, value - half),
            high=math.inf if unbounded else value + half,
            n=requests.n,
            method=BLOCK_MEANS,
            degrees=between.degrees,
            note=HEAVY if heavy else "",
        ),
    )


def tail_index_low(requests: Window) -> float:
    """The lower 95 % confidence bound of the exponent α of a tail ``P(latency > x) ~ x^-α``.

    Hill's estimator (Annals of Statistics 3, 1975) on the top twentieth of the values, at least ten: of k excesses over
    a threshold, ``k / α`` times the true α is gamma distributed. Infinite for fewer than twenty values, or equal ones.
    """
    if requests.n < 20:
        return math.inf
    top = max(10, requests.n // 20)
    largest = requests.largest(top + 1)
    if largest[0] <= 0:
        return math.inf
    excess = float(np.log(largest[1:] / largest[0]).mean())
    return gamma_quantile(0.05, top) / top / excess if excess > 0 else math.inf


def _refuse_quantile(requests: Window, p: float, method: str) -> Estimate | None:
    """No estimate below the minimum n, and why; None when there are enough."""
    n_min = quantile_n_min(p)
    if requests.n >= n_min:
        return None
    if requests.n == 0:
        return no_estimate("no requests", method=method)
    return no_estimate(_too_few(f"p{p * 100:g}", n_min, requests), n=requests.n, method=method)


def _too_few(what: str, n_min: int, requests: Window) -> str:
    rate = requests.rate_per_s
    return (
        f"{what} needs at least {n_min} requests for an interval, the window has {requests.n}; "
        f"at {rate:.3g}/s that takes {n_min / rate:.0f} s"
    )


def _fewer_than_tail(most: Ordered, p: float) -> bool:
    """Whether those that never ended are, with 97.5 % confidence, fewer than the share above the quantile *p*.

    Then the quantile lies among the answered ones, and the longest of these is as far as its interval can go: ranks
    that the noise between blocks pushes beyond are those of a sample's end, not of a failure.
    """
    endless = len(most) - most.finite
    return clopper_pearson(endless, len(most))[1] < 1 - p


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _with_notes(requests: Window, estimate: Estimate) -> Estimate:
    """*estimate*, saying what failed requests did to it."""
    failed = requests.n - requests.n_ok
    unknown = requests.unknown_latency
    notes = [estimate.note] if estimate.note else []
    if failed:
        notes.append(f"{failed} of {requests.n} failed and took at least as long as they waited")
    if requests.unattributed_failed:
        notes.append(f"{requests.unattributed_failed} failed with no zone, any of them may be this zone's")
    if unknown:
        notes.append(f"{unknown} have no latency")
    reason = "" if estimate.value is not None else "too many requests have no latency"
    return replace(
        estimate,
        note="; ".join(notes),
        reason=reason,
        bounded_by_unknowns=bool(failed or requests.unattributed_failed or unknown) or estimate.bounded_by_unknowns,
    )
