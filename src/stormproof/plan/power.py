"""What a claim could come to with the load that is planned: before anything runs, and without a heavy import.

Clopper–Pearson's decisions about a share are those of two binomial tails at the bound itself: *k* of *n* refute when
``P(Bin(n, bound) >= k)`` is at most the tail, and hold when ``P(Bin(n, bound) <= k)`` is. A latency percentile against
a duration is the same question about the share of requests that take longer, whatever the distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from stormproof.model.hypothesis import NO_SAMPLING, Claim, Hypothesis, Metric, Op, Phase

TAIL = 0.025  # beyond each end of a 95 % two-sided interval
POWER = 0.8  # an effect is called visible when it is refuted that often
BLOCKS_S = 5.0  # what is relative to steady, a mean and a throughput need at least that long a phase
# What is assumed of latencies that nobody has measured yet: p99 is twice the median (lognormal), and blocks of time
# make intervals a quarter wider than independent requests would (docs/reference/estimands.md).
SIGMA = math.log(2) / NormalDist().inv_cdf(0.99)
WIDER = 1.25
OF_T = 1.06  # Student's t over the normal quantile, for thirty blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What one claim needs, and what it would see; None where no number can say."""

    requests_needed: int | None = None  # without a bad one, in each phase that it is about, to be held
    seconds_needed: float | None = None  # of each phase, at the planned rate
    bad_max: int | None = None  # held with at most so many bad requests in the phase
    share_seen: float | None = None  # the smallest share of bad requests that is refuted four times in five
    ratio_seen: float | None = None  # the smallest true ratio, to steady or to the control, that is
    warning: str = ""  # why it cannot be decided


def power_of(
    hypothesis: Hypothesis,
    *,
    rate_per_s: float | None,
    stretches_s: Mapping[str, float],
    claims_by_chance: int,
    control_share: float = 0.0,
) -> Power:
    """What *hypothesis* could come to; *claims_by_chance* share the chance of a false refutation (docs/adr/0020).

    *rate_per_s* is that of all arrivals, of which *control_share* are a control group's: all but the comparisons with
    it are about the others.
    """
    needed = requests_needed(hypothesis)
    if hypothesis.metric in NO_SAMPLING or hypothesis.phase is None:
        return Power(requests_needed=needed)
    exposed_per_s = None if rate_per_s is None else rate_per_s * (1 - control_share)
    is_beside = hypothesis.control_header is not None
    beside_per_s = rate_per_s * control_share if rate_per_s is not None and is_beside else exposed_per_s
    about = [stretches_s[hypothesis.window], *([stretches_s[Phase.STEADY]] if hypothesis.relative_to_steady else [])]
    fewest_per_s = None if exposed_per_s is None or beside_per_s is None else min(exposed_per_s, beside_per_s)
    seconds = _seconds_needed(hypothesis, needed, fewest_per_s)
    warning = _warning(hypothesis, needed, seconds, about, fewest_per_s)
    base = Power(requests_needed=needed, seconds_needed=seconds, warning=warning)
    if exposed_per_s is None or beside_per_s is None or warning:
        return base
    if hypothesis.control_zone is not None:  # how the balancer divides the requests is not known beforehand
        return base
    n = [round(exposed_per_s * one) for one in about]
    n += [round(beside_per_s * about[0])] if is_beside else []
    tail = TAIL / max(1, claims_by_chance)
    if is_beside and (share_seen := _share_seen_beside(hypothesis, n, tail)) is not None:
        return Power(requests_needed=needed, seconds_needed=seconds, share_seen=share_seen)
    if hypothesis.is_relative:
        return Power(requests_needed=needed, seconds_needed=seconds, ratio_seen=_ratio_seen(hypothesis, n, tail))
    bad_share = _bad_share(hypothesis)
    if bad_share is None or not 0 < bad_share < 1 or not n[0]:
        return base
    refuted_from = _first_refuted(n[0], bad_share, tail)
    return Power(
        requests_needed=needed,
        seconds_needed=seconds,
        bad_max=_last_held(n[0], bad_share),
        share_seen=_share_with_power(n[0], refuted_from, bad_share),
    )


def by_chance(hypotheses: Sequence[Claim]) -> int:
    """How many of *hypotheses* could be refuted by the chance of which requests were drawn."""
    return sum(isinstance(one, Hypothesis) and one.metric not in NO_SAMPLING for one in hypotheses)


def requests_needed(hypothesis: Hypothesis) -> int | None:
    """How many requests without a bad one it takes for *hypothesis* to be held; None where no number can say.

    Shares: the smallest n whose Clopper–Pearson 95 % two-sided interval, for 0 bad of n, clears the bound:
    ln(0.025) / ln(share). Percentiles: the smallest n whose order statistics bound the quantile q on both
    sides: ln(0.025) / ln(max(q, 1 - q)); below it there is no estimate. Other metrics: None.
    """
    if hypothesis.metric is Metric.LATENCY_QUANTILE:
        quantile = hypothesis.quantile or 0.5
        return _run_length(max(quantile, 1 - quantile))
    bad_share = None if hypothesis.is_relative else _bad_share(hypothesis)
    return None if bad_share is None else _run_length(1 - bad_share)


def is_undecidable(hypothesis: Hypothesis) -> bool:
    """Whether no number of requests can make the claim held: a share bound of exactly all or none."""
    if hypothesis.is_relative:
        return False
    all_good = hypothesis.metric is Metric.AVAILABILITY and hypothesis.op is Op.GE and hypothesis.bound >= 1
    none_bad = hypothesis.metric is Metric.ERROR_RATE and hypothesis.op is Op.LE and hypothesis.bound <= 0
    return all_good or none_bad


def _bad_share(hypothesis: Hypothesis) -> float | None:
    """The largest share of bad requests that the claim allows; None where it is not about such a share."""
    if hypothesis.metric is Metric.AVAILABILITY and hypothesis.op in (Op.GE, Op.GT):
        return 1 - hypothesis.bound
    if hypothesis.metric is Metric.ERROR_RATE and hypothesis.op in (Op.LE, Op.LT):
        return hypothesis.bound
    if hypothesis.metric is Metric.LATENCY_QUANTILE and hypothesis.op in (Op.LE, Op.LT):
        return 1 - (hypothesis.quantile or 0.5)
    return None


def _needs_blocks(hypothesis: Hypothesis) -> bool:
    return hypothesis.is_relative or hypothesis.metric in {Metric.LATENCY_MEAN, Metric.THROUGHPUT}


def _seconds_needed(hypothesis: Hypothesis, needed: int | None, rate_per_s: float | None) -> float | None:
    by_count = needed / rate_per_s if needed is not None and rate_per_s else None
    by_blocks = BLOCKS_S if _needs_blocks(hypothesis) else None
    known = [seconds for seconds in (by_count, by_blocks) if seconds is not None]
    return max(known) if known else None


def _warning(
    hypothesis: Hypothesis,
    needed: int | None,
    seconds: float | None,
    about_s: Sequence[float],
    rate_per_s: float | None,
) -> str:
    """Why the claim would be inconclusive, or could not hold, whatever the workload does."""
    at_least = hypothesis.metric is Metric.THROUGHPUT and hypothesis.op in (Op.GE, Op.GT)
    if at_least and not hypothesis.is_relative and rate_per_s is not None and hypothesis.bound > rate_per_s:
        return f"CANNOT HOLD: only {rate_per_s:g}/s are offered"
    shortest_s = min(about_s)
    if needed is not None and rate_per_s is not None and round(rate_per_s * shortest_s) < needed:
        return f"TOO FEW to be held: at {rate_per_s:g}/s that takes {math.ceil(needed / rate_per_s)} s"
    if _needs_blocks(hypothesis) and shortest_s < BLOCKS_S:
        return f"TOO SHORT, it will be inconclusive: a phase of at least {seconds or BLOCKS_S:.0f} s is needed"
    return ""


def _run_length(share: float) -> int | None:
    """The smallest n with share^n <= 2.5 %."""
    return math.ceil(math.log(TAIL) / math.log(share)) if 0 < share < 1 else None


def _log_probability(k: int, n: int, share: float) -> float:
    """The logarithm of ``P(Bin(n, share) = k)``."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return ways + k * math.log(share) + (n - k) * math.log1p(-share)


def _below(k: int, n: int, share: float) -> float:
    """``P(Bin(n, share) <= k)``; terms too far from the mean to count are left out."""
    spread = 10 * math.sqrt(n * share * (1 - share)) + 30
    first = max(0, math.floor(n * share - spread))
    return min(1.0, math.fsum(math.exp(_log_probability(i, n, share)) for i in range(first, min(k, n) + 1)))


def _last_held(n: int, bad_share: float) -> int | None:
    """The largest number of bad requests of *n* at which the claim is held; None when not even none would do."""
    low, high = -1, math.ceil(n * bad_share)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _below(middle, n, bad_share) <= TAIL else (low, middle)
    return low if low >= 0 else None


def _first_refuted(n: int, bad_share: float, tail: float) -> int:
    """The smallest number of bad requests of *n* at which the claim is refuted; n + 1 when not even all would do."""
    low, high = math.floor(n * bad_share), n + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if 1 - _below(middle - 1, n, bad_share) <= tail else (middle, high)
    return high


def _share_with_power(n: int, refuted_from: int, bad_share: float) -> float | None:
    """The smallest true share of bad requests that brings *refuted_from* of *n* four times in five."""
    if refuted_from > n:
        return None
    low, high = bad_share, 1.0 - 1e-9
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if 1 - _below(refuted_from - 1, n, middle) >= POWER else (middle, high)
    return high


def _share_seen_beside(hypothesis: Hypothesis, n: Sequence[int], tail: float) -> float | None:
    """The smallest share of failures that refutes "availability >= r x control" four times in five, of a control
    without any; None for other claims.

    The interval's upper end is ``a + √((z·s)² + u²)``: a normal half-length of the group that the fault reaches, made
    wider as for latencies, and ``u = -ln(tail) / n``, what a control without a failure may still have (MOVER).
    """
    if hypothesis.metric is not Metric.AVAILABILITY or hypothesis.op not in (Op.GE, Op.GT) or not all(n):
        return None
    normal = NormalDist()
    z, z_power, unknown = normal.inv_cdf(1 - tail), normal.inv_cdf(POWER), -math.log(tail) / n[1]

    def is_seen(bad: float) -> bool:
        error = WIDER * math.sqrt(bad * (1 - bad) / n[0])
        return (1 - bad) + math.hypot(z * error, unknown) + z_power * error < hypothesis.bound

    low, high = max(0.0, 1 - hypothesis.bound), 1 - 1 / n[0]
    if not is_seen(high):
        return None
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if is_seen(middle) else (middle, high)
    return high


def _ratio_seen(hypothesis: Hypothesis, n: Sequence[int], tail: float) -> float | None:
    """The smallest true ratio of a latency (to steady's, or the control's) that is refuted four times in five.

    None where nothing can be said.
    """
    if hypothesis.op not in (Op.LE, Op.LT) or not all(n):
        return None
    normal = NormalDist()
    z, z_power = normal.inv_cdf(1 - tail), normal.inv_cdf(POWER)
    if hypothesis.metric is Metric.LATENCY_QUANTILE:
        p = hypothesis.quantile or 0.5
        low, high = _read_at(n[0], p, tail)[0], _read_at(n[1], p, tail)[1]
        distance = math.hypot(normal.inv_cdf(p) - normal.inv_cdf(low), normal.inv_cdf(high) - normal.inv_cdf(p))
        # What refutes is about the fault's own quantile over the other's upper end: these two are what varies.
        error = math.hypot(_error_at(p, n[0]), _error_at(high, n[1]))
        return hypothesis.bound * math.exp(SIGMA * (distance + z_power * error))
    if hypothesis.metric is Metric.LATENCY_MEAN:
        error = WIDER * SIGMA * math.sqrt(sum(1 / one for one in n))
        return hypothesis.bound * math.exp((z + z_power) * error)
    return None


def _read_at(n: int, p: float, tail: float) -> tuple[float, float]:
    """At which quantiles of the population the interval of the quantile *p* of *n* latencies is read, on average.

    As the judge makes it: the wider of a normal interval of the share of longer ones and Clopper–Pearson's on the
    effective number of requests, read as ranks, outwards. Few are longer, so the upper end of a small group's p99 is
    its longest latency or nearly so. Where a rank lies on average in a normal sample: Blom (1958).
    """
    effective = max(1, round(n / (WIDER * OF_T) ** 2))
    exact = _interval_of_share(round((1 - p) * effective), effective, tail)
    half = NormalDist().inv_cdf(1 - tail) * OF_T * math.sqrt(p * (1 - p) / n)
    least, most = min(exact[0], 1 - p - half), max(exact[1], 1 - p + half)
    ranks = max(1, math.floor(n * (1 - most))), min(n, math.ceil(n * (1 - least)) + 1)
    low, high = ((rank - 0.375) / (n + 0.25) for rank in ranks)
    return min(low, p), max(high, p)


def _error_at(p: float, n: int) -> float:
    """The standard error of the quantile *p* of *n* standard normal values."""
    normal = NormalDist()
    return math.sqrt(p * (1 - p) / n) / normal.pdf(normal.inv_cdf(p))


def _interval_of_share(k: int, n: int, tail: float) -> tuple[float, float]:
    """Clopper–Pearson's interval of *k* of *n*, by bisection: without the quantiles of a beta distribution."""

    def end(is_below: Callable[[float], bool]) -> float:
        low, high = 1e-12, 1 - 1e-12
        while high - low > 1e-6:
            middle = (low + high) / 2
            low, high = (middle, high) if is_below(middle) else (low, middle)
        return low

    least = 0.0 if k == 0 else end(lambda share: 1 - _below(k - 1, n, share) <= tail)
    return least, 1.0 if k == n else end(lambda share: _below(k, n, share) > tail)
