"""A judge in the manner of Kayenta, to compare ours with: a test on per-second series, no interval, no bound.

Mann–Whitney at 98 % with the confidence interval of the Hodges–Lehmann shift (asymptotic, corrected for ties and
continuity, as in R's `wilcox.test`); a metric is *High* when the interval's lower end lies above 0.25 times the
absolute estimate. Metrics are one value a second, as a monitoring system would hand them over; a second without
requests has none. What Kayenta's documentation calls direction is "increase" for each of them.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

CONFIDENCE = 0.98
TOLERANCE = 0.25  # of the Hodges–Lehmann estimate
Z = 2.3263478740408408  # normal quantile of 0.99


def per_second(
    offset_s: np.ndarray, latency_ms: np.ndarray, ok: np.ndarray, *, duration_s: float
) -> dict[str, np.ndarray]:
    """The series of one window: share failed, p50 and p99 of each second; *offset_s* is sorted."""
    edges = np.searchsorted(offset_s, np.arange(math.ceil(duration_s) + 1))
    seconds = [slice(a, b) for a, b in itertools.pairwise(edges) if b > a]
    return {
        "error rate": np.array([1 - ok[one].mean() for one in seconds]),
        "p50": np.array([np.median(latency_ms[one]) for one in seconds]),
        "p99": np.array([np.quantile(latency_ms[one], 0.99, method="inverted_cdf") for one in seconds]),
    }


def is_high(control: np.ndarray, experiment: np.ndarray) -> bool:
    """Whether *experiment* is classified as higher than *control*."""
    if not len(control) or not len(experiment) or np.array_equal(control, experiment):
        return False
    low, estimate = shift(control, experiment)
    return low > TOLERANCE * abs(estimate)


def shift(control: np.ndarray, experiment: np.ndarray) -> tuple[float, float]:
    """The lower end of the 98 % interval of the shift, and the Hodges–Lehmann estimate."""
    pairs = len(control) * len(experiment)
    differences = np.sort(np.subtract.outer(experiment, control).ravel())[::-1]
    n = len(control) + len(experiment)
    ties = sum(float((count**3 - count).sum()) for count in map(_tie_counts, (control, experiment)))
    sigma = math.sqrt(max(0.0, pairs / 12 * (n + 1 - ties / (n * (n - 1)))))
    rank = math.ceil(pairs / 2 + 0.5 + Z * sigma)
    low = differences[-1] if rank > pairs else differences[rank - 1]
    return float(low), float(np.median(differences))


def _tie_counts(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_counts=True)[1].astype(np.float64)
