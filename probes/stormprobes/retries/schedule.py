"""The families of back-off: the nominal wait before the j-th retry, before jitter.

| name | nominal wait j = 1, 2, … |
| --- | --- |
| immediate | 0 |
| fixed | b |
| exponential | b·mʲ⁻¹ |
| linear | b + i·(j−1) |
| quadratic | b + i·(j−1)², or b·j² |
| fibonacci | b·F(j+s−1)/F(s), s = 1, 2, 3 (F = 1, 1, 2, 3, 5, …; clients begin at different places) |

Two-step names (`exponential:2`, `linear:=`, `quadratic:=`) are the special cases that most clients use (m = 2;
i = b; b·j²): they have a parameter less, so the data need not pay for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["FAMILIES", "family_of", "fibonacci", "nominal", "parameters_of"]

Floats = npt.NDArray[np.float64]

# family → (free parameters, log prior weight): how often clients in the field do this, all else equal. The weights only
# matter where the data fit several (two retries at 0.2 and 0.4 s: ×2, +0.2, Fibonacci).
FAMILIES: dict[str, tuple[tuple[str, ...], float]] = {
    "immediate": ((), 0.0),
    "fixed": (("base",), 0.0),
    "exponential:2": (("base",), 0.0),
    "exponential": (("base", "multiplier"), -1.5),
    "linear:=": (("base",), -2.0),
    "linear": (("base", "increment"), -3.0),
    "quadratic:=": (("base",), -4.0),
    "quadratic": (("base", "increment"), -5.0),
    "fibonacci:1": (("base",), -2.2),
    "fibonacci:2": (("base",), -4.0),
    "fibonacci:3": (("base",), -4.5),
}


def family_of(name: str) -> str:
    """The family without its special case."""
    return name.partition(":")[0]


def parameters_of(name: str) -> tuple[str, ...]:
    """Names of the free parameters of family *name*."""
    return FAMILIES[name][0]


def fibonacci(count: int, start: int) -> Floats:
    """F(start), F(start+1), … over F(start), *count* of them."""
    series = [1.0, 1.0]
    while len(series) < count + start:
        series.append(series[-1] + series[-2])
    return np.array(series[start - 1 : start - 1 + count]) / series[start - 1]


def nominal(name: str, count: int, parameters: Mapping[str, float]) -> Floats:
    """Nominal waits of the first *count* retries that wait at all."""
    j = np.arange(count, dtype=np.float64)
    if name == "immediate":
        return np.zeros(count)
    base = parameters["base"]
    family, _, case = name.partition(":")
    if family == "exponential":
        multiplier = 2.0 if case == "2" else parameters["multiplier"]
        return np.asarray(base * np.exp(np.minimum(j * np.log(multiplier), 40.0)))
    if family == "linear":
        return base + j * (base if case else parameters["increment"])
    if family == "quadratic":
        return base * (j + 1) ** 2 if case else base + parameters["increment"] * j**2
    if family == "fibonacci":
        return base * fibonacci(count, int(case))
    return np.full(count, base)
