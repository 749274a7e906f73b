"""Counters that stand for the latencies of a window: exact counts in buckets of a known width.

A bucket is the upper bits of the latency's own float32: 2^9 buckets an octave, so its edges are 0.2 % apart and its
middle is within 0.1 % of each latency in it. Counters of two parts, threads or machines merge by addition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from stormproof.analysis.requests import Floats, Ints
    from stormproof.analysis.window import End

SHIFT = 23 - 9  # of a float32's 23 bits of mantissa, nine stay
ERROR_MAX = 2.0**-10  # relative, of a bucket's middle
SHORTEST_MS, LONGEST_MS = 2.0**-7, 2.0**22  # 8 µs … 70 minutes; what is longer counts as not known
FIRST = int(np.float32(SHORTEST_MS).view(np.int32)) >> SHIFT
BUCKETS = (int(np.float32(LONGEST_MS).view(np.int32)) >> SHIFT) - FIRST
UNKNOWN = BUCKETS  # one more, for what has no latency
WIDTH = BUCKETS + 1


def bucket_of(latency_ms: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """The bucket of each latency; `UNKNOWN` for NaN, infinity, negative ones and those beyond the longest."""
    bits = latency_ms.view(np.int32)
    is_negative = bits < 0
    bucket = (bits >> SHIFT) - FIRST
    np.clip(bucket, 0, UNKNOWN, out=bucket)
    if is_negative.any():
        bucket[is_negative] = UNKNOWN
    return bucket


def edges_ms() -> Floats:
    """The lower edge of each bucket, and the upper edge of the last."""
    bits = ((np.arange(WIDTH, dtype=np.int64) + FIRST) << SHIFT).astype(np.int32)
    edges = bits.view(np.float32).astype(np.float64)
    edges[0] = 0.0
    return edges


@dataclass(frozen=True, slots=True)
class Bucketed:
    """Latencies in ms by size, known to a bucket."""

    counts: Ints  # a bucket, `BUCKETS` of them
    at_zero: int = 0  # that may have taken no time at all
    endless: int = 0  # that may never have ended

    def __len__(self) -> int:
        """How many."""
        return int(self.counts.sum()) + self.at_zero + self.endless

    def ranked(self, rank: int, end: End = "value") -> float:
        """The *rank*-th smallest, counted from 1: the edge of its bucket that *end* names, or its middle."""
        total = len(self)
        rank = min(max(rank, 1), total) - self.at_zero
        if rank <= 0:
            return 0.0
        if rank > total - self.at_zero - self.endless:
            return float("inf")
        bucket = int(np.searchsorted(np.cumsum(self.counts), rank))
        low, high = edges_ms()[bucket : bucket + 2]
        return float({"low": low, "high": high, "value": (low + high) / 2}[end])

    @property
    def finite(self) -> int:
        """How many of them ended."""
        return len(self) - self.endless


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One window's requests as counters; see `window.Window`."""

    start_s: float
    end_s: float
    histogram: Ints  # [block, failed or ok, bucket]
    sums_ms: Floats  # of the known latencies, a block
    per_second: tuple[Ints, Ints] | None = None  # requests and failures, where asked for
    unattributed_failed: int = 0
    unattributed_ok: int = 0
    computed: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n(self) -> int:
        """How many requests."""
        return int(self.block_counts().sum())

    @property
    def n_ok(self) -> int:
        """How many succeeded."""
        return int(self.block_ok().sum())

    @property
    def duration_s(self) -> float:
        """How long the window is."""
        return self.end_s - self.start_s

    @property
    def rate_per_s(self) -> float:
        """Requests a second over the window."""
        return self.n / self.duration_s if self.duration_s > 0 else 0.0

    @property
    def unknown_latency(self) -> int:
        """How many latencies are not known."""
        return int(self.histogram[:, :, UNKNOWN].sum())

    def block_counts(self) -> Floats:
        """Requests a block of time."""
        counts: Floats = self._once("counts", lambda: self.histogram.sum(axis=(1, 2)).astype(np.float64))
        return counts

    def block_ok(self) -> Floats:
        """Successes a block."""
        ok: Floats = self._once("ok", lambda: self.histogram[:, 1].sum(axis=1).astype(np.float64))
        return ok

    def block_below(self, value_ms: float) -> Floats:
        """Requests a block in the buckets up to the one that *value_ms* lies in."""
        bucket = int(bucket_of(np.array([value_ms], dtype=np.float32))[0])
        below: Ints = self.histogram[:, :, : min(bucket + 1, BUCKETS)].sum(axis=(1, 2))
        return below.astype(np.float64)

    def block_latency_sums(self) -> Floats:
        """The sum of the latencies a block, in ms."""
        return self.sums_ms

    def largest(self, count: int) -> Floats:
        """The *count* longest latencies, ascending, each as its bucket's middle."""
        counts = self.histogram[:, :, :BUCKETS].sum(axis=(0, 1))
        below = max(0, int(counts.sum()) - count)
        kept = np.minimum(counts, np.maximum(0, np.cumsum(counts) - below))
        edges = edges_ms()
        return np.repeat((edges[:-1] + edges[1:]) / 2, kept)

    def seconds(self, buckets: int) -> tuple[Ints, Ints]:
        """Requests and failures in each second from the start; the last one also holds what is left of a second."""
        assert self.per_second is not None
        counts, failed = (one.copy() for one in self.per_second)
        for one in (counts, failed):
            one[buckets - 1] += one[buckets:].sum()
        return counts[:buckets], failed[:buckets]

    def readings(self) -> tuple[Bucketed, Bucketed, Bucketed]:
        """Latencies as recorded, as short as they can have been, and as long as they can have been."""
        found: tuple[Bucketed, Bucketed, Bucketed] = self._once("readings", self._readings)
        return found

    def _readings(self) -> tuple[Bucketed, Bucketed, Bucketed]:
        failed, ok = self.histogram.sum(axis=0)
        unknown, elsewhere = self.unknown_latency, self.unattributed_failed
        known = (failed + ok)[:BUCKETS]
        taken = Bucketed(known, endless=unknown)
        least = Bucketed(known, at_zero=unknown + elsewhere)
        most = Bucketed(ok[:BUCKETS], endless=int(failed.sum() + ok[UNKNOWN]) + elsewhere)
        return taken, least, most

    def _once(self, name: str, make: Any) -> Any:
        if name not in self.computed:
            self.computed[name] = make()
        return self.computed[name]
