"""Synthetic windows whose truth is known: what the calibration suite judges.

A window is cut into slots of 100 ms. Each slot has a level (by how much every latency in it is shifted, in the
logarithm) and a chance of failing; within a slot requests are independent. So a window's *own* values, given its
bursts and levels, can be computed exactly, and so can the effect that was planted between two windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.signal import lfilter

SLOT_S = 0.1
BASE_MS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How a workload behaves; every share 0 … 1."""

    name: str
    failed_share: float = 0.005  # outside of bursts
    sigma: float = 0.3  # of the log latency within a slot; unused with *pareto*
    pareto: float | None = None  # the tail index of a Pareto latency instead of a lognormal one
    level_sd: float = 0.0  # AR(1) noise of the level
    rho: float = 0.9  # of the level, per 100 ms
    burst_share: float = 0.0  # of the time
    burst_s: float = 0.5  # mean length of a burst
    burst_failed: float = 0.0  # share that fails in a burst
    burst_level: float = 0.0  # the shift of the log latency in a burst

    @property
    def failed(self) -> float:
        """The share that fails in the long run."""
        return (1 - self.burst_share) * self.failed_share + self.burst_share * self.burst_failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What the fault does."""

    latency: float = 1.0  # times every latency
    failed: float = 0.0  # more of the requests, spread over the window
    outage_s: float = 0.0  # this long, in the middle, everything fails


NONE = Effect()


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window's requests and its own truth."""

    offset_s: np.ndarray
    latency_ms: np.ndarray  # float32, as samples are
    ok: np.ndarray
    availability: float
    mean_ms: float
    throughput_per_s: float
    levels: np.ndarray  # log shift a slot
    weights: np.ndarray  # share of the requests a slot
    world: World

    def quantile_ms(self, p: float) -> float:
        """The window's own latency quantile: of the mixture of its slots' distributions."""
        low, high = self.levels.min() - 2.0, self.levels.max() + 20.0
        for _ in range(60):
            middle = (low + high) / 2
            if float(self.weights @ below(self.world, middle - self.levels)) < p:
                low = middle
            else:
                high = middle
        return BASE_MS * math.exp((low + high) / 2)


def draw(
    world: World, rng: np.random.Generator, *, rate_per_s: float, duration_s: float, effect: Effect = NONE
) -> Window:
    """One window of a uniform schedule."""
    n = round(rate_per_s * duration_s)
    offset_s = (np.arange(n) + 0.5) / rate_per_s
    slots = round(duration_s / SLOT_S)
    slot = np.minimum((offset_s / SLOT_S).astype(np.int64), slots - 1)
    levels = np.full(slots, math.log(effect.latency))
    failing = np.full(slots, world.failed_share)
    if world.level_sd:
        levels += ar1(rng, slots, sd=world.level_sd, rho=world.rho)
    if world.burst_share:
        burst = bursts(rng, slots, share=world.burst_share, mean_slots=world.burst_s / SLOT_S)
        levels[burst] += world.burst_level
        failing[burst] = world.burst_failed
    failing = failing + (1 - failing) * effect.failed
    if effect.outage_s:
        middle, half = slots // 2, round(effect.outage_s / SLOT_S / 2)
        failing[middle - half : middle + half] = 1.0
    ok = rng.random(n) >= failing[slot]
    latency_ms = BASE_MS * np.exp(levels[slot] + _shape(world, rng, n))
    weights = np.bincount(slot, minlength=slots) / n
    availability = float(1 - weights @ failing)
    return Window(
        offset_s=offset_s,
        latency_ms=latency_ms.astype(np.float32),
        ok=ok,
        availability=availability,
        mean_ms=BASE_MS * _mean(world) * float(weights @ np.exp(levels)),
        throughput_per_s=rate_per_s * availability,
        levels=levels,
        weights=weights,
        world=world,
    )


def ar1(rng: np.random.Generator, n: int, *, sd: float, rho: float) -> np.ndarray:
    """A stationary AR(1) series of standard deviation *sd*."""
    shocks = rng.normal(0, sd * math.sqrt(1 - rho**2), n)
    shocks[0] = rng.normal(0, sd)
    return np.asarray(lfilter([1], [1, -rho], shocks))


def bursts(rng: np.random.Generator, n: int, *, share: float, mean_slots: float) -> np.ndarray:
    """Which slots are in a burst: a two-state Markov chain in its stationary state."""
    calm_slots = mean_slots * (1 - share) / share
    in_burst = np.zeros(n, dtype=bool)
    state, at = bool(rng.random() < share), 0
    while at < n:
        length = int(rng.geometric(1 / (mean_slots if state else calm_slots)))
        in_burst[at : at + length] = state
        state, at = not state, at + length
    return in_burst


def _shape(world: World, rng: np.random.Generator, n: int) -> np.ndarray:
    if world.pareto is not None:
        return rng.exponential(1 / world.pareto, n)  # the logarithm of a Pareto variable is exponential
    return rng.normal(0, world.sigma, n)


def below(world: World, x: np.ndarray) -> np.ndarray:
    if world.pareto is not None:
        return 1 - np.exp(-world.pareto * np.maximum(x, 0))
    return np.asarray(special.ndtr(x / world.sigma))


def _mean(world: World) -> float:
    if world.pareto is not None:
        return world.pareto / (world.pareto - 1)
    return math.exp(world.sigma**2 / 2)
