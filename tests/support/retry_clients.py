"""Synthetic clients: arrivals that a client with a known rule would cause, over the whole space of rules.

The overhead is what was measured on real clients (median 1.4 ms, 99 % 5 ms, now and then up to 30 ms), and
deliberately not the estimator's own model of it: log-normal with rare stalls here, log-logistic there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

FAMILIES = ("none", "immediate", "fixed", "linear", "quadratic", "fibonacci", "exponential")
JITTERS = ("none", "full", "equal", "decorrelated", "additive", "proportional")
PROPORTIONS = ((0.2, 0.2), (0.0, 0.2), (0.25, 0.0), (0.1, 0.1), (0.5, 0.5), (0.25, 0.25), (0.0, 0.4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A rule. *minus*, *plus*: proportional jitter; *width_s*: additive; *cap_after*: the cap comes after jitter."""

    family: str = "exponential"
    jitter: str = "full"
    base_s: float = 0.1
    multiplier: float = 2.0
    increment_s: float = 0.1
    cap_s: float | None = None
    is_cap_after: bool = False
    attempts: int = 6
    minus: float = 0.0
    plus: float = 0.0
    width_s: float = 0.0
    lead: int = 0


def random_client(rng: np.random.Generator) -> Client:
    """Any client: bases 10 ms … 5 s, multipliers 1.3 … 3, caps, every jitter, 1 … 8 retries."""
    family = str(rng.choice(FAMILIES, p=[0.04, 0.06, 0.17, 0.12, 0.03, 0.04, 0.54]))
    jitter = (
        "none" if family in {"none", "immediate"} else str(rng.choice(JITTERS, p=[0.32, 0.2, 0.14, 0.08, 0.13, 0.13]))
    )
    if jitter == "decorrelated":
        family = "exponential"
    base = float(f"{np.exp(rng.uniform(np.log(0.01), np.log(5.0))):.1g}")
    multiplier = 3.0 if jitter == "decorrelated" else float(rng.choice([1.3, 1.5, 2.0, 2.0, 2.0, 2.0, 2.5, 3.0]))
    minus, plus = PROPORTIONS[int(rng.integers(len(PROPORTIONS)))] if jitter == "proportional" else (0.0, 0.0)
    attempts = 1 if family == "none" else int(rng.integers(2, 10))
    cap = (
        base * float(rng.choice([2.5, 5.0, 10.0]))
        if rng.random() < 0.5 and family in {"exponential", "linear"}
        else None
    )
    lead = int(rng.random() < 0.1 and attempts > 2 and family not in {"none", "immediate"})
    return Client(
        family=family,
        jitter=jitter,
        base_s=base,
        multiplier=multiplier,
        increment_s=base * float(rng.choice([1.0, 1.0, 0.5, 2.0])),
        cap_s=cap,
        is_cap_after=bool(jitter in {"full", "equal", "additive"} and rng.random() < 0.3),
        attempts=attempts,
        minus=minus,
        plus=plus,
        width_s=float(f"{max(0.02, base * rng.choice([0.3, 1.0, 2.0])):.1g}"),
        lead=lead,
    )


def arrivals(
    client: Client, *, calls: int, rng: np.random.Generator, clients: int = 1, name: str = "c"
) -> pd.DataFrame:
    """*calls* calls that all fail with 503, spread over clients and time."""
    rows = []
    start_s = 1.0
    for call in range(calls):
        start_s += rng.exponential(0.02)
        t = start_s
        wait = client.base_s
        for attempt in range(1, client.attempts + 1):
            end = t + abs(rng.normal(0.002, 0.0005))
            rows.append((f"{name}{call % clients}", f"{name}-op{call}", attempt, t, end, "503", np.nan))
            wait = _wait(client, attempt, wait, rng)
            stall = rng.uniform(0, 0.03) if rng.random() < 0.005 else 0.0
            t = end + wait + rng.lognormal(np.log(0.0014), 0.55) + stall
    columns = ["client", "op", "attempt", "t_start_s", "t_end_s", "outcome", "retry_after_s"]
    return pd.DataFrame(rows, columns=columns).sort_values("t_start_s", ignore_index=True)


def nominal(client: Client, retry: int) -> float:
    """The wait before retry number *retry* (from 1), without jitter and cap."""
    j = retry - client.lead
    if j < 1 or client.family in {"immediate", "none"}:
        return 0.0
    if client.family == "linear":
        return client.base_s + (j - 1) * client.increment_s
    if client.family == "quadratic":
        return client.base_s * j**2
    if client.family == "fibonacci":
        series = [1.0, 1.0]
        while len(series) < j:
            series.append(series[-1] + series[-2])
        return client.base_s * series[j - 1]
    return client.base_s * (client.multiplier if client.family == "exponential" else 1.0) ** (j - 1)


def _wait(client: Client, retry: int, previous_s: float, rng: np.random.Generator) -> float:
    cap = np.inf if client.cap_s is None else client.cap_s
    plain = nominal(client, retry)
    if retry <= client.lead or client.family == "immediate":
        return 0.0
    if client.jitter == "decorrelated":
        before = client.base_s if retry == client.lead + 1 else previous_s
        return float(min(cap, rng.uniform(client.base_s, max(client.base_s, 3 * before))))
    capped = plain if client.is_cap_after else min(plain, cap)
    low, high = {
        "none": (capped, capped),
        "full": (0.0, capped),
        "equal": (capped / 2, capped),
        "additive": (capped, capped + client.width_s),
        "proportional": (capped * (1 - client.minus), capped * (1 + client.plus)),
    }[client.jitter]
    drawn = float(rng.uniform(low, high))
    return min(drawn, cap) if client.is_cap_after else drawn
