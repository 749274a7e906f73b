"""The kinds of jitter, as a density of the wait around its nominal value c.

Most are U(r·c, c): r = 0 is full, ½ equal, 1 none, anything else proportional (⅔ is ±20 %, ¾ is −25 %, ⅚ is +20 %).
Additive is c + U(0, J), or c + J·U²; decorrelated is U(b, 3·previous). A shape that is not uniform is a mixture of
uniform slices, so that one density serves for all. Sources: the simulator behind the AWS Architecture Blog's
"Exponential Backoff and Jitter" (full, equal, decorrelated); Polly's "decorrelated jitter back-off V2" for `polly`.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

__all__ = ["JITTERS", "PROPORTIONS", "jitter_of", "parameters_of", "polly_quantiles", "slices"]

Floats = npt.NDArray[np.float64]

# jitter → (free parameters, log prior weight).
JITTERS: dict[str, tuple[tuple[str, ...], float]] = {
    "none": ((), 0.0),
    "full": ((), 0.0),
    "equal": ((), -0.7),
    "proportional": (("ratio",), -0.7),
    "additive": (("width",), -0.7),
    "additive:=": ((), -2.0),
    "additive:2": (("width",), -3.0),
    "decorrelated": ((), -0.7),
    "other:polly": ((), -2.5),
}

# r → how much below and above the nominal value that is: what clients call it. The order is a preference.
PROPORTIONS: tuple[tuple[float, float], ...] = (
    (0.2, 0.2), (0.0, 0.2), (0.25, 0.0), (0.1, 0.1), (0.25, 0.25), (0.5, 0.5), (0.3, 0.3), (0.0, 0.1), (0.1, 0.0),
    (0.2, 0.0), (0.0, 0.25), (0.0, 0.3), (0.0, 0.4), (0.0, 0.5), (0.15, 0.15), (0.05, 0.05), (0.4, 0.4), (0.3, 0.0),
    (0.4, 0.0), (0.75, 0.0), (0.0, 0.05), (0.05, 0.0), (0.75, 0.75),
)  # fmt: skip

SLICES = 8
POLLY_SCALE = 1 / 1.4
POLLY_P = 4.0


def jitter_of(name: str) -> str:
    """The jitter without its special case."""
    return name.partition(":")[0]


def parameters_of(name: str) -> tuple[str, ...]:
    """Names of the free parameters of jitter *name*."""
    return JITTERS[name][0]


def slices(name: str, count: int) -> Floats | None:
    """Edges of equally likely slices of the random part, a row a retry; None where it is uniform."""
    if name == "additive:2":
        return np.tile((np.arange(SLICES + 1) / SLICES) ** 2, (count, 1))
    if name == "other:polly":
        return polly_quantiles(count)
    return None


@functools.cache
def polly_quantiles(count: int) -> Floats:
    """Edges of equally likely slices of Polly's wait over its base, for the retries 1…*count*.

    f(t) = 2ᵗ·tanh(√(4t)); the j-th wait is (f(t_j) − f(t_{j−1}))/1.4 with t_j = j − 1 + U(0, 1), not below 0.
    """
    grid = (np.arange(64) + 0.5) / 64
    edges = np.empty((count, SLICES + 1))
    for j in range(count):
        now = _polly(j + grid)
        before = _polly(j - 1 + grid) if j else np.zeros(1)
        wait = np.maximum(0.0, (now[:, None] - before[None, :]).ravel()) * POLLY_SCALE
        edges[j] = np.quantile(wait, np.linspace(0, 1, SLICES + 1))
    return edges


def _polly(t: Floats) -> Floats:
    return np.asarray(np.exp2(t) * np.tanh(np.sqrt(POLLY_P * t)), dtype=np.float64)
