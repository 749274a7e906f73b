"""Throughput: requests that succeeded, per second, by the time they were scheduled."""

from __future__ import annotations

import math

import numpy as np

from stormproof.analysis.block import block_count, ratio_variance, too_short
from stormproof.analysis.distribution import student_t_quantile
from stormproof.analysis.estimate import ALPHA_SIDE, Estimate, no_estimate
from stormproof.analysis.proportion import clopper_pearson
from stormproof.analysis.window import Window

METHOD = "block rates, Student's t, or Clopper–Pearson where wider"


def throughput(requests: Window, *, tail: float = ALPHA_SIDE) -> Estimate:
    """Successes a second over the window; interval from the rates of equal blocks of time, Student's t, or
    from the share that succeeded where that is wider.

    A block without a request counts as zero: silence is a rate, too. Failures that no zone answered leave the
    throughput of a zone as it is: they did not succeed anywhere.
    """
    if requests.n == 0:
        return no_estimate("no requests", method=METHOD)
    short = too_short(requests)
    if short:
        return no_estimate(short, n=requests.n, method=METHOD)
    blocks = block_count(requests.duration_s)
    seconds = np.full(blocks, requests.duration_s / blocks)
    # A steady schedule cut into blocks moves each count by up to one request: no variance is not no error.
    floor = blocks / 6 / requests.duration_s**2
    between = ratio_variance(requests.block_ok(), seconds)
    value = requests.n_ok / requests.duration_s
    half = student_t_quantile(1 - tail, between.degrees) * math.sqrt(max(between.variance, floor))
    # A few failures are too few for Student's t; of the requests that were sent, Clopper–Pearson knows the share.
    low, high = (share * requests.rate_per_s for share in clopper_pearson(requests.n_ok, requests.n, tail=tail))
    return Estimate(
        value=value,
        low=max(0.0, min(low, value - half)),
        high=max(high, value + half),
        n=requests.n,
        method=METHOD,
        degrees=between.degrees,
    )
