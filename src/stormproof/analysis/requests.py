"""The requests of one window, as arrays: what every measure is computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stormproof.analysis.block import block_count
from stormproof.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from stormproof.analysis.window import End

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]
    Ints = npt.NDArray[np.int64]

REQUIRED_COLUMNS = ("scheduled_at", "latency_ms", "ok", "endpoint", "zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """The requests scheduled in [start_s, end_s); arrays of one length, one entry a request."""

    start_s: float
    end_s: float
    scheduled_at: Floats  # Unix s
    latency_ms: Floats  # NaN: not known
    ok: Bools
    rows: Ints  # the position of each request in the frame it came from
    # Of a zone: failed requests of the same window that no zone answered; any of them may have been this zone's.
    unattributed_failed: int = 0
    # Of a zone: good answers that carry no zone.
    unattributed_ok: int = 0
    # What was computed from these rows already (sorted latencies), for the next measure of the same window.
    computed: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n(self) -> int:
        """How many requests."""
        return len(self.ok)

    @property
    def n_ok(self) -> int:
        """How many succeeded."""
        return int(np.count_nonzero(self.ok))

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
        return int(np.count_nonzero(np.isnan(self.latency_ms)))

    def block_counts(self) -> Floats:
        """Requests a block of time."""
        if "block" not in self.computed:
            blocks = block_count(self.duration_s)
            position = (self.scheduled_at - self.start_s) / self.duration_s * blocks
            number = np.clip(position.astype(np.int64), 0, blocks - 1)
            self.computed["block"] = number, np.bincount(number, minlength=blocks).astype(np.float64)
        counts: Floats = self.computed["block"][1]
        return counts

    def block_hits(self, hit: npt.NDArray[Any]) -> Floats:
        """The sum of *hit*, one entry a request, in each block."""
        counts = self.block_counts()
        return np.bincount(self.computed["block"][0], weights=hit, minlength=len(counts)).astype(np.float64)

    def block_ok(self) -> Floats:
        """Successes a block."""
        return self.block_hits(self.ok)

    def block_below(self, value_ms: float) -> Floats:
        """Requests a block that took at most *value_ms*; an unknown latency is none of them."""
        return self.block_hits(np.nan_to_num(self.latency_ms, nan=math.inf) <= value_ms)

    def block_latency_sums(self) -> Floats:
        """The sum of the latencies a block, in ms."""
        return self.block_hits(self.latency_ms)

    def largest(self, count: int) -> Floats:
        """The *count* longest latencies, ascending."""
        return np.sort(np.partition(self.latency_ms, self.n - count)[self.n - count :])

    def seconds(self, buckets: int) -> tuple[Ints, Ints]:
        """Requests and failures in each second from the start; the last one also holds what is left of a second."""
        second = np.clip((self.scheduled_at - self.start_s).astype(np.int64), 0, buckets - 1)
        return np.bincount(second, minlength=buckets), np.bincount(second[~self.ok], minlength=buckets)

    def readings(self) -> tuple[Sorted, Sorted, Sorted]:
        """Latencies as recorded, as short as they can have been, and as long as they can have been."""
        if "readings" not in self.computed:
            self.computed["readings"] = self._sort()
        found: tuple[Sorted, Sorted, Sorted] = self.computed["readings"]
        return found

    def _sort(self) -> tuple[Sorted, Sorted, Sorted]:
        taken = np.sort(np.nan_to_num(self.latency_ms, nan=math.inf))
        if self.n_ok == self.n and not self.unattributed_failed and math.isfinite(taken[-1]):
            return (Sorted(taken),) * 3
        elsewhere = self.unattributed_failed
        least = np.sort(np.concatenate((np.zeros(elsewhere), np.nan_to_num(self.latency_ms, nan=0.0))))
        longest = np.where(self.ok, np.nan_to_num(self.latency_ms, nan=math.inf), math.inf)
        most = np.sort(np.concatenate((longest, np.full(elsewhere, math.inf))))
        return Sorted(taken), Sorted(least), Sorted(most)


@dataclass(frozen=True, slots=True)
class Sorted:
    """Latencies in ms, ascending: each rank is known exactly."""

    values: Floats

    def __len__(self) -> int:
        """How many."""
        return len(self.values)

    def ranked(self, rank: int, end: End = "value") -> float:  # noqa: ARG002  # exact at either end
        """The *rank*-th smallest, counted from 1; ranks beyond the ends are the ends."""
        return float(self.values[min(max(rank, 1), len(self.values)) - 1])

    @property
    def finite(self) -> int:
        """How many of them ended."""
        return int(np.count_nonzero(np.isfinite(self.values)))


def require_columns(samples: pd.DataFrame) -> None:
    """Raise `InputError` when a column that judging needs is not there."""
    missing = [column for column in REQUIRED_COLUMNS if column not in samples.columns]
    if missing:
        raise InputError(
            where="samples",
            what="columns",
            expected=", ".join(REQUIRED_COLUMNS),
            got=f"none named {', '.join(missing)}",
        )


def is_window(window: tuple[float, float] | None) -> bool:
    """Whether *window* is a stretch of time: two finite instants, the second later."""
    return window is not None and math.isfinite(window[0]) and math.isfinite(window[1]) and window[1] > window[0]


def requests_in(
    samples: pd.DataFrame,
    window: tuple[float, float],
    *,
    endpoint: str | None = None,
    zone: str | None = None,
) -> Requests:
    """The requests of *samples* scheduled in *window*, of one *endpoint* and from one *zone* where asked.

    Unknown values are taken as the worse: an `ok` that is missing is a failure. A latency that is missing, infinite
    or negative (a clock that stepped) is NaN.
    """
    start_s, end_s = float(window[0]), float(window[1])
    scheduled_at = samples["scheduled_at"].to_numpy(dtype=np.float64, na_value=np.nan)
    chosen = (scheduled_at >= start_s) & (scheduled_at < end_s)
    if endpoint is not None:
        chosen &= (samples["endpoint"] == endpoint).to_numpy(dtype=bool, na_value=False)
    ok = (samples["ok"] == True).to_numpy(dtype=bool, na_value=False)  # noqa: E712  # NaN must become False
    unattributed_failed = unattributed_ok = 0
    if zone is not None:
        nowhere = chosen & zoneless(samples)
        unattributed_failed = int(np.count_nonzero(nowhere & ~ok))
        unattributed_ok = int(np.count_nonzero(nowhere & ok))
        chosen &= (samples["zone"] == zone).to_numpy(dtype=bool, na_value=False)
    latency_ms = samples["latency_ms"].to_numpy(dtype=np.float64, na_value=np.nan)[chosen]
    latency_ms[~(np.isfinite(latency_ms) & (latency_ms >= 0))] = np.nan
    return Requests(
        start_s=start_s,
        end_s=end_s,
        scheduled_at=scheduled_at[chosen],
        latency_ms=latency_ms,
        ok=ok[chosen],
        rows=np.flatnonzero(chosen),
        unattributed_failed=unattributed_failed,
        unattributed_ok=unattributed_ok,
    )


def answered_in(
    samples: pd.DataFrame, window: tuple[float, float], *, zone: str, endpoint: str | None = None
) -> tuple[Requests, Bools]:
    """The requests of *window* that some zone answered, and which of them *zone* did.

    What no zone answered is in `unattributed_failed` and `unattributed_ok`.
    """
    nowhere = zoneless(samples)
    requests = requests_in(samples[~nowhere], window, endpoint=endpoint)
    lost = requests_in(samples[nowhere], window, endpoint=endpoint)
    requests = replace(requests, unattributed_failed=lost.n - lost.n_ok, unattributed_ok=lost.n_ok)
    of_zone = requests_in(samples[~nowhere], window, endpoint=endpoint, zone=zone)
    return requests, np.isin(requests.rows, of_zone.rows, assume_unique=True)


def zoneless(samples: pd.DataFrame) -> Bools:
    """Which rows carry no zone."""
    return ((samples["zone"] == "") | samples["zone"].isna()).to_numpy(dtype=bool, na_value=True)


def unscheduled(samples: pd.DataFrame) -> int:
    """How many rows have no scheduled time, so that no window can own them."""
    scheduled_at = samples["scheduled_at"].to_numpy(dtype=np.float64, na_value=np.nan)
    return int(np.count_nonzero(~np.isfinite(scheduled_at)))
